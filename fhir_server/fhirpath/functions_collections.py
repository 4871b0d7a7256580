"""Functions on collections: existence, filters, subsets, combinations, aggregates.

Spec: http://hl7.org/fhirpath/N1/#existence
"""

from __future__ import annotations

from typing import Any

from fhir_server.fhirpath.equality import distinct as without_doubles
from fhir_server.fhirpath.equality import key
from fhir_server.fhirpath.errors import Failed, Meaningless
from fhir_server.fhirpath.functions import Call, LazyCall, lazy, plain
from fhir_server.fhirpath.operators import single, truth
from fhir_server.fhirpath.parts import plain as value_of
from fhir_server.fhirpath.run import Collection, Run, Scope


@plain()
def empty(call: Call) -> Collection:
    return [not call.items]


@plain()
def not_(call: Call) -> Collection:
    found = truth(call.items, call.at)
    return [] if found is None else [not found]


@lazy(0, 1)
def exists(call: LazyCall) -> Collection:
    if not call.arguments:
        return [bool(call.items)]
    return [any(truth(call.arguments[0](inner), call.at) for inner in call.scope.each(call.items))]


@lazy(1, name="all")
def all_(call: LazyCall) -> Collection:
    return [all(truth(call.arguments[0](inner), call.at) for inner in call.scope.each(call.items))]


def _booleans(items: Collection, at: int) -> list[bool]:
    values = [value_of(item) for item in items]
    if not all(isinstance(value, bool) for value in values):
        raise Failed("booleans are needed here", at)
    return values


@plain()
def all_true(call: Call) -> Collection:
    return [all(_booleans(call.items, call.at))]


@plain()
def any_true(call: Call) -> Collection:
    return [any(_booleans(call.items, call.at))]


@plain()
def all_false(call: Call) -> Collection:
    return [not any(_booleans(call.items, call.at))]


@plain()
def any_false(call: Call) -> Collection:
    return [not all(_booleans(call.items, call.at))]


@plain(1)
def subset_of(call: Call) -> Collection:
    return [_within(call.items, call.arguments[0], call.run)]


@plain(1)
def superset_of(call: Call) -> Collection:
    return [_within(call.arguments[0], call.items, call.run)]


def _within(items: Collection, others: Collection, run: Run) -> bool:
    run.spend(len(items) + len(others))
    known = set(map(key, others))
    return all(key(item) in known for item in items)


@plain()
def count(call: Call) -> Collection:
    return [len(call.items)]


@plain()
def distinct(call: Call) -> Collection:
    return without_doubles(call.items, call.run)


@plain()
def is_distinct(call: Call) -> Collection:
    return [len(without_doubles(call.items, call.run)) == len(call.items)]


@lazy(1)
def where(call: LazyCall) -> Collection:
    return [inner.this[0] for inner in call.scope.each(call.items) if truth(call.arguments[0](inner), call.at)]


@lazy(1)
def select(call: LazyCall) -> Collection:
    found: Collection = []
    for inner in call.scope.each(call.items):
        found += call.arguments[0](inner)
    call.scope.run.spend(len(found))
    return found


@lazy(1)
def repeat(call: LazyCall) -> Collection:
    found: dict[Any, Any] = {}
    waiting = list(call.items)
    while waiting:
        fresh: Collection = []
        for inner in call.scope.each(waiting):
            for item in call.arguments[0](inner):
                call.scope.run.spend(1)
                if key(item) not in found:
                    found[key(item)] = item
                    fresh.append(item)
        waiting = fresh
    return list(found.values())


def _index(items: Collection, at: int) -> int:
    value = single(items, at)
    if not isinstance(value, int) or isinstance(value, bool):
        raise Failed("a whole number is needed here", at)
    return value


@plain(name="single")
def single_(call: Call) -> Collection:
    single(call.items, call.at)
    return call.items


@plain()
def first(call: Call) -> Collection:
    return call.items[:1]


@plain()
def last(call: Call) -> Collection:
    return call.items[-1:]


@plain()
def tail(call: Call) -> Collection:
    return call.items[1:]


@plain(1)
def skip(call: Call) -> Collection:
    return call.items[max(0, _index(call.arguments[0], call.at)) :]


@plain(1)
def take(call: Call) -> Collection:
    return call.items[: max(0, _index(call.arguments[0], call.at))]


@plain(1)
def intersect(call: Call) -> Collection:
    known = set(map(key, call.arguments[0]))
    call.run.spend(len(known))
    return [item for item in without_doubles(call.items, call.run) if key(item) in known]


@plain(1)
def exclude(call: Call) -> Collection:
    known = set(map(key, call.arguments[0]))
    call.run.spend(len(known) + len(call.items))
    return [item for item in call.items if key(item) not in known]


@plain(1)
def union(call: Call) -> Collection:
    return without_doubles(call.items + call.arguments[0], call.run)


@plain(1)
def combine(call: Call) -> Collection:
    call.run.spend(len(call.items) + len(call.arguments[0]))
    return call.items + call.arguments[0]


@lazy(2, 3)
def iif(call: LazyCall) -> Collection:
    if len(call.items) > 1:
        raise Failed("iif takes one item", call.at)
    inner = Scope(call.scope.run, call.items, call.scope.index, call.scope.total)
    found = single(call.arguments[0](inner), call.at)
    if found is not None and not isinstance(found, bool):
        raise Meaningless("the criterion of iif is a boolean", call.at)
    if found:
        return call.arguments[1](inner)
    return call.arguments[2](inner) if len(call.arguments) > 2 else []


@lazy(1, 2)
def aggregate(call: LazyCall) -> Collection:
    total = call.arguments[1](call.scope) if len(call.arguments) > 1 else []
    for index, item in enumerate(call.items):
        call.scope.run.spend(1 + len(total))
        total = call.arguments[0](Scope(call.scope.run, [item], index, total))
    return total


@lazy(1, 2)
def trace(call: LazyCall) -> Collection:
    """Nothing is written: what it would show may be a patient's."""
    for inner in call.scope.each(call.items) if len(call.arguments) > 1 else ():
        call.arguments[1](inner)
    return call.items
