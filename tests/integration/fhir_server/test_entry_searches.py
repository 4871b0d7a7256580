"""Searches of the system and in compartments as entries of batches and transactions, on both databases."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fhir_server.store import Store
from tests.integration.fhir_server.conftest import BASE
from tests.integration.fhir_server.test_entries import ANN, BOTH, PSY, _entries, _entry, _issue, _send
from tests.integration.fhir_server.test_http import Api

PLACES = [
    "?_type=Patient", "?_type=Patient,Observation&_sort=_id", f"{BASE}?_id=p", "Patient/p/Observation", "Patient/p/Observation?code=x&_count=1", "Patient/p/*?_sort=_id",
    f"{BASE}/Encounter/e/Observation",
]  # fmt: skip


def _observation(id_: str, **more: Any) -> dict[str, Any]:
    code = {"coding": [{"system": "urn:c", "code": "x"}]}
    return {"resourceType": "Observation", "id": id_, "status": "final", "code": code, "subject": {"reference": "Patient/p"}, **more}


@pytest.fixture
def api(store: Store) -> Api:
    """A patient, an encounter and two observations, one of them hidden from most."""
    api = Api(store)
    encounter = {"resourceType": "Encounter", "id": "e", "status": "finished", "class": {"code": "AMB"}, "subject": {"reference": "Patient/p"}}
    for resource in (ANN, encounter, _observation("o1", encounter={"reference": "Encounter/e"}), _observation("o2", meta={"security": [PSY]})):
        assert api("PUT", f"/fhir/{resource['resourceType']}/{resource['id']}", resource).status_code == 201
    return api


@pytest.mark.conformance("FHIR R4: transactions", "GET entries search the system and compartments as GET does, links included")
@BOTH
def test_an_entry_searches_the_system_and_compartments(api: Api, type_: str) -> None:
    entries = _entries(_send(api, type_, *(_entry("GET", url) for url in PLACES)))
    for url, entry in zip(PLACES, entries, strict=True):
        address = url.removeprefix(BASE + "/").removeprefix(BASE)
        alone = json.loads(api("GET", f"/fhir{'' if address.startswith('?') else '/'}{address}").data)
        assert entry["response"]["status"] == "200 OK"
        assert {**entry["resource"], "link": []} == {**alone, "link": []}, url
        assert entry["resource"]["link"][0] == alone["link"][0], url
    assert [len(entry["resource"].get("entry", ())) for entry in entries] == [1, 2, 1, 1, 1, 2, 1]


@pytest.mark.conformance("FHIR R4: transactions", "an entry searches the compartment of what its transaction stores")
def test_an_entry_searches_the_compartment_of_what_is_stored(api: Api) -> None:
    about = _observation("o3", subject={"reference": "Patient/new"})
    done = _entries(_send(api, "transaction", _entry("GET", "Patient/new/Observation"), _entry("PUT", "Patient/new", {**ANN, "id": "new"}), _entry("PUT", "Observation/o3", about)))
    assert [entry["resource"]["id"] for entry in done[0]["resource"]["entry"]] == ["o3"]


@pytest.mark.conformance("Access", "a compartment or system search in an entry finds and refuses what it does outside")
@pytest.mark.parametrize(
    ("url", "role", "status", "ids"),
    [
        ("Patient/p/Observation", "clinician", "200", ["o1"]),
        ("Patient/p/Observation", "psychiatric-clinician", "200", ["o1", "o2"]),
        ("?_type=Observation&_sort=_id", "clinician", "200", ["o1"]),
        ("?_type=Observation", "billing-administrator", "403", []),
        ("Patient/p/Observation", "billing-administrator", "403", []),
        ("Patient/nobody/Observation", "clinician", "404", []),
        ("Patient/nobody/*", "clinician", "404", []),
        ("Organization/g/Observation", "clinician", "400", []),
        ("Patient/p/Colour", "clinician", "400", []),
        ("Patient/p/Practitioner", "clinician", "400", []),
        ("Patient/p/Observation?colour=red", "clinician", "400", []),
        ("?colour=red", "clinician", "400", []),
        ("Patient/p/../../x", "clinician", "400", []),
        ("http://elsewhere.example/fhir?_type=Patient", "clinician", "400", []),
    ],
)  # fmt: skip
def test_an_entry_finds_what_its_reader_may_see(api: Api, url: str, role: str, status: str, ids: list[str]) -> None:
    answer = _send(api, "batch", _entry("GET", url), role=role)
    if answer.status_code != 200:  # who sends no Bundles
        assert (status, answer.status_code) == ("403", 403)
        return
    [entry] = _entries(answer)
    assert entry["response"]["status"][:3] == status, entry
    assert sorted(each["resource"]["id"] for each in entry.get("resource", {}).get("entry", ())) == ids
    if status != "200":
        before = json.loads(api("GET", "/fhir/Patient?_summary=count").data)["total"]
        code, _, where = _issue(_send(api, "transaction", _entry("POST", "Encounter", {"resourceType": "Encounter", "status": "finished", "class": {"code": "AMB"}}), _entry("GET", url), role=role))
        assert (str(code), where.startswith("Bundle.entry[1]")) == (status, True)
        assert json.loads(api("GET", "/fhir/Patient?_summary=count").data)["total"] == before
        assert json.loads(api("GET", "/fhir/Encounter?_summary=count").data)["total"] == 1


@pytest.mark.conformance("FHIR R4: transactions", "a compartment is searched and nothing else: other methods and a HEAD are as outside")
def test_a_compartment_is_not_written(api: Api) -> None:
    entries = _entries(_send(
        api, "batch", _entry("HEAD", "Patient/p/Observation"), _entry("DELETE", "Patient/p/Observation"), _entry("POST", "Patient/p/Observation", _observation("x")),
        _entry("DELETE", "?_id=p"), _entry("PUT", "?_id=p", ANN),
    ))  # fmt: skip
    assert [entry["response"]["status"][:3] for entry in entries] == ["200", "400", "400", "400", "400"]
    assert api("GET", "/fhir/Patient/p").status_code == 200
