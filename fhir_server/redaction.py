"""Redaction: the part of a stored body that an allow-list of element paths shows.

Works on bytes: what stays is copied as it was stored, decimals and all; what goes leaves no sibling, extension, contained
resource or element id behind.

Spec: https://hl7.org/fhir/R4/search.html#elements
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec

_ALWAYS: Final = ("resourceType", "id", "meta.versionId", "meta.lastUpdated")
_SUBSETTED: Final = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}
_TAG: Final = msgspec.json.encode([_SUBSETTED])
#: Never shown because an element above them is: they can hold anything.
_UNNAMED: Final = frozenset({"extension", "modifierExtension", "contained", "id"})
_SUSPECT: Final = re.compile(rb'"(?:extension|modifierExtension|contained|id|_\w+)"\s*:|\\u')
_REDACTED_ETAG: Final = re.compile(r'(?:W/)?"\d+-[0-9a-f]{16}"')

_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_array = msgspec.json.Decoder(list[msgspec.Raw])


class _Tree(dict[str, "_Tree"]):
    """Paths as a tree; an empty node shows everything under it."""


def redact(body: bytes, allowed: frozenset[str]) -> bytes:
    """Keep of a resource only what an allow-list shows.

    Args:
        body: Stored resource as JSON.
        allowed: Element paths without the type ("diagnosis.sequence"); id and version always stay.

    Returns:
        The redacted resource, tagged SUBSETTED.
    """
    shown = _children(body, _tree(allowed))
    meta = shown.get("meta")
    shown["meta"] = _raw({**(_object.decode(meta) if meta is not None else {}), "tag": msgspec.Raw(_TAG)})
    return msgspec.json.encode(shown)


def redacted_etag(version: int, body: bytes) -> str:
    """Entity tag of a redacted body: its own, so that no cache and no If-Match takes it for the whole."""
    return f'W/"{version}-{hashlib.sha256(body).hexdigest()[:16]}"'


def is_redacted_etag(etag: str) -> bool:
    """Whether an If-Match names a redacted body; writing on top of one is refused."""
    return _REDACTED_ETAG.fullmatch(etag.strip()) is not None


def is_subsetted(resource: Mapping[str, Any]) -> bool:
    """Whether a resource says that it is incomplete; storing one would wipe what it does not show."""
    meta = resource.get("meta")
    tags = meta.get("tag") if isinstance(meta, Mapping) else None
    return any(isinstance(tag, Mapping) and tag.get("code") == "SUBSETTED" for tag in tags) if isinstance(tags, list) else False


@lru_cache(1024)
def _tree(allowed: frozenset[str]) -> _Tree:
    root = _Tree()
    for path in sorted({*allowed, *_ALWAYS}, key=lambda path: -path.count(".")):
        node = root
        parts = path.split(".")
        for part in parts[:-1]:
            node = node.setdefault(part, _Tree())
        node[parts[-1]] = _Tree()
    return root


def _children(body: bytes | msgspec.Raw, tree: _Tree) -> dict[str, msgspec.Raw]:
    members = _object.decode(body)
    shown = ((name, _part(members[name], node)) for name, node in tree.items() if name in members)
    kept = {name: part for name, part in shown if part is not None}
    return {name: kept[name] for name in members if name in kept}


def _part(value: msgspec.Raw, tree: _Tree) -> msgspec.Raw | None:
    """Redact one value; None when nothing of it is left."""
    kind = bytes(memoryview(value)[:1])
    if kind == b"[":
        items = [part for item in _array.decode(value) if (part := _part(item, tree)) is not None]
        return _raw(items) if items else None
    if kind != b"{":
        return None if tree else value
    members = _children(value, tree) if tree else _named(value)
    return _raw(members) if members else None


def _named(value: msgspec.Raw) -> dict[str, msgspec.Raw]:
    """Everything under an element that is shown whole, but what could hold anything."""
    members = _object.decode(value)
    if not _SUSPECT.search(bytes(value)):
        return members
    shown = ((name, _part(part, _WHOLE)) for name, part in members.items() if name not in _UNNAMED and not name.startswith("_"))
    return {name: part for name, part in shown if part is not None}


_WHOLE: Final = _Tree()


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))
