"""_summary and _elements: the part of a resource that a client asks for, of what the reader may see of it.

Works on bytes: what stays is copied as it was stored. Elements that a resource must have, and what may change its meaning, stay.
Spec: https://hl7.org/fhir/R4/search.html#summary, https://hl7.org/fhir/R4/search.html#elements
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Final

import msgspec
import zstandard

from fhir_server.redaction import is_subsetted
from fhir_server.spec.definitions import r4
from fhir_server.store import Stored
from fhir_server.subset_query import Subset

_ALWAYS: Final = frozenset({"resourceType", "id", "meta", "implicitRules", "modifierExtension"})
_SUBSETTED: Final = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}
_object: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_array: Final = msgspec.json.Decoder(list[msgspec.Raw])


class _Tree(dict[str, "_Tree"]):
    """JSON names; an empty node shows everything under it."""


def subset(stored: Stored, wanted: Subset) -> Stored:
    """Return the part of a resource; it says SUBSETTED and has an entity tag of its own."""
    if wanted.whole or not stored.body:
        return stored
    members = _object.decode(stored.body)
    kept = {name: part for name, raw in members.items() if (part := _kept(stored.type, name, raw, wanted)) is not None}
    meta = msgspec.json.decode(members["meta"]) if "meta" in members else {}
    if not is_subsetted({"meta": meta}):
        meta["tag"] = [*meta.get("tag", ()), _SUBSETTED]
    kept["meta"] = msgspec.Raw(msgspec.json.encode(meta))
    return stored._replace(body=msgspec.json.encode(kept), redacted=True)


def _kept(type_: str, name: str, raw: msgspec.Raw, wanted: Subset) -> msgspec.Raw | None:
    plain = name.removeprefix("_")
    if plain in _ALWAYS:
        return raw
    if wanted.summary == "data":
        return None if plain == "text" else raw
    if wanted.summary == "true":
        tree = _summaries()[type_]
        return (raw if name != plain else _part(raw, tree[plain])) if plain in tree else None
    if plain in _mandatory(type_) or plain in wanted.elements or (wanted.summary == "text" and plain == "text"):
        return raw
    return None


def _part(value: msgspec.Raw, tree: _Tree) -> msgspec.Raw | None:
    """Keep of a value what the tree names; None when nothing of it is left."""
    kind = bytes(memoryview(value)[:1])
    if not tree or kind not in (b"{", b"["):
        return value
    if kind == b"[":
        items = [part for item in _array.decode(value) if (part := _part(item, tree)) is not None]
        return msgspec.Raw(msgspec.json.encode(items)) if items else None
    members: dict[str, msgspec.Raw] = {}
    for name, raw in _object.decode(value).items():
        plain = name.removeprefix("_")
        if plain in tree and (part := raw if name != plain else _part(raw, tree[plain])) is not None:
            members[name] = part
    return msgspec.Raw(msgspec.json.encode(members)) if members else None


@cache
def _mandatory(type_: str) -> frozenset[str]:
    return frozenset(name for element in r4().elements(type_) if element.required for name in element.json_types())


@cache
def _summaries() -> dict[str, _Tree]:
    packed = resources.files("fhir_server.spec").joinpath("summary.zst").read_bytes()
    facts = msgspec.json.decode(zstandard.ZstdDecompressor().decompress(packed), type=dict[str, list[str]])
    return {type_: _tree(paths) for type_, paths in facts.items()}


def _tree(paths: list[str]) -> _Tree:
    root = _Tree()
    for path in paths:
        node = root
        for part in path.split("."):
            node = node.setdefault(part, _Tree())
    return root
