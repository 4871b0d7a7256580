"""A quantity with a UCUM unit, asked in every commensurable unit that the store has seen; the arithmetic is exact.

Units that have no canonical form are found under their own code alone.
Spec: https://hl7.org/fhir/R4/search.html#quantity
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import partial
from sys import float_info
from typing import Final

from chartloop.kernel.db import Session
from chartloop.kernel.errors import Invalid
from fhir_server.indexing.units import UCUM, dimension_hash
from fhir_server.search.tree import Criterion, Junction, Node, Query, criteria_of
from fhir_server.search.values import Amount, Combination, InUnit, Value, past
from terminology.ucum_code import Canonical, canonical, converted

MAX_UNITS: Final = 200
"""Most units that one search is asked in."""


def in_known_units(session: Session, query: Query) -> Query:
    """Give each UCUM quantity of a query, though not of its chains, its bounds in other units."""
    every = [*query.criteria, *(each for junction in query.junctions for each in criteria_of(junction))]
    if not any(_measured(value) for each in every for value in each.values):
        return query
    in_units = partial(_node, session)
    return replace(query, criteria=[_criterion(session, each) for each in query.criteria], junctions=[_junction(each, in_units) for each in query.junctions])


def _junction(junction: Junction, change: Callable[[Node], Node]) -> Junction:
    return replace(junction, parts=tuple(map(change, junction.parts)))


def _node(session: Session, node: Node) -> Node:
    if isinstance(node, Junction):
        return _junction(node, partial(_node, session))
    return _criterion(session, node) if isinstance(node, Criterion) else node


def _measured(value: Value) -> bool:
    if isinstance(value, Combination):
        return any(_measured(part) for part in value.parts)
    return isinstance(value, Amount) and value.system == UCUM


def _criterion(session: Session, criterion: Criterion) -> Criterion:
    return replace(criterion, values=tuple(_value(session, value) for value in criterion.values))


def _value(session: Session, value: Value) -> Value:
    if isinstance(value, Combination):
        return Combination(tuple(_value(session, part) for part in value.parts))
    if not isinstance(value, Amount) or value.system != UCUM:
        return value
    code = value.code or ""
    form = canonical(code)
    if form is None:
        return value
    known = session.all("SELECT unit, code FROM known_unit WHERE dimension = ? ORDER BY unit LIMIT ?", (dimension_hash(form), MAX_UNITS + 1))
    if len(known) > MAX_UNITS:
        raise Invalid(f"Values are stored in more than {MAX_UNITS} units that measure what {code[:32]} does.", code="too-costly")
    return value._replace(units=tuple(_in_unit(value, form, int(unit), its) for unit, its in known))


def _in_unit(value: Amount, form: Canonical, unit: int, code: str) -> InUnit:
    low, high, exact = (_convert(each, form, canonical(code) or form) for each in (value.low, value.high, value.value))
    return InUnit(unit, low, past(high, exact), exact)


def _convert(number: float, source: Canonical, target: Canonical) -> float:
    """Convert the decimal that was written, of which the double is the nearest; a double beyond the largest is that one."""
    result = converted(Fraction(repr(number)), source, target)
    return float(max(-Fraction(float_info.max), min(Fraction(float_info.max), result)))
