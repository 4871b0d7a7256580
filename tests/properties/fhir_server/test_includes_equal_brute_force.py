"""Includes bring exactly what following references by hand brings: random graphs with cycles, random hidden rows, random rounds."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chartloop.kernel.access.scope import Scope
from fhir_server.repository import Repository
from tests.integration.fhir_server.conftest import *  # noqa: F403  the store and who asks
from tests.integration.fhir_server.conftest import scope
from tests.properties.fhir_server.brute_force import Resource

PSY = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PSY"}]}
NUMBERS = {"Organization": 8, "Patient": 8, "Encounter": 10, "Procedure": 14}
ELEMENTS: dict[str, dict[str, tuple[str, ...]]] = {
    "Organization": {"partof": ("Organization",)},
    "Patient": {"organization": ("Organization",), "link": ("Patient",)},
    "Encounter": {"subject": ("Patient",), "service-provider": ("Organization",), "part-of": ("Encounter",)},
    "Procedure": {"subject": ("Patient",), "encounter": ("Encounter",), "part-of": ("Procedure",)},
}
"""By type: reference parameters and what they lead to here."""

Known = dict[tuple[str, str], Resource]
Step = tuple[bool, bool, str, str, str]
"""Reverse, iterate, source, parameter, target; empty: any."""


def _reference(rnd: random.Random, target: str) -> dict[str, str]:
    return {"reference": f"{target}/{target[0].lower()}{rnd.randrange(NUMBERS[target] + 2)}"}


def _resource(rnd: random.Random, type_: str, id_: str) -> tuple[Resource, dict[str, str]]:
    """A resource, and what its parameters refer to."""
    resource: Resource = {"resourceType": type_, "id": id_, **({"meta": PSY} if rnd.random() < 0.2 else {})}
    to = {code: _reference(rnd, targets[0]) for code, targets in ELEMENTS[type_].items() if rnd.random() < 0.75}
    element = {"organization": "managingOrganization", "partof": "partOf", "part-of": "partOf", "service-provider": "serviceProvider"}
    for code, reference in to.items():
        value: Any = reference if code != "link" else [{"other": reference, "type": "seealso"}]
        resource[element.get(code, code)] = [value] if (type_, code) == ("Procedure", "part-of") else value
    if type_ == "Organization":
        resource["name"] = id_
    elif type_ == "Encounter":
        resource |= {"status": "finished", "class": {"code": "AMB"}}
    elif type_ == "Procedure":
        resource |= {"status": "completed", "subject": resource.get("subject", {"reference": "Patient/nobody"})}
    return resource, {code: reference["reference"] for code, reference in to.items()}


@pytest.fixture
def graph(repository: Repository, operator: Scope) -> tuple[Repository, dict[tuple[str, str], dict[str, str]]]:
    """Resources that refer to each other, to what is not there and to themselves."""
    rnd = random.Random(20261122)
    links = {}
    for type_, number in NUMBERS.items():
        for each in range(number):
            id_ = f"{type_[0].lower()}{each}"
            resource, links[type_, id_] = _resource(rnd, type_, id_)
            repository.update(operator, type_, id_, resource)
    return repository, links


def _steps() -> st.SearchStrategy[list[Step]]:
    pairs = [(source, code) for source, codes in ELEMENTS.items() for code in codes]
    named = st.tuples(st.booleans(), st.booleans(), st.sampled_from(pairs), st.booleans()).map(
        lambda four: (four[0], four[1], *four[2], ELEMENTS[four[2][0]][four[2][1]][0] if four[3] else "")
    )
    wild = st.tuples(st.booleans(), st.booleans(), st.sampled_from(("", *ELEMENTS)), st.just(""), st.just(""))
    return st.lists(st.one_of(named, wild), min_size=1, max_size=4)


def _said(step: Step) -> str:
    reverse, iterate, source, code, target = step
    value = "*" if not source else f"{source}:{code or '*'}" + (f":{target}" if target else "")
    return f"_{'rev' if reverse else ''}include{':iterate' if iterate else ''}={value}"


def _follow(step: Step, edge: set[tuple[str, str]], visible: set[tuple[str, str]], links: dict[tuple[str, str], dict[str, str]]) -> set[tuple[str, str]]:
    reverse, _, source, code, target = step
    found = set()
    for holder in visible:
        if source not in ("", holder[0]):
            continue
        for name, text in links[holder].items():
            to = (text.partition("/")[0], text.partition("/")[2])
            if code in ("", name) and target in ("", to[0]):
                if reverse and to in edge:
                    found.add(holder)
                elif not reverse and holder in edge and to in visible:
                    found.add(to)
    return found


@pytest.mark.conformance("FHIR R4: search", "random includes in rounds bring what following references by hand brings, on both databases, also over hidden rows")
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=_steps(), type_=st.sampled_from(sorted(ELEMENTS)), numbers=st.lists(st.integers(0, 9), min_size=1, max_size=3), data=st.data())
def test_includes_bring_what_following_references_brings(
    graph: tuple[Repository, dict[tuple[str, str], dict[str, str]]], steps: list[Step], type_: str, numbers: list[int], data: st.DataObject
) -> None:
    repository, links = graph
    role = data.draw(st.sampled_from(("operator", "psychiatric-clinician")))
    allowed = [step for step in steps if step[1] or _starts(step, type_)] or [(False, True, "", "", "")]
    visible = {(each, stored.id) for each in ELEMENTS for stored in repository.all(scope(role), each, "")}
    ids = ",".join(f"{type_[0].lower()}{number}" for number in numbers)
    page = repository.search(scope(role), type_, "&".join([f"_id={ids}", *map(_said, allowed)]))
    matches = {(type_, f"{type_[0].lower()}{number}") for number in numbers} & visible
    known, edge, rounds = set(matches), set(matches), list(allowed)
    while edge:
        edge = {each for step in rounds for each in _follow(step, edge, visible, links)} - known
        known |= edge
        rounds = [step for step in rounds if step[1]]
    assert {(entry.type, entry.id) for entry in page.entries} == matches
    assert sorted((entry.type, entry.id) for entry in page.included) == sorted(known - matches)


def _starts(step: Step, type_: str) -> bool:
    """Whether an include that is not iterated can be said on a type."""
    reverse, _, source, _, target = step
    return target in ("", type_) if reverse else source in ("", type_)
