"""Set id and version of a resource in its bytes, leaving every other value as it was written (72.50 stays 72.50).

Spec: https://hl7.org/fhir/R4/resource.html#Meta
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from chartloop.kernel.access.labels import LABELS, SYSTEM
from chartloop.kernel.clock import iso


class _Own(msgspec.Struct, gc=False):
    """What the server says itself, as a client wrote it."""

    type: msgspec.Raw = msgspec.field(name="resourceType")
    id: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    meta: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_OWN: Final = msgspec.json.Decoder(_Own)
_NAMES: Final = frozenset({"resourceType", "id", "meta"})
_FIELDS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ANY: Final = msgspec.json.Decoder()


def compact(body: bytes) -> bytes:
    """Drop the white space between tokens; every token stays as it was written."""
    return msgspec.json.format(body, indent=-1)


def splice(body: bytes, *, id_: str, version: int, updated: int) -> bytes:
    """Return the compact body with this id, meta.versionId and meta.lastUpdated at its head.

    Sensitivity labels are taken out of meta.security: they live in the label tables, where policies read them.
    """
    body = compact(body)
    own = _OWN.decode(body)
    meta = b"{" + _own_meta(version, updated) + b"}" if own.meta is msgspec.UNSET else _meta(own.meta, version, updated)
    head = b'{"resourceType":' + bytes(own.type) + b',"id":"' + id_.encode() + b'","meta":' + meta
    rest = _rest(body, own)
    if rest is not None:
        return head + rest
    fields = _FIELDS.decode(body)
    return head + b"".join(b',"' + key.encode() + b'":' + bytes(raw) for key, raw in fields.items() if key not in _NAMES) + b"}"


def _rest(body: bytes, own: _Own) -> bytes | None:
    """What follows type, id and meta in a compact body that begins with them, written plainly; none where it does not."""
    said = b'{"resourceType":' + bytes(own.type)
    for name, raw in ((b',"id":', own.id), (b',"meta":', own.meta)):
        if raw is not msgspec.UNSET:
            said += name + bytes(raw)
    return body[len(said) :] if body.startswith(said) else None


def without_version(body: bytes) -> bytes:
    """Return a stored body with meta.versionId and meta.lastUpdated taken out, to compare contents."""
    fields = _FIELDS.decode(body)
    if "meta" in fields:
        meta = _FIELDS.decode(fields["meta"])
        meta.pop("versionId", None)
        meta.pop("lastUpdated", None)
        fields["meta"] = msgspec.Raw(_joined(meta))
    return _joined(dict(sorted(fields.items())))


def without_labels(resource: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a parsed resource as its stored bytes will say it: without sensitivity labels in meta.security."""
    meta = resource.get("meta")
    security = meta.get("security") if isinstance(meta, Mapping) else None
    if not security or not isinstance(meta, Mapping):
        return resource
    kept = _unlabelled(security)
    return resource if len(kept) == len(security) else {**resource, "meta": {**meta, "security": kept}}


def _own_meta(version: int, updated: int) -> bytes:
    return f'"versionId":"{version}","lastUpdated":"{iso(updated)}"'.encode()


def _meta(raw: msgspec.Raw, version: int, updated: int) -> bytes:
    meta = _FIELDS.decode(raw)
    meta.pop("versionId", None)
    meta.pop("lastUpdated", None)
    security = meta.pop("security", None)
    if security is not None and (kept := _unlabelled(_ANY.decode(security))):
        meta["security"] = msgspec.Raw(msgspec.json.encode(kept))
    rest = _joined(meta)[1:]
    return b"{" + _own_meta(version, updated) + (b"," + rest if meta else rest)


def _unlabelled(security: Any) -> list[Any]:
    return [
        coding
        for coding in security
        if not (isinstance(coding, dict) and coding.get("system") == SYSTEM and coding.get("code") in LABELS)
    ]


def _joined(fields: dict[str, msgspec.Raw]) -> bytes:
    return b"{" + b",".join(b'"' + key.encode() + b'":' + bytes(raw) for key, raw in fields.items()) + b"}"
