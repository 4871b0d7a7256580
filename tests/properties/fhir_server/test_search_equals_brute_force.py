"""A search finds exactly what a look at every resource finds: random resources, random queries, both databases."""

from __future__ import annotations

import datetime as dt
import json
import random
from dataclasses import replace
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.clock import FakeClock
from fhir_server.repository import Repository
from fhir_server.store import Store
from tests.integration.fhir_server.conftest import *  # noqa: F403  the store and who asks
from tests.properties.fhir_server.brute_force import (
    DATE,
    UCUM,
    UNITS,
    Resource,
    below,
    date_matches,
    date_range,
    of_type_matches,
    quantity_matches,
    text_matches,
    token_matches,
    tokens,
)
from tests.properties.fhir_server.limited import PLANS, plans_of

SYSTEMS = ("", "urn:a", "urn:b")
CODES = ("x", "y", "z")
DATES = ("2024", "2024-02", "2024-02-29", "2024-02-29T12:00:00Z", "2024-03-01T00:00:00+01:00", "2025-01-01", "1999-12")
NUMBERS = ("1", "1.0", "1.04", "1.05", "1.1", "2", "-3.5", "70", "72.50")
PATIENTS = ("a", "b", "c")
AMOUNTS = st.builds(
    "{}{}{}".format, st.sampled_from(("", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")), st.sampled_from((*NUMBERS, "0.001", "1000", "9.6", "0.0010")),
    st.one_of(st.just(""), st.sampled_from((*UNITS, "own")).map(lambda code: f"|{UCUM}|{code}"), st.sampled_from(("||kg", "||a word", "|urn:u|kg", "||own"))),
)  # fmt: skip
TOKENS = st.builds("{}{}".format, st.sampled_from(("", "|", "urn:a|", "urn:b|")), st.sampled_from(CODES))
NOW = dt.datetime(2026, 11, 22, 8, tzinfo=dt.UTC)
"""The time that the clock of the tests shows."""


TEXTS = ("Body weight", "body  Height", "Bödy", "W")
"""Displays and texts."""
TYPES = ("MR", "SS")
PROFILES = ("http://a.example/p", "http://a.example/p/1", "http://a.example/p1", "http://a.example", "urn:oid:1")
PARENT = {"y": "x", "z": "y"}
"""The hierarchy of the codes of urn:a; the value set http://a.example/vs has x and y of it, and all of urn:b."""


class Letters:
    """A terminology of three codes."""

    def expand(self, value_set: str) -> dict[str, frozenset[str] | None] | None:
        return {"urn:a": frozenset("xy"), "urn:b": None} if value_set == "http://a.example/vs" else None

    def below(self, system: str, code: str) -> frozenset[str] | None:
        return frozenset(each for each in CODES if code in _above(each)) if system == "urn:a" else None

    def above(self, system: str, code: str) -> frozenset[str] | None:
        return frozenset(_above(code)) if system == "urn:a" else None


def _above(code: str) -> list[str]:
    return [code, *_above(PARENT[code])] if code in PARENT else [code]


def _coding(rnd: random.Random) -> dict[str, str]:
    system = rnd.choice(SYSTEMS)
    code = {"code": rnd.choice(CODES)} if rnd.random() < 0.9 or not system else {}
    return {**code, **({"system": system} if system else {}), **({"display": rnd.choice(TEXTS)} if rnd.random() < 0.5 else {})}


def _observation(rnd: random.Random, id_: str) -> Resource:
    resource: Resource = {"resourceType": "Observation", "id": id_, "status": rnd.choice(("final", "amended"))}
    resource["code"] = {"coding": [_coding(rnd) for _ in range(rnd.randint(1, 2))]}
    if rnd.random() < 0.3:
        resource["code"] = {**(resource["code"] if rnd.random() < 0.5 else {}), "text": rnd.choice(TEXTS)}
    if rnd.random() < 0.5:
        type_ = {"type": {"coding": [{"system": rnd.choice(("urn:t", "urn:a")), "code": rnd.choice(TYPES)}]}}
        resource["identifier"] = [{"value": rnd.choice("12"), "system": "urn:i", **(type_ if rnd.random() < 0.8 else {})} for _ in range(rnd.randint(1, 2))]
    if rnd.random() < 0.5:
        resource["meta"] = {"profile": rnd.sample(PROFILES, rnd.randint(1, 2))}
    if rnd.random() < 0.8:
        resource["subject"] = {"reference": f"Patient/{rnd.choice(PATIENTS)}"}
    if rnd.random() < 0.8:
        resource["effectiveDateTime"] = rnd.choice(DATES)
    if rnd.random() < 0.5:
        resource["valueQuantity"] = _stored(rnd)
    elif rnd.random() < 0.8:  # obs-7: no component has the code of an Observation that has a value
        resource["component"] = [_component(rnd) for _ in range(rnd.randint(1, 3))]
    return resource


def _stored(rnd: random.Random) -> Resource:
    code = rnd.choice((*UNITS, "own"))
    quantity = {"value": Decimal(rnd.choice(NUMBERS)), "system": rnd.choice((UCUM, UCUM, UCUM, "urn:u")), "code": code, "unit": rnd.choice((code, code, "a word"))}
    return quantity | ({"comparator": rnd.choice(("<", "<=", ">", ">="))} if rnd.random() < 0.15 else {})


def _component(rnd: random.Random) -> Resource:
    part: Resource = {"code": {"coding": [_coding(rnd) for _ in range(rnd.randint(1, 2))]}}
    if rnd.random() < 0.3:
        return part | {"valueCodeableConcept": {"coding": [_coding(rnd) for _ in range(rnd.randint(1, 2))]}}
    return part | ({"valueQuantity": _stored(rnd)} if rnd.random() < 0.9 else {})


@pytest.fixture
def repository(store: Store) -> Repository:
    """The door to a store that knows the codes of one system."""
    return Repository(replace(store, terminology=Letters()))


@pytest.fixture
def everything(repository: Repository, operator: Scope, fake_clock: FakeClock) -> tuple[Repository, Scope, list[Resource]]:
    """Resources that were stored, changed and in part deleted."""
    rnd = random.Random(20261122)
    living: dict[str, Resource] = {}
    for _ in range(120):
        id_ = f"o{rnd.randrange(70)}"
        if id_ in living and rnd.random() < 0.2:
            repository.delete(operator, "Observation", id_)
            del living[id_]
        else:
            living[id_] = _observation(rnd, id_)
            repository.update(operator, "Observation", id_, json.dumps(living[id_], default=float).encode())
    return repository, operator, list(living.values())


def _token(code: str) -> st.SearchStrategy[tuple[str, Any]]:
    systems = (None,) if code == "status" else (*SYSTEMS, None)  # a status has the system of its binding
    text = st.tuples(st.sampled_from(systems), st.sampled_from((*CODES, "final", ""))).filter(lambda pair: pair[0] or pair[1])
    text = text.map(lambda pair: pair[1] if pair[0] is None else f"{pair[0]}|{pair[1]}")
    values = st.lists(text, min_size=1, max_size=3)
    return st.tuples(values, st.booleans()).map(
        lambda pair: (
            f"{code}{':not' if pair[1] else ''}={','.join(pair[0])}",
            lambda resource: any(token_matches(text, tokens(resource, code)) for text in pair[0]) != pair[1],
        )
    )


def _date() -> st.SearchStrategy[tuple[str, Any]]:
    one = st.tuples(st.sampled_from((*DATE, "", "ap")), st.sampled_from(DATES))

    def matches(pairs: list[tuple[str, str]], resource: Resource) -> bool:
        value = resource.get("effectiveDateTime")
        return value is not None and any(date_matches(prefix, text, value, NOW) for prefix, text in pairs)

    return st.lists(one, min_size=1, max_size=2).map(
        lambda pairs: ("date=" + ",".join(prefix + text.replace("+", "%2B") for prefix, text in pairs), lambda resource: matches(pairs, resource))
    )


def _quantity() -> st.SearchStrategy[tuple[str, Any]]:
    return st.lists(AMOUNTS, min_size=1, max_size=2).map(
        lambda texts: (
            f"value-quantity={quote(','.join(texts))}",
            lambda resource: "valueQuantity" in resource and any(quantity_matches(text, resource["valueQuantity"]) for text in texts),
        )
    )


def _groups(resource: Resource, name: str) -> list[Resource]:
    """What the code and the value of a composite must both be in."""
    return ([] if name.startswith("component") else [resource]) + ([] if name.startswith("code") else resource.get("component", []))


def _composite() -> st.SearchStrategy[tuple[str, Any]]:
    names = st.sampled_from(("code-value", "component-code-value", "combo-code-value"))
    pairs = st.lists(st.tuples(TOKENS, AMOUNTS), min_size=1, max_size=2)

    def with_quantity(name: str, pairs: list[tuple[str, str]]) -> tuple[str, Any]:
        return f"{name}-quantity={quote(','.join('$'.join(pair) for pair in pairs))}", lambda resource: any(
            token_matches(token, tokens(group, "code")) and quantity_matches(amount, group["valueQuantity"])
            for group in _groups(resource, name) if "valueQuantity" in group for token, amount in pairs
        )  # fmt: skip

    def with_concept(name: str, pair: tuple[str, str]) -> tuple[str, Any]:
        return f"{name}-concept={quote('$'.join(pair))}", lambda resource: any(
            token_matches(pair[0], tokens(group, "code")) and token_matches(pair[1], tokens({"code": group["valueCodeableConcept"]}, "code"))
            for group in _groups(resource, name) if "valueCodeableConcept" in group
        )  # fmt: skip

    return st.one_of(st.builds(with_quantity, names, pairs), st.builds(with_concept, names, st.tuples(TOKENS, TOKENS)))


def _patient() -> st.SearchStrategy[tuple[str, Any]]:
    return st.lists(st.sampled_from(PATIENTS), min_size=1, max_size=2).map(
        lambda ids: (
            "patient=" + ",".join(f"Patient/{id_}" for id_ in ids),
            lambda resource: resource.get("subject", {}).get("reference") in {f"Patient/{id_}" for id_ in ids},
        )
    )


def _text() -> st.SearchStrategy[tuple[str, Any]]:
    values = st.lists(st.sampled_from(("body", "Body W", "weight", "w", "body  h", "1")), min_size=1, max_size=2)
    return values.map(lambda texts: (f"code:text={','.join(texts)}", lambda resource: any(text_matches(text, resource) for text in texts)))


def _of_type() -> st.SearchStrategy[tuple[str, Any]]:
    value = st.tuples(st.sampled_from(("urn:t", "urn:a")), st.sampled_from(TYPES), st.sampled_from("123")).map("|".join)
    return value.map(lambda text: (f"identifier:of-type={text}", lambda resource: of_type_matches(text, resource)))


def _profile() -> st.SearchStrategy[tuple[str, Any]]:
    def matches(up: bool, url: str, resource: Resource) -> bool:
        found = resource.get("meta", {}).get("profile", [])
        return any(below(each, [url]) for each in found) if up else below(url, found)

    values = st.sampled_from(("http://a.example/p", "http://a.example", "http://a.example/p/1/x", "http://a.example/p1", "http://a.exampl"))
    return st.tuples(st.booleans(), values).map(
        lambda pair: (f"_profile:{'above' if pair[0] else 'below'}={pair[1]}", lambda resource: matches(*pair, resource))
    )


def _concept() -> st.SearchStrategy[tuple[str, Any]]:
    def of(resource: Resource, system: str) -> set[str]:
        return {code for its, code in tokens(resource, "code") if its == system}

    sets = st.booleans().map(lambda no: (
        f"code:{'not-' if no else ''}in=http://a.example/vs", lambda resource: bool(of(resource, "urn:a") & {"x", "y"} or of(resource, "urn:b")) != no
    ))  # fmt: skip
    under = st.sampled_from(CODES).map(lambda code: (f"code:below=urn:a|{code}", lambda resource: any(code in _above(each) for each in of(resource, "urn:a"))))
    over = st.sampled_from(CODES).map(lambda code: (f"code:above=urn:a|{code}", lambda resource: bool(of(resource, "urn:a") & set(_above(code)))))
    return st.one_of(sets, under, over)


def _missing() -> st.SearchStrategy[tuple[str, Any]]:
    names = {"date": "effectiveDateTime", "subject": "subject", "value-quantity": "valueQuantity"}
    return st.tuples(st.sampled_from(sorted(names)), st.booleans()).map(
        lambda pair: (f"{pair[0]}:missing={str(pair[1]).lower()}", lambda resource: (names[pair[0]] not in resource) == pair[1])
    )


PARTS = (_token("code"), _token("status"), _date(), _quantity(), _composite(), _patient(), _missing(), _text(), _of_type(), _profile(), _concept())
CRITERIA = st.lists(st.one_of(*PARTS), min_size=1, max_size=3)
SORTS = st.sampled_from(("", "&_sort=date", "&_sort=-date", "&_sort=-_id", "&_sort=_lastUpdated", "&_sort=-date,_id"))


@pytest.mark.long
@pytest.mark.conformance("FHIR R4: search", "random queries find what a look at every resource finds, on both databases")
@pytest.mark.conformance("What a new user does", "store tests run on SQLite and on a real PostgreSQL, with the same expected counts")
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(criteria=CRITERIA, sort=SORTS, count=st.integers(1, 30), plans=st.sampled_from(sorted(PLANS)))
def test_a_search_finds_what_a_look_at_everything_finds(
    everything: tuple[Repository, Scope, list[Resource]], criteria: list[tuple[str, Any]], sort: str, count: int, plans: str
) -> None:
    repository, operator, living = everything
    expected = sorted(resource["id"] for resource in living if all(matches(resource) for _, matches in criteria))
    query = "&".join(text for text, _ in criteria) + sort
    with plans_of(plans):
        found = [stored.id for stored in repository.all(operator, "Observation", f"{query}&_count={count}")]
        total = repository.search(operator, "Observation", f"{query}&_total=accurate").total
    assert sorted(found) == expected, query
    assert total == len(expected)
    if sort == "&_sort=-_id":
        assert found == expected[::-1]
    if sort in ("&_sort=-date", "&_sort=date"):
        when = {resource["id"]: date_range(resource["effectiveDateTime"])[0] for resource in living if "effectiveDateTime" in resource}
        dated = [when[id_] for id_ in found if id_ in when]
        assert dated == sorted(dated, reverse=sort == "&_sort=-date")
