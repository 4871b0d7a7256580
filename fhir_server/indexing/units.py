"""Units of quantities as numbers: one for all codes of the same size, and the table that says which codes a store has seen.

The index holds a value as it was written, beside its unit; a search converts its own bounds into every commensurable unit that
is known, exactly, so that no rounded copy of a value is stored and nothing has to be indexed again when more codes are understood.
Spec: https://hl7.org/fhir/R4/search.html#quantity
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from fhir_server.hashing import value_hash
from terminology.ucum import SYSTEM
from terminology.ucum_code import Canonical, canonical

UCUM: Final = SYSTEM


class KnownUnit(NamedTuple):
    """A row of known_unit: dimension, unit, and a code from which both can be made again."""

    dimension: int
    unit: int
    code: str


def unit_hash(system: str | None, code: str | None) -> int:
    """Hash of a unit's system and code; 0 without either."""
    return value_hash(f"{system or ''}|{code}") if code else 0


def dimension_hash(form: Canonical) -> int:
    """Hash of what a unit measures."""
    return value_hash(f"ucum dimension {form.dimension}")


@lru_cache(maxsize=4096)
def known_unit(system: str, code: str) -> KnownUnit | None:
    """The unit of a UCUM code that has a canonical form; codes of one size share it."""
    form = canonical(code) if system == UCUM else None
    if form is None:
        return None
    return KnownUnit(dimension_hash(form), value_hash(f"ucum {form.dimension} {form.scale} {form.offset}"), code)


def unit_of(system: str, code: str) -> int:
    """The number under which a quantity's unit is indexed."""
    known = known_unit(system, code)
    return unit_hash(system, code) if known is None else known.unit
