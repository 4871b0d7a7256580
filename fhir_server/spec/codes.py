"""R4's own code systems and value sets as a terminology: what the specification itself lists, and nothing else.

Spec: https://hl7.org/fhir/R4/terminologies.html
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Final

import msgspec
import zstandard

_R4: Final = "4.0.1"


class _Facts(msgspec.Struct, rename="camel"):
    systems: dict[str, msgspec.Raw]
    value_sets: dict[str, msgspec.Raw]


class R4Codes:
    """A terminology made of one facts file; see fhir_server.spec.generate_codes."""

    def __init__(self, packed: bytes | None = None) -> None:
        """Take a facts file, or that which travels with this package, read when it is first asked."""
        self._packed = packed

    def expand(self, value_set: str) -> Mapping[str, frozenset[str] | None] | None:
        """Codes of a value set by system, None for all of a system; None if R4 does not define or cannot list it."""
        url, bar, version = value_set.partition("|")
        found = _facts(self._packed).value_sets.get(url)
        if found is None:
            return None
        known, codes = msgspec.msgpack.decode(found, type=tuple[str, dict[str, frozenset[str] | None]])
        return codes if not bar or version in (known, _R4) else None

    def below(self, system: str, code: str) -> frozenset[str] | None:
        """The code and all it subsumes; None if R4 does not list the code."""
        parents = self._parents(system)
        if code not in parents:
            return None
        return frozenset(each for each in parents if code in _up(each, parents))

    def above(self, system: str, code: str) -> frozenset[str] | None:
        """The code and all that subsume it; None if R4 does not list the code."""
        parents = self._parents(system)
        return _up(code, parents) if code in parents else None

    def _parents(self, system: str) -> Mapping[str, list[str]]:
        found = _facts(self._packed).systems.get(system)
        return {} if found is None else msgspec.msgpack.decode(found, type=dict[str, list[str]] | None) or {}


def _up(code: str, parents: Mapping[str, list[str]]) -> frozenset[str]:
    found, pending = {code}, [code]
    while pending:
        fresh = [parent for parent in parents.get(pending.pop(), ()) if parent not in found]
        found.update(fresh)
        pending += fresh
    return frozenset(found)


@cache
def _facts(packed: bytes | None) -> _Facts:
    raw = resources.files("fhir_server.spec").joinpath("codes.zst").read_bytes() if packed is None else packed
    return msgspec.msgpack.decode(zstandard.ZstdDecompressor().decompress(raw), type=_Facts)
