"""A search finds what the published expression finds: each SearchParameter's FHIRPath, evaluated resource by resource, on both databases.

Neither the indexer nor the search takes part in what is expected: the expressions are those of the definitions, the engine knows no
search parameters, and the matcher is the tests' own.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_server.fhirpath.engine import ALONE
from fhir_server.fhirpath.engine import compile as compiled
from fhir_server.fhirpath.parts import Part, resource_part
from fhir_server.fhirpath.run import Run
from fhir_server.repository import Repository
from fhir_server.spec.definitions import SearchParameterFact, r4
from tests.conformance.opened import DIALECTS, opened
from tests.integration.fhir_server.conftest import scope
from tests.properties.fhir_server.random_resources import TYPES, UCUM, UNITS, Json, resources
from tests.properties.fhir_server.reference_matcher import Found, matches, searchable, split, strings, texts, tokens

MODIFIERS = {
    "string": ("", "", "exact", "contains", "missing"), "token": ("", "", "not", "text", "missing", "of-type"), "date": ("", "", "", "missing"), "number": ("", "", "", "missing"),
    "quantity": ("", "", "", "missing"), "reference": ("", "", "identifier", "missing", "type", "below"), "uri": ("", "above", "below", "missing"), "composite": ("", "", "missing"),
}  # fmt: skip
PREFIXES = ("", "", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")
SKIPPED = {"_id", "_lastUpdated", "_security"}
"""Columns and labels, which have tests of their own."""


class Asked(NamedTuple):
    """One parameter with its modifier and values."""

    type: str
    fact: SearchParameterFact
    modifier: str
    values: tuple[str, ...]

    @property
    def query(self) -> str:
        """As a client sends it."""
        colon = f":{self.modifier}" if self.modifier else ""
        return f"{self.fact.code}{colon}={quote(','.join(self.values))}"


class World:
    """Resources, and what each published expression finds in them."""

    def __init__(self, made: list[Json]) -> None:
        self.made = made
        self._found: dict[tuple[str, str], list[list[Any]]] = {}
        self.facts = {type_: [_right(fact) for fact in r4().search_parameters if _asked_of(type_, fact)] for type_ in TYPES}
        self.of_type = {type_: [each for each in made if each["resourceType"] == type_] for type_ in TYPES}
        self.valued = {type_: self._valued(type_) for type_ in TYPES}

    def _valued(self, type_: str) -> dict[str, list[SearchParameterFact]]:
        """Kind -> the parameters that find something, so that every kind is asked about as often."""
        kinds: dict[str, list[SearchParameterFact]] = {}
        for fact in self.facts[type_]:
            if any(self.found(type_, fact)):
                kinds.setdefault(fact.type, []).append(fact)
        return kinds

    def found(self, type_: str, fact: SearchParameterFact) -> list[list[Any]]:
        """For each resource of a type, its values; of a composite, its groups: for each component, its values."""
        key = (type_, fact.code)
        if key not in self._found:
            finds = [compiled(each, published=True) for each in _alternatives(fact.expression)]
            self._found[key] = [[_value(fact, resource, part) for find in finds for part in find.parts(resource)] for resource in self.of_type[type_]]
        return self._found[key]

    def expected(self, asked: Asked) -> set[str]:
        """The ids of what matches."""
        every = zip(self.of_type[asked.type], self.found(asked.type, asked.fact), strict=True)
        return {resource["id"] for resource, found in every if _holds(asked, found)}


def _alternatives(expression: str) -> list[str]:
    """Split a union into its parts: `|` itself would leave out 1.0 mg behind 1 mg, which are equal and have other units beside them."""
    parts, depth = [""], 0
    for each in expression:
        depth += (each == "(") - (each == ")")
        if each == "|" and not depth:
            parts.append("")
        else:
            parts[-1] += each
    return parts


def _right(fact: SearchParameterFact) -> SearchParameterFact:
    """Put right what R4 published wrong: the paths of DocumentReference.relationship stand at the other's component."""
    if fact.code != "relationship" or fact.bases != ("DocumentReference",):
        return fact
    target, code = fact.components
    return replace(fact, components=(target._replace(expression=code.expression), code._replace(expression=target.expression)))


def _asked_of(type_: str, fact: SearchParameterFact) -> bool:
    bases = {type_, "Resource", "DomainResource"}
    return bool(bases & set(fact.bases)) and fact.type in MODIFIERS and bool(fact.expression) and fact.code not in SKIPPED


def _value(fact: SearchParameterFact, resource: Json, part: Any) -> Any:
    if not fact.components:
        return _plain(part)
    root = resource_part(resource)
    return [[_plain(each) for each in compiled(component.expression, published=True).run(Run(ALONE, part, root, root))] for component in fact.components]


def _plain(part: Any) -> Found:
    return Found(part.type, part.value) if isinstance(part, Part) else Found(type(part).__name__, part)


def _holds(asked: Asked, found: list[Any]) -> bool:
    fact = asked.fact
    if asked.modifier == "missing":
        there = any(_whole(fact, each) for each in found)
        return there == (asked.values[0] == "false")
    if asked.modifier == "not":
        return not any(matches(fact.type, "", value, each) for value in asked.values for each in found)
    if fact.components:
        return any(
            all(any(matches(component.type, "", part, each) for each in values) for component, part, values in zip(fact.components, split(value, "$"), group, strict=True))
            for value in asked.values for group in found
        )  # fmt: skip
    return any(matches(fact.type, asked.modifier, value, each) for value in asked.values for each in found)


def _whole(fact: SearchParameterFact, found: Any) -> bool:
    if not fact.components:
        return searchable(fact.type, found)
    return all(any(_coded(component.type, each) for each in values) for component, values in zip(fact.components, found, strict=True))


def _coded(kind: str, found: Found) -> bool:
    """A part of a composite is searched by its codes, never by its text."""
    return any(map(any, tokens(found))) if kind == "token" else searchable(kind, found)


def _escaped(text: str) -> str:
    return "".join(f"\\{each}" if each in "\\,|$" else each for each in text)


def _said(rnd: random.Random, kind: str, modifier: str, found: Found) -> str | None:
    """Say a search value that is near a value; None where there is nothing to say."""
    value = found.value
    if kind == "string":
        said = rnd.choice([*strings(found), ""])
        return _escaped(said if modifier == "exact" else said[: rnd.randint(1, len(said))].rstrip() if said else "") or None
    if kind == "token":
        return _token(rnd, modifier, found)
    if kind == "date":
        ends = [value] if isinstance(value, str) else [*value.values()] if found.type == "Period" else value["event"]
        end = rnd.choice(ends)
        return rnd.choice(PREFIXES) + rnd.choice((end, end[:4], end[:10]))
    if kind == "number":
        return rnd.choice(PREFIXES) + str(rnd.choice([value["low"]["value"], value["high"]["value"]]) if isinstance(value, dict) else value)
    if kind == "quantity":
        return _amount(rnd, found)
    if kind == "reference":
        return _reference(rnd, modifier, found)
    return rnd.choice((value, f"{value}/1", value.rpartition("/")[0])) or None


def _token(rnd: random.Random, modifier: str, found: Found) -> str | None:
    if modifier == "text":
        said = rnd.choice([*texts(found), ""])
        return _escaped(said[: rnd.randint(1, len(said))]).rstrip() if said else None
    if modifier == "of-type":
        codings = found.value.get("type", {}).get("coding", ()) if found.type == "Identifier" else ()
        return f"{codings[0]['system']}|{codings[0]['code']}|{_escaped(found.value['value'])}" if codings else None
    system, code = rnd.choice([*tokens(found), ("", "")])
    forms = [_escaped(code)] if found.type not in ("CodeableConcept", "Coding", "Identifier") else [
        _escaped(code), f"{system}|{_escaped(code)}", f"|{_escaped(code)}", f"urn:none|{_escaped(code)}", *([f"{system}|"] if system else []),
    ]  # fmt: skip
    return rnd.choice(forms) if code else None


def _amount(rnd: random.Random, found: Found) -> str:
    value = found.value["low"] if found.type == "Range" else found.value
    units = ["", f"|{UCUM}|{rnd.choice(UNITS)}", f"||{rnd.choice(UNITS)}", "||a word"] if found.type == "Quantity" else [""]
    unit = f"|{value['system']}|{value['code']}" if "code" in value else f"|urn:iso:std:iso:4217|{value['currency']}" if "currency" in value else ""
    return rnd.choice(PREFIXES) + str(value["value"]) + rnd.choice([unit, unit, *units])


def _reference(rnd: random.Random, modifier: str, found: Found) -> str | None:
    if isinstance(found.value, str):
        plain, _, version = found.value.partition("|")
        return rnd.choice((found.value, plain, f"{plain}|{version[:1]}" if version else plain))
    if modifier == "identifier":
        kept = found.value.get("identifier")
        return rnd.choice((kept["value"], f"{kept['system']}|{kept['value']}", f"{kept['system']}|", f"|{kept['value']}")) if kept else None
    address = found.value.get("reference")
    return rnd.choice((address, address.rpartition("/")[2])) if address else None


def ask(rnd: random.Random, world: World) -> Asked | None:
    """Ask for something that is near what some resource holds."""
    type_ = rnd.choice(list(TYPES))
    kind = rnd.choice(list(world.valued[type_])) if rnd.random() < 0.97 else ""
    fact = rnd.choice(world.valued[type_][kind] if kind else world.facts[type_])
    stock = [each for found in world.found(type_, fact) for each in found]
    modifier = rnd.choice(MODIFIERS[fact.type])
    if modifier == "missing":
        return Asked(type_, fact, modifier, (rnd.choice(("true", "false")),))
    if not stock:
        return None
    values = []
    for _ in range(rnd.randint(1, 2)):
        each = rnd.choice(stock)
        if fact.components:
            parts = [_said(rnd, one.type, "", rnd.choice(found)) if found else None for one, found in zip(fact.components, each, strict=True)]
            values.append("$".join(part for part in parts if part) if all(parts) and not any(part and part.endswith("|") for part in parts) else None)
        else:
            values.append(_said(rnd, fact.type, modifier, each))
    named = modifier
    if modifier == "type":  # Patient/a under the modifier :Patient
        named = rnd.choice(fact.targets) if fact.targets else "Patient"
        values = [value and value.rpartition("/")[2] for value in values]
    said = tuple(value for value in values if value)
    return Asked(type_, fact, named, said) if said and _may_be_asked(fact, named, said, stock) else None


def _may_be_asked(fact: SearchParameterFact, modifier: str, values: tuple[str, ...], stock: list[Any]) -> bool:
    """Leave out what R4 does not define: such searches are refused, as the tables of modifiers show."""
    types = {each.type for each in stock if isinstance(each, Found)}
    if fact.type == "reference":
        canonical = any(isinstance(each.value, str) for each in stock)
        return canonical if modifier == "below" else not canonical if modifier else True
    if fact.type == "uri":
        return not modifier or all(value.startswith("http://a.example") for value in values)
    if fact.type == "token" and modifier == "text":
        return bool(types & {"CodeableConcept", "Coding", "Identifier"})
    return modifier != "of-type" or types == {"Identifier"}


def _store(repository: Repository, made: list[Json]) -> None:
    encode = msgspec.json.Encoder(decimal_format="number").encode
    for start in range(0, len(made), 200):
        entries = [{"resource": each, "request": {"method": "PUT", "url": f"{each['resourceType']}/{each['id']}"}} for each in made[start : start + 200]]
        repository.transaction(scope("operator"), encode({"resourceType": "Bundle", "type": "transaction", "entry": entries}))


class Both(NamedTuple):
    """The same resources in a store on each kind of database."""

    world: World
    stores: dict[str, Repository]


def _both(request: pytest.FixtureRequest, places: pytest.TempPathFactory, seed: int, each: int, stack: ExitStack) -> Both:
    made = resources(seed, each)
    stores = {dialect: Repository(stack.enter_context(opened(request, dialect, places.mktemp(dialect)))) for dialect in DIALECTS}
    for repository in stores.values():
        _store(repository, made)
    return Both(World(made), stores)


@pytest.fixture(scope="module")
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    """Twenty resources of each type."""
    with ExitStack() as stack:
        yield _both(request, tmp_path_factory, 20261122, 20, stack)


def _compare(both: Both, rnd: random.Random) -> bool | None:
    """Ask once; say whether the search found something, but not everything."""
    asked = [each for each in (ask(rnd, both.world) for _ in range(rnd.choice((1, 1, 2)))) if each is not None]
    mine = [each for each in asked if each.type == asked[0].type]
    if not mine:
        return None
    expected = set.intersection(*(both.world.expected(each) for each in mine))
    query = "&".join(each.query for each in mine)
    for dialect, repository in both.stores.items():
        found = [stored.id for stored in repository.all(scope("operator"), mine[0].type, f"{query}&_count=25")]
        assert sorted(found) == sorted(expected), f"{dialect} {mine[0].type}?{query}"
    return 0 < len(expected) < len(both.world.of_type[mine[0].type])


@pytest.mark.conformance("FHIR R4: search", "searches by every kind of parameter, prefix and modifier find what a FHIRPath evaluation of the published expression finds, on both databases")
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_a_search_finds_what_the_published_expression_finds(both: Both, seed: int) -> None:
    _compare(both, random.Random(seed))


@pytest.mark.long
@pytest.mark.parametrize("seed", range(4))
def test_many_searches_over_many_resources_find_what_the_published_expressions_find(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    with ExitStack() as stack:
        both, rnd = _both(request, tmp_path_factory, seed, 80, stack), random.Random(seed)
        told = [_compare(both, rnd) for _ in range(1500)]
    assert sum(each is not None for each in told) > 800
    assert told.count(True) > 300
