"""Requests that could go round or grow without end: cycles of includes, long lists, long chains, large counts; on both databases."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.integration.fhir_server.test_http import PATIENT, Api, api  # noqa: F401  (a fixture)


def _organization(id_: str, part_of: str) -> dict[str, Any]:
    return {"resourceType": "Organization", "id": id_, "name": id_, "partOf": {"reference": f"Organization/{part_of}"}}


def _searched(api: Api, query: str) -> tuple[int, list[str]]:  # noqa: F811
    answer = api("GET", f"/fhir/{query}")
    assert answer.status_code in (200, 400), answer.data
    entries = json.loads(answer.data).get("entry", ())
    return answer.status_code, sorted(f"{entry['resource']['id']} {entry['search']['mode']}" for entry in entries)


@pytest.mark.conformance("Attacks", "05: Organization.partOf to itself and round a ring, included again and again, comes once and ends")
def test_a_cycle_of_includes_ends(api: Api) -> None:  # noqa: F811
    for id_, part_of in (("self", "self"), ("a", "b"), ("b", "c"), ("c", "a")):
        assert api("PUT", f"/fhir/Organization/{id_}", _organization(id_, part_of)).status_code == 201
    ring = ["a match", "b include", "c include"]
    for query, found in [
        ("_id=self&_include=Organization:partof", ["self match"]),
        ("_id=self&_include:iterate=Organization:partof", ["self match"]),
        ("_id=self&_include:iterate=*&_revinclude:iterate=*", ["self match"]),
        ("_id=a&_include=Organization:partof", ["a match", "b include"]),
        ("_id=a&_include:iterate=Organization:partof", ring),
        ("_id=a&_revinclude:iterate=Organization:partof", ring),
        ("_id=a&_include:iterate=Organization:*&_revinclude:iterate=Organization:partof", ring),
        ("_id=a&partof.partof.partof._id=a", ["a match"]),
        ("_id=a&_has:Organization:partof:_has:Organization:partof:_id=b", ["a match"]),
    ]:
        assert _searched(api, f"Organization?{query}") == (200, found), query
    assert api("GET", "/fhir/Organization?partof.partof.partof.partof._id=a").status_code == 400


LONG = [
    ("Patient?identifier=" + ",".join(f"urn:a|{number}" for number in range(10_000)), "at most 1000 values"),
    ("Patient?_id=" + ",".join(map(str, range(10_000))), "at most 1000 values"),
    ("Patient?name=" + "," * 10_000, "at most 1000 values"),
    ("Observation?" + "&".join("patient.name=x" for _ in range(200)), "at most 8 chained parameters"),
    ("Observation?" + "&".join("_has:Provenance:target:agent=x" for _ in range(200)), "at most 8 chained parameters"),
    ("Organization?" + ".".join(["partof"] * 200) + ".name=x", "at most 3 links"),
    ("Organization?" + "_has:Organization:partof:" * 200 + "name=x", "at most 3 links"),
    ("Patient?" + "&".join("name=x" for _ in range(201)), "cannot be read"),
    ("Patient?_sort=" + ",".join(["name"] * 200), "at most 3 keys"),
    ("Patient?_count=99999999999", "_count is a whole number"),
    ("Patient?_count=-1", "_count is a whole number"),
    ("Patient?_count=٣", "_count is a whole number"),
    ("Location?near=" + ",".join("1|1|1" for _ in range(10_000)), "at most 100 values"),
    ("Observation?code-value-quantity=" + ",".join("a$1" for _ in range(10_000)), "at most 100 values"),
    ("Patient?_filter=" + "(" * 10_000, "_filter"),
    ("Patient?_filter=" + "%20or%20".join("name%20eq%20x" for _ in range(10_000)), "at most 4000 characters"),
    ("Patient?_elements=" + ",".join(["name"] * 10_000), ""),
    ("Patient?_list=" + ",".join(["a"] * 10_000), "at most 10 Lists"),
    ("?_type=" + ",".join(["Patient"] * 10_000), ""),
]


@pytest.mark.conformance("Attacks", "03: what is too long is refused with its limit")
@pytest.mark.conformance("Attacks", "94: 10,000 or-values, 200 chained parameters, chains of 200 steps, 200 sort keys: answered or refused with the limit")
@pytest.mark.parametrize(("query", "said"), LONG, ids=[query[:40] for query, _ in LONG])
def test_what_is_too_long_is_refused_with_its_limit(api: Api, query: str, said: str) -> None:  # noqa: F811
    api("PUT", "/fhir/Patient/p", {**PATIENT, "id": "p"})
    answer = api("GET", f"/fhir/{query}")
    assert answer.status_code == (400 if said else 200), answer.data[:500]
    assert said in answer.data.decode()


@pytest.mark.conformance("Attacks", "94: _count=2147483647 gives one page of at most 1,000")
def test_a_very_large_count_gives_a_page(api: Api) -> None:  # noqa: F811
    api("PUT", "/fhir/Patient/p", {**PATIENT, "id": "p"})
    for query in ("Patient?_count=2147483647", "Patient/_history?_count=2147483647", "?_count=2147483647", "Patient/p/$everything?_count=2147483647", "_history?_count=4294967296"):
        answer = api("GET", f"/fhir/{query}")
        assert (answer.status_code, len(json.loads(answer.data)["entry"])) == (200, 1), query
