"""The fast pass: one typed decode that succeeds only for resources without errors.

Spec: https://hl7.org/fhir/R4/validation.html
"""

from __future__ import annotations

import threading
from functools import cache
from typing import Any

import msgspec

from fhir_server.spec.definitions import r4
from fhir_server.validation.structs import StructTypes


class _Head(msgspec.Struct, gc=False):
    """What a nested resource shows before it is decoded."""

    type: str = msgspec.field(name="resourceType")
    contained: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    meta: dict[str, msgspec.Raw] | msgspec.UnsetType = msgspec.UNSET


_head = msgspec.json.Decoder(_Head)
_SHELL = "Bundle shell"
_building = threading.RLock()
_decoders: dict[str, msgspec.json.Decoder[Any]] = {}


def passes(type_: str, body: bytes | msgspec.Raw) -> bool:
    """Whether the resource certainly has no error; False means that the thorough pass must judge."""
    try:
        _decoder(type_).decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return False
    return True


def shell_passes(body: bytes) -> bool:
    """The same for a Bundle, leaving out the resources in it."""
    try:
        _shell_decoder().decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return False
    return True


def _accept(raw: msgspec.Raw, node: str) -> None:
    """Judge a nested resource; a contained one may hold neither others nor a version."""
    head = _head.decode(raw)
    if node not in ("Bundle.entry", "Bundle.entry.response", "Parameters.parameter"):
        meta = () if head.meta is msgspec.UNSET else head.meta
        if head.contained is not msgspec.UNSET or "versionId" in meta or "lastUpdated" in meta:
            message = "contained"
            raise ValueError(message)
    if not r4().is_resource(head.type):
        message = "resourceType"
        raise ValueError(message)
    _decoder(head.type).decode(raw)


@cache
def _structs() -> StructTypes:
    return StructTypes(r4(), _accept)


def _decoder(type_: str) -> msgspec.json.Decoder[Any]:
    """The decoder of a type, built once and by one thread.

    Types share Structs. While msgspec builds a decoder, the Structs in it are marked as known before they are complete; a second
    decoder built in that moment takes them as they are, and its first decode reads through a null pointer.
    """
    decoder = _decoders.get(type_)
    if decoder is None:
        with _building:
            decoder = _decoders.get(type_)
            if decoder is None:
                decoder = _decoders[type_] = msgspec.json.Decoder(_structs().of(type_))
    return decoder


def _shell_decoder() -> msgspec.json.Decoder[Any]:
    decoder = _decoders.get(_SHELL)
    if decoder is None:
        with _building:
            decoder = _decoders.get(_SHELL)
            if decoder is None:
                shell = StructTypes(r4(), lambda _raw, _node: None).of("Bundle")
                decoder = _decoders[_SHELL] = msgspec.json.Decoder(shell)
    return decoder
