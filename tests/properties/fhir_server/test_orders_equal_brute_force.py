"""Every order of a search, forwards and backwards, equals sorting every visible resource in memory: all kinds of keys, both databases."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import groupby
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chartloop.kernel.access.scope import Scope
from fhir_server.repository import Repository
from fhir_server.search import by_words, planner, valued
from fhir_server.store import Page
from tests.integration.fhir_server.conftest import *  # noqa: F403  the store and who asks
from tests.integration.fhir_server.conftest import scope
from tests.properties.fhir_server.brute_force import Resource, date_range

PSY = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PSY"}]}
DATES = ("2024", "2024-02", "2024-02-29", "2024-02-29T12:00:00Z", "2025-01-01", "1999-12", "1969-07-20")
NUMBERS = (0.1, 0.5, 0.50, 0.95, 1)


def _risk(rnd: random.Random, id_: str) -> Resource:
    resource: Resource = {"resourceType": "RiskAssessment", "id": id_, "status": rnd.choice(("final", "amended", "registered"))}
    resource["subject"] = {"reference": rnd.choice(("Patient/a", "Patient/b", f"{BASE}/Patient/c", "Group/a"))}  # noqa: F405
    if rnd.random() < 0.2:
        resource["meta"] = PSY
    if rnd.random() < 0.7:
        resource["occurrenceDateTime"] = rnd.choice(DATES)
    resource["identifier"] = [{"system": "urn:x", "value": rnd.choice("abcdefgh")} for _ in range(rnd.randrange(4))] or None
    resource["prediction"] = [{"probabilityDecimal": rnd.choice(NUMBERS)} for _ in range(rnd.randrange(4))] or None
    return {name: value for name, value in resource.items() if value is not None}


def _observation(rnd: random.Random, id_: str) -> Resource:
    coding = [{"system": rnd.choice(("urn:a", "urn:b")), "code": rnd.choice("xyzXY")} for _ in range(rnd.randint(1, 3))]
    resource: Resource = {"resourceType": "Observation", "id": id_, "status": "final", "code": {"coding": coding}}
    if rnd.random() < 0.7:
        resource["effectiveDateTime"] = rnd.choice(DATES)
    if rnd.random() < 0.7:
        resource["valueQuantity"] = {"value": rnd.choice((-3.5, 0, 1, 70, 72.5)), "system": "urn:u", "code": "kg"}
    elif rnd.random() < 0.5:
        resource["valueString"] = rnd.choice(("Ärger", "arm", "Bein", "zeh", "Z"))
    return resource


KEYS: dict[str, dict[str, Callable[[Resource], list[Any]]]] = {
    "RiskAssessment": {
        "_id": lambda each: [each["id"]],
        "date": lambda each: [date_range(each["occurrenceDateTime"])[0]] if "occurrenceDateTime" in each else [],
        "probability": lambda each: [one["probabilityDecimal"] for one in each.get("prediction", ())],
        "identifier": lambda each: [one["value"] for one in each.get("identifier", ())],
        "subject": lambda each: [each["subject"]["reference"].removeprefix(f"{BASE}/")],  # noqa: F405
    },
    "Observation": {
        "_id": lambda each: [each["id"]],
        "date": lambda each: [date_range(each["effectiveDateTime"])[0]] if "effectiveDateTime" in each else [],
        "code": lambda each: [one["code"] for one in each["code"]["coding"]],
        "value-quantity": lambda each: [each["valueQuantity"]["value"]] if "valueQuantity" in each else [],
        "value-string": lambda each: [each["valueString"].lower().replace("ä", "a")] if "valueString" in each else [],
    },
}


@pytest.fixture
def world(repository: Repository, operator: Scope) -> tuple[Repository, list[Resource]]:
    """Resources of two types, some of them psychiatric."""
    rnd = random.Random(20261122)
    living = [_risk(rnd, f"r{number}") for number in range(40)] + [_observation(rnd, f"o{number}") for number in range(40)]
    for resource in living:
        repository.update(operator, resource["resourceType"], resource["id"], resource)
    return repository, living


def _rank(resource: Resource, keys: list[tuple[str, bool]]) -> list[Any]:
    """What a resource is ordered by: of several values the first in the direction, and after all values none."""
    ranked = []
    for name, descending in keys:
        values = KEYS[resource["resourceType"]][name](resource)
        ranked.append((max if descending else min)(values) if values else None)
    return ranked


def _sorted(resources: list[Resource], keys: list[tuple[str, bool]]) -> list[list[str]]:
    """Ids in order; those that no key tells apart stand together."""
    found = sorted(resources, key=lambda each: each["id"])
    for place in range(len(keys) - 1, -1, -1):
        absent = [each for each in found if _rank(each, keys)[place] is None]
        present = [each for each in found if _rank(each, keys)[place] is not None]
        found = sorted(present, key=lambda each: _rank(each, keys)[place], reverse=keys[place][1]) + absent
    return [sorted(each["id"] for each in alike) for _, alike in groupby(found, lambda each: _rank(each, keys))]


def _pages(search: Callable[[str], Page], query: str) -> tuple[list[str], list[str]]:
    """Ids of all pages, forwards, and backwards again from the last."""
    page = search(query)
    forwards = [entry.id for entry in page.entries]
    while page.next is not None:
        page = search(page.next)
        forwards += [entry.id for entry in page.entries]
    backwards = [entry.id for entry in page.entries]
    while page.previous is not None:
        page = search(page.previous)
        backwards = [entry.id for entry in page.entries] + backwards
    return forwards, backwards


def _orders(names: list[str]) -> st.SearchStrategy[list[tuple[str, bool]]]:
    return st.lists(st.tuples(st.sampled_from(names), st.booleans()), min_size=1, max_size=3, unique_by=lambda pair: pair[0])


ASKED = st.sampled_from(["RiskAssessment", "Observation"]).flatmap(lambda type_: st.tuples(st.just(type_), _orders(sorted(KEYS[type_]))))


@pytest.fixture(params=[0, 2000])
def estimate(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """None: nothing counts as selective, and a page is read off an index or the vocabulary in its order, a little at a time."""
    monkeypatch.setattr(planner, "ESTIMATE_LIMIT", request.param)
    if request.param == 0:
        monkeypatch.setattr(valued, "MAX_VALUED", 7)
        monkeypatch.setattr(by_words, "_FIRST", 2)
        monkeypatch.setattr(by_words, "_WORDS", 2)


@pytest.mark.usefixtures("estimate")
@pytest.mark.conformance("FHIR R4: search", "_sort by up to three keys of every kind, up and down, equals sorting in memory: several values, none, hidden rows, pages")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    asked=ASKED, count=st.integers(1, 30), role=st.sampled_from(("clinician", "psychiatric-clinician")),
    narrow=st.sampled_from(("", "_lastUpdated=gt2020", "_tag:missing=true")),
)  # fmt: skip
def test_an_order_equals_sorting_in_memory(
    world: tuple[Repository, list[Resource]], asked: tuple[str, list[tuple[str, bool]]], count: int, role: str, narrow: str
) -> None:
    repository, living = world
    type_, keys = asked
    visible = [each for each in living if each["resourceType"] == type_ and (role != "clinician" or "meta" not in each)]
    sort = ",".join(f"{'-' if descending else ''}{name}" for name, descending in keys)
    forwards, backwards = _pages(lambda query: repository.search(scope(role), type_, query), f"{narrow}&_sort={sort}&_count={count}")
    expected = _sorted(visible, keys)
    assert forwards == backwards
    rest = list(forwards)
    for alike in expected:
        assert sorted(rest[: len(alike)]) == alike, (sort, forwards)
        del rest[: len(alike)]
    assert rest == []


@pytest.mark.conformance("FHIR R4: search", "an order of several types equals sorting all of them in memory")
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(keys=_orders(["_id", "date"]), count=st.integers(1, 30), role=st.sampled_from(("clinician", "psychiatric-clinician")))
def test_an_order_of_several_types_equals_sorting_in_memory(world: tuple[Repository, list[Resource]], keys: list[tuple[str, bool]], count: int, role: str) -> None:
    repository, living = world
    visible = [each for each in living if role != "clinician" or "meta" not in each]
    sort = ",".join(f"{'-' if descending else ''}{name}" for name, descending in keys)
    query = f"_type=RiskAssessment,Observation&_sort={sort}&_count={count}"
    forwards, backwards = _pages(lambda said: repository.search_system(scope(role), said), query)
    assert forwards == backwards
    rest = list(forwards)
    for alike in _sorted(visible, keys):
        assert sorted(rest[: len(alike)]) == alike, (sort, forwards)
        del rest[: len(alike)]
    assert rest == []
