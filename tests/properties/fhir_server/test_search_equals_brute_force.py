"""A search finds exactly what a look at every resource finds: random resources, random queries, both databases."""

from __future__ import annotations

import json
import random
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chartloop.kernel.access.scope import Scope
from fhir_server.repository import Repository
from tests.integration.fhir_server.conftest import *  # noqa: F403  the store and who asks
from tests.properties.fhir_server.brute_force import DATE, UCUM, UNITS, Resource, date_range, quantity_matches, token_matches, tokens

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


def _coding(rnd: random.Random) -> dict[str, str]:
    system = rnd.choice(SYSTEMS)
    return {"code": rnd.choice(CODES), **({"system": system} if system else {})}


def _observation(rnd: random.Random, id_: str) -> Resource:
    resource: Resource = {"resourceType": "Observation", "id": id_, "status": rnd.choice(("final", "amended"))}
    resource["code"] = {"coding": [_coding(rnd) for _ in range(rnd.randint(1, 2))]}
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
def everything(repository: Repository, operator: Scope) -> tuple[Repository, Scope, list[Resource]]:
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
    text = st.tuples(st.sampled_from(systems), st.sampled_from((*CODES, "final"))).map(lambda pair: pair[1] if pair[0] is None else f"{pair[0]}|{pair[1]}")
    values = st.lists(text, min_size=1, max_size=3)
    return st.tuples(values, st.booleans()).map(
        lambda pair: (
            f"{code}{':not' if pair[1] else ''}={','.join(pair[0])}",
            lambda resource: any(token_matches(text, tokens(resource, code)) for text in pair[0]) != pair[1],
        )
    )


def _date() -> st.SearchStrategy[tuple[str, Any]]:
    one = st.tuples(st.sampled_from((*DATE, "")), st.sampled_from(DATES))

    def matches(pairs: list[tuple[str, str]], resource: Resource) -> bool:
        value = resource.get("effectiveDateTime")
        return value is not None and any(DATE[prefix or "eq"](date_range(text), date_range(value)) for prefix, text in pairs)

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


def _missing() -> st.SearchStrategy[tuple[str, Any]]:
    names = {"date": "effectiveDateTime", "subject": "subject", "value-quantity": "valueQuantity", "code-value-quantity": "valueQuantity"}
    return st.tuples(st.sampled_from(sorted(names)), st.booleans()).map(
        lambda pair: (f"{pair[0]}:missing={str(pair[1]).lower()}", lambda resource: (names[pair[0]] not in resource) == pair[1])
    )


CRITERIA = st.lists(st.one_of(_token("code"), _token("status"), _date(), _quantity(), _composite(), _patient(), _missing()), min_size=1, max_size=3)
SORTS = st.sampled_from(("", "&_sort=date", "&_sort=-date", "&_sort=-_id", "&_sort=_lastUpdated", "&_sort=-date,_id"))


@pytest.mark.conformance("FHIR R4: search", "random queries find what a look at every resource finds, on both databases")
@pytest.mark.conformance("What a new user does", "store tests run on SQLite and on a real PostgreSQL, with the same expected counts")
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(criteria=CRITERIA, sort=SORTS, count=st.integers(1, 30))
def test_a_search_finds_what_a_look_at_everything_finds(
    everything: tuple[Repository, Scope, list[Resource]], criteria: list[tuple[str, Any]], sort: str, count: int
) -> None:
    repository, operator, living = everything
    expected = sorted(resource["id"] for resource in living if all(matches(resource) for _, matches in criteria))
    query = "&".join(text for text, _ in criteria) + sort
    found = [stored.id for stored in repository.all(operator, "Observation", f"{query}&_count={count}")]
    assert sorted(found) == expected, query
    assert repository.search(operator, "Observation", f"{query}&_total=accurate").total == len(expected)
    if sort == "&_sort=-_id":
        assert found == expected[::-1]
    if sort in ("&_sort=-date", "&_sort=date"):
        when = {resource["id"]: date_range(resource["effectiveDateTime"])[0] for resource in living if "effectiveDateTime" in resource}
        dated = [when[id_] for id_ in found if id_ in when]
        assert dated == sorted(dated, reverse=sort == "&_sort=-date")
