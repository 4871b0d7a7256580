"""The search parameters this server has built, per resource type.

Kinds built: token, string, date, reference, quantity, uri, number, composite, and `near`. `_id` and `_lastUpdated` are columns of the store.
Spec: https://hl7.org/fhir/R4/search.html#ptypes
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache

from fhir_server.indexing.compiler import LISTS, Leaf, supported
from fhir_server.indexing.composites import Composite, composites
from fhir_server.indexing.custom import custom_leaves
from fhir_server.indexing.expressions import Step, branches, parse_branch
from fhir_server.indexing.paths import Op, Place, places
from fhir_server.spec.definitions import SearchParameterFact, r4

_STORE_COLUMNS = frozenset({"_id", "_lastUpdated"})
_CODED = frozenset({"CodeableConcept", "Coding", "code", "boolean"})
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
    components: tuple[SearchParam, ...] = ()
    """Of a composite, in order."""
    parts: tuple[int, ...] = ()
    """Numbers under which the groups of a composite are indexed."""
    ranged: bool = False
    """Whether some of its values are ranges of numbers."""
    expression: str = ""
    holds: tuple[str, ...] = ()
    """Data types of those elements."""

    @property
    def coded(self) -> bool:
        """Whether its tokens are codes: few, and many resources have the same. Nearly every identifier and contact is another."""
        return self.type == "token" and not _CODED.isdisjoint(self.holds)


@cache
def for_type(type_: str) -> Mapping[str, SearchParam]:
    """Search parameters of a resource type by code; only those that the indexer extracts."""
    leaves = leaves_of(type_)
    plain = {
        fact.code: SearchParam(number, fact.code, fact.type, fact.targets, _paths(type_, fact), ranged="Range" in holds, holds=holds)
        for number, fact in _facts(type_)
        if (holds := tuple(dict.fromkeys(leaf.place.type for leaf in leaves if leaf.param == number)))
    }
    return plain | {code: _composite(r4().search_ids(type_)[code], code, found) for code, found in composites(type_).items()}


@cache
def coded_params(type_: str) -> frozenset[int]:
    """Numbers of the parameters of a type whose tokens are codes."""
    return frozenset(param.id for param in for_type(type_).values() if param.coded)


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


def _composite(number: int, code: str, found: Composite) -> SearchParam:
    components = tuple(
        SearchParam(number, fact.code, fact.type, fact.targets, paths, ranged="as(Range)" in fact.expression)
        for fact, paths in zip(found.components, found.paths, strict=True)
    )
    return SearchParam(number, code, "composite", (), tuple(dict.fromkeys(path for each in found.paths for path in each)), components, found.parts)


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
            if place.type == "Resource":
                yield Leaf(number, fact.type, _first_resource(place, fact.targets[0]))
            else:
                yield Leaf(number, fact.type, place)


def _first_resource(place: Place, type_: str) -> Place:
    """Narrow the first resource of a Bundle to the type it has in Bundles of one kind."""
    kind = {"Composition": "document", "MessageHeader": "message"}[type_]
    return replace(place, ops=(Op("where", "type", kind), *place.ops), type=type_)


def _branches(type_: str, fact: SearchParameterFact) -> list[tuple[Step, ...]]:
    parsed = [parse_branch(text) for text in branches(fact.expression)]
    rooted = [(Step("child", type_), *steps) if steps[0].argument[0].islower() else steps for steps in parsed if steps]
    return [steps for steps in rooted if steps[0].argument in (type_, *_INHERITED)]


def _paths(type_: str, fact: SearchParameterFact) -> tuple[str, ...]:
    paths = [".".join([type_, *(step.argument for step in steps[1:] if step.kind == "child")]) for steps in _branches(type_, fact)]
    return tuple(dict.fromkeys(paths))
