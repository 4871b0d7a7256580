"""The search parameters this server has built, per resource type.

Kinds built: token, string, date, reference, quantity, uri, number. `_id` and `_lastUpdated` are columns of the store.
Spec: https://hl7.org/fhir/R4/search.html#ptypes
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache

from fhir_server.indexing.compiler import LISTS, Leaf, supported
from fhir_server.indexing.custom import custom_leaves
from fhir_server.indexing.expressions import Step, branches, parse_branch
from fhir_server.indexing.paths import places
from fhir_server.spec.definitions import SearchParameterFact, r4

_STORE_COLUMNS = frozenset({"_id", "_lastUpdated"})
_INHERITED = frozenset({"Resource", "DomainResource"})


@dataclass(frozen=True, slots=True)
class SearchParam:
    """One search parameter of one resource type; `paths` are the elements it reads, for example Patient.name.

    One that a SearchParameter resource defines carries its `expression`.
    """

    id: int
    code: str
    type: str
    targets: tuple[str, ...]
    paths: tuple[str, ...]
    expression: str = ""


@cache
def for_type(type_: str) -> Mapping[str, SearchParam]:
    """Search parameters of a resource type by code; only those that the indexer extracts."""
    leaves = leaves_of(type_)
    return {
        fact.code: SearchParam(number, fact.code, fact.type, fact.targets, _paths(type_, fact))
        for number, fact in _facts(type_)
        if any(leaf.param == number for leaf in leaves)
    }


@cache
def leaves_of(type_: str) -> tuple[Leaf, ...]:
    """Every (parameter, concrete path) of a resource type that can be indexed."""
    return tuple(leaf for number, fact in _facts(type_) for leaf in _leaves(type_, number, fact) if supported(leaf))


@lru_cache(maxsize=4096)
def leaves_of_param(type_: str, param: SearchParam) -> tuple[Leaf, ...]:
    """Every concrete path of one parameter of a resource type."""
    if param.expression:
        return custom_leaves(type_, param.id, param.type, param.expression)
    return tuple(leaf for leaf in leaves_of(type_) if leaf.param == param.id)


def holds_references(type_: str, param: SearchParam) -> bool:
    """Whether every element that a reference parameter reads is a Reference; a canonical address names no resource here."""
    return all(leaf.place.type == "Reference" for leaf in leaves_of_param(type_, param))


def not_built(type_: str) -> list[str]:
    """Codes of the published parameters of a type that are absent here."""
    return sorted(set(r4().search_ids(type_)) - set(for_type(type_)) - _STORE_COLUMNS)


def _facts(type_: str) -> Iterator[tuple[int, SearchParameterFact]]:
    definitions = r4()
    ids = definitions.search_ids(type_)
    for fact in definitions.search_parameters:
        mine = type_ in fact.bases or _INHERITED & set(fact.bases)
        if mine and fact.type in LISTS and fact.code not in _STORE_COLUMNS and fact.code in ids:
            yield ids[fact.code], fact


def _leaves(type_: str, number: int, fact: SearchParameterFact) -> Iterator[Leaf]:
    for steps in _branches(type_, fact):
        for place in places(r4(), type_, steps):
            yield Leaf(number, fact.type, place)


def _branches(type_: str, fact: SearchParameterFact) -> list[tuple[Step, ...]]:
    parsed = [parse_branch(text) for text in branches(fact.expression)]
    rooted = [(Step("child", type_), *steps) if steps[0].argument[0].islower() else steps for steps in parsed if steps]
    return [steps for steps in rooted if steps[0].argument in (type_, *_INHERITED)]


def _paths(type_: str, fact: SearchParameterFact) -> tuple[str, ...]:
    paths = [".".join([type_, *(step.argument for step in steps[1:] if step.kind == "child")]) for steps in _branches(type_, fact)]
    return tuple(dict.fromkeys(paths))
