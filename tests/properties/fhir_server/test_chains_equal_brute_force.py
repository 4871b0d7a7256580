"""Chains and _has find exactly what a look at every visible resource finds: random resources, random hidden rows, random queries."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chartloop.kernel.access.scope import Scope
from fhir_server.repository import Repository
from fhir_server.search import hops as search_hops
from tests.integration.fhir_server.conftest import *  # noqa: F403  the store and who asks
from tests.properties.fhir_server.brute_force import Resource, token_matches, tokens
from tests.properties.fhir_server.limited import PLANS, found_within, plans_of, total_within

PSY = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PSY"}]}
Visible = dict[str, list[Resource]]
Matches = Callable[[Visible, Resource], bool]
Said = tuple[str, str, Matches]
"""Name and value of a parameter, and what it means."""

REFERENCES = {"Observation": "subject", "Patient": "managingOrganization", "Encounter": "subject", "Organization": "partOf"}
FORWARD = {
    "Observation": [("subject:Patient", "Patient"), ("patient", "Patient")],
    "Encounter": [("patient", "Patient"), ("subject:Patient", "Patient")],
    "Patient": [("organization", "Organization")],
    "Organization": [("partof", "Organization")],
}
REVERSE = {
    "Patient": [("Observation:patient", "Observation"), ("Encounter:subject", "Encounter")],
    "Organization": [("Patient:organization", "Patient"), ("Organization:partof", "Organization")],
}


def _resource(rnd: random.Random, type_: str, id_: str) -> Resource:
    resource: Resource = {"resourceType": type_, "id": id_, **({"meta": PSY} if rnd.random() < 0.25 else {})}
    if type_ == "Observation":
        resource |= {"status": rnd.choice(("final", "amended")), "code": {"coding": [{"code": rnd.choice("xyz")}]}}
    elif type_ == "Encounter":
        resource |= {"status": rnd.choice(("finished", "planned")), "class": {"code": rnd.choice("xyz")}}
    elif type_ == "Patient":
        resource |= {"name": [{"family": rnd.choice(("Smith", "Smythe", "Jones"))}]} if rnd.random() < 0.8 else {}
        resource |= {"gender": rnd.choice(("male", "female"))} if rnd.random() < 0.7 else {}
    else:
        resource |= {"name": rnd.choice(("Smith House", "Jones House"))}
    if rnd.random() < 0.8:
        target = "Organization" if REFERENCES[type_] != "subject" else "Patient"
        to = f"{target}/{target[0].lower()}{rnd.randrange(14)}"
        resource[REFERENCES[type_]] = {"reference": to if rnd.random() < 0.8 else f"{BASE}/{to}"}  # noqa: F405
    return resource


@pytest.fixture
def world(repository: Repository, operator: Scope) -> tuple[Repository, dict[str, dict[str, Resource]]]:
    """Resources that were stored, changed and in part deleted; a quarter of them is psychiatric."""
    rnd = random.Random(20261122)
    living: dict[str, dict[str, Resource]] = {type_: {} for type_ in REFERENCES}
    gone: set[tuple[str, str]] = set()
    for type_, ids in (("Organization", 12), ("Patient", 12), ("Observation", 40), ("Encounter", 20)):
        for _ in range(ids * 3 // 2):
            id_ = f"{type_[0].lower()}{rnd.randrange(ids)}"
            if (type_, id_) in gone:
                continue
            if id_ in living[type_] and rnd.random() < 0.3:
                repository.delete(operator, type_, id_)
                gone.add((type_, id_))
                del living[type_][id_]
            else:
                labelled = "meta" in living[type_].get(id_, {})  # no write takes a label away
                living[type_][id_] = _resource(rnd, type_, id_) | ({"meta": PSY} if labelled else {})
                repository.update(operator, type_, id_, living[type_][id_])
    return repository, living


def _refers(resource: Resource, to: Resource) -> bool:
    found = resource.get(REFERENCES[resource["resourceType"]], {}).get("reference", "")
    return bool(found.removeprefix(f"{BASE}/") == f"{to['resourceType']}/{to['id']}")  # noqa: F405


def _token(code: str, values: str) -> st.SearchStrategy[Said]:
    """Any of some codes, or none of them."""
    texts = st.lists(st.sampled_from(values.split()), min_size=1, max_size=2, unique=True)

    def said(pair: tuple[list[str], bool]) -> Said:
        wanted, negated = pair
        return (
            f"{code}{':not' if negated else ''}", ",".join(wanted),
            lambda _, resource: any(token_matches(text, tokens(resource, code)) for text in wanted) != negated,
        )  # fmt: skip

    return st.tuples(texts, st.booleans()).map(said)


def _missing(code: str, element: str) -> st.SearchStrategy[Said]:
    return st.booleans().map(lambda true: (f"{code}:missing", str(true).lower(), lambda _, resource: (element not in resource) == true))


def _id(letter: str) -> st.SearchStrategy[Said]:
    ids = st.lists(st.integers(0, 14).map(lambda number: f"{letter}{number}"), min_size=1, max_size=6)
    return ids.map(lambda wanted: ("_id", ",".join(wanted), lambda _, resource: resource["id"] in wanted))


def _name(resource: Resource) -> str:
    name = resource.get("name", "")
    return str(name if isinstance(name, str) else name[0]["family"]).lower()


NAME = st.sampled_from(("smith", "sm", "jones", "x")).map(lambda text: ("name", text, lambda _, resource: _name(resource).startswith(text)))
LEAVES: dict[str, st.SearchStrategy[Said]] = {
    "Observation": st.one_of(_token("code", "x y |z"), _token("status", "final amended"), _missing("subject", "subject"), _id("o")),
    "Encounter": st.one_of(_token("status", "finished planned"), _missing("patient", "subject"), _id("e")),
    "Patient": st.one_of(_token("gender", "male female"), NAME, _missing("gender", "gender"), _missing("organization", "managingOrganization"), _id("p")),
    "Organization": st.one_of(NAME, _missing("partof", "partOf"), _id("o")),
}


def _forward(code: str, target: str, inner: Said) -> Said:
    name, value, matches = inner
    return (
        f"{code}.{name}", value,
        lambda visible, resource: any(_refers(resource, each) and matches(visible, each) for each in visible[target]),
    )  # fmt: skip


def _reverse(code: str, source: str, inner: Said) -> Said:
    name, value, matches = inner
    return (
        f"_has:{code}:{name}", value,
        lambda visible, resource: any(_refers(each, resource) and matches(visible, each) for each in visible[source]),
    )  # fmt: skip


def _criterion(type_: str, depth: int) -> st.SearchStrategy[Said]:
    options = [LEAVES[type_]]
    if depth:
        options += [_criterion(far, depth - 1).map(lambda inner, c=code, t=far: _forward(c, t, inner)) for code, far in FORWARD[type_]]
        options += [_criterion(far, depth - 1).map(lambda inner, c=code, t=far: _reverse(c, t, inner)) for code, far in REVERSE.get(type_, [])]
    return st.one_of(options[1:] * 2 + options[:1])


ASKED = st.sampled_from(sorted(REFERENCES)).flatmap(
    lambda type_: st.tuples(st.just(type_), st.lists(st.one_of(_criterion(type_, 3), LEAVES[type_]), min_size=1, max_size=3))
)


@pytest.fixture
def limit() -> Iterator[Callable[[int], None]]:
    """Set how many resources one end of a hop may have."""
    before = search_hops.MAX_LINKED
    yield lambda number: setattr(search_hops, "MAX_LINKED", number)
    search_hops.MAX_LINKED = before  # type: ignore[misc]


@pytest.mark.conformance("FHIR R4: search", "random chains, _has, :missing and :not find what a look at every visible resource finds, on both databases")
@pytest.mark.conformance("Access", "random chains and _has over random hidden rows find what they find where nothing is hidden and the rows are gone")
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=ASKED, count=st.integers(1, 30), sort=st.sampled_from(("", "&_sort=-_id", "&_sort=_lastUpdated,-_id")), most=st.sampled_from((10_000, 25, 8)), plans=st.sampled_from(sorted(PLANS)))
def test_a_chain_finds_what_a_look_at_everything_finds(
    world: tuple[Repository, dict[str, dict[str, Resource]]], limit: Callable[[int], None], asked: tuple[str, list[Said]], count: int, sort: str, most: int, plans: str
) -> None:
    repository, living = world
    limit(most)
    with plans_of(plans):
        _found_as_by_looking_at_everything(repository, living, asked, f"{sort}&_count={count}", most)


def _found_as_by_looking_at_everything(
    repository: Repository, living: dict[str, dict[str, Resource]], asked: tuple[str, list[Said]], rest: str, most: int
) -> None:
    type_, said = asked
    query = "&".join(f"{name}={value}" for name, value, _ in said) + rest
    for role in ("clinician", "psychiatric-clinician"):
        visible: Visible = {each: [r for r in some.values() if role != "clinician" or "meta" not in r] for each, some in living.items()}
        expected = sorted(r["id"] for r in visible[type_] if all(matches(visible, r) for _, _, matches in said))
        found = found_within(repository, role, type_, query, most)
        if found is None:
            continue
        assert sorted(found) == expected, (role, query)
        assert total_within(repository, role, type_, query, most) in (len(expected), *([None] if most < 10_000 else []))
        if rest.startswith("&_sort=-_id"):
            assert found == expected[::-1]
