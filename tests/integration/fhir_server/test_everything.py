"""$everything of a patient and of an encounter: literal charts in, the entries of every page out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.clock import FakeClock
from chartloop.kernel.db import Database, create_tables, open_database
from fhir_server.repository import Repository
from fhir_server.store import Store
from tests.integration.fhir_server.conftest import BASE, scope
from tests.integration.fhir_server.test_hidden import ACT, COMMON, HIDDEN
from tests.integration.fhir_server.test_http import Api

P1, P2 = {"reference": "Patient/p1"}, {"reference": "Patient/p2"}
ACTIVE = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "code": "active"}]}
CODE = {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]}


def _observation(id_: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Observation", "id": id_, "status": "final", "code": CODE, "subject": P1, **more}


CHART: list[dict[str, Any]] = [
    {"resourceType": "Organization", "id": "org", "name": "General"},
    {"resourceType": "Practitioner", "id": "doc", "active": True},
    {"resourceType": "Practitioner", "id": "stranger", "active": True},
    _observation("early", effectiveDateTime="2024-05-01", performer=[{"reference": "Practitioner/doc"}], encounter={"reference": "Encounter/e1"}),
    {"resourceType": "Patient", "id": "p1", "birthDate": "1970-01-01", "managingOrganization": {"reference": "Organization/org"}},
    {"resourceType": "Patient", "id": "p2"},
    {"resourceType": "Encounter", "id": "e1", "status": "finished", "class": {"system": ACT, "code": "AMB"}, "subject": P1,
     "period": {"start": "2024-04-30", "end": "2024-05-02"}},
    _observation("late", effectiveDateTime="2025-05-01", performer=[{"reference": f"{BASE}/Practitioner/doc"}]),
    _observation("theirs", subject=P2, encounter={"reference": "Encounter/e1"}),
    {"resourceType": "AllergyIntolerance", "id": "a1", "clinicalStatus": ACTIVE, "patient": P1, "code": {"text": 'Nuts "reference":"Practitioner/stranger"'}},
    _observation("about", focus=[P2], effectiveDateTime="2025-06-01"),
]  # fmt: skip
WHOLE = ["Patient/p1", "Observation/early", "Encounter/e1", "Observation/late", "AllergyIntolerance/a1", "Observation/about",
         "+Organization/org", "+Practitioner/doc"]  # fmt: skip


@pytest.fixture
def api(store: Store, fake_clock: FakeClock) -> Api:
    """The API on one database that holds the chart, one second between its resources."""
    api = Api(store)
    for resource in CHART:
        fake_clock.advance(1)
        assert api("PUT", f"/fhir/{resource['resourceType']}/{resource['id']}", resource).status_code == 201
    return api


def _pages(api: Api, path: str, role: str = "operator") -> list[list[str]]:
    pages: list[list[str]] = []
    following: str | None = f"/fhir/{path}"
    while following is not None:
        answer = api("GET", following, role=role)
        assert answer.status_code == 200, answer.data
        body = json.loads(answer.data)
        assert (body["resourceType"], body["type"]) == ("Bundle", "searchset")
        pages.append([
            ("+" if entry["search"]["mode"] == "include" else "") + f"{entry['resource']['resourceType']}/{entry['resource']['id']}"
            for entry in body.get("entry", ())
        ])  # fmt: skip
        links = {link["relation"]: link["url"] for link in body["link"]}
        following = links["next"].removeprefix("http://127.0.0.1:8080") if "next" in links else None
    return pages


def _in_order(found: list[str]) -> list[str]:
    """Rids say the order, and they hold a patient's lane: only what is in one lane has an order known here."""
    return [each for each in found if each[0] != "+"][:1] + sorted(found[1:])


@pytest.mark.conformance("FHIR R4: operations", "$everything: Patient/[id]/$everything answers the compartment and what it refers to, no other patient's chart")
def test_everything_of_a_patient_is_the_compartment_and_what_it_refers_to(api: Api) -> None:
    (page,) = _pages(api, "Patient/p1/$everything")
    assert _in_order(page) == _in_order(WHOLE)
    assert page[0] == "Patient/p1"
    answer = api("POST", "/fhir/Patient/p1/$everything", {"resourceType": "Parameters", "parameter": [{"name": "_count", "valueInteger": 2}]})
    assert len(json.loads(answer.data)["entry"]) == 2
    assert len(json.loads(api("POST", "/fhir/Patient/p1/$everything").data)["entry"]) == len(WHOLE)


@pytest.mark.conformance("FHIR R4: operations", "$everything: Encounter/[id]/$everything answers what belongs to the encounter")
def test_everything_of_an_encounter_holds_what_names_it_and_its_patient(api: Api) -> None:
    (page,) = _pages(api, "Encounter/e1/$everything")
    assert _in_order(page) == ["Encounter/e1", "+Patient/p1", "+Practitioner/doc", "Observation/early", "Observation/theirs"]
    assert api("GET", "/fhir/Encounter/e1/$everything?start=2024").status_code == 400


@pytest.mark.conformance("Attacks", "53: pages hold everything once")
@pytest.mark.conformance("FHIR R4: operations", "$everything: pages by _count hold everything once, in signed links bound to their reader")
@pytest.mark.parametrize("count", [1, 2, 5, 6, 7])
def test_pages_hold_everything_once(api: Api, count: int) -> None:
    pages = _pages(api, f"Patient/p1/$everything?_count={count}")
    assert [len(page) for page in pages[:-1]] == [count] * (len(pages) - 1)
    assert 0 < len(pages[-1]) <= count
    assert [each for page in pages for each in page] == _pages(api, "Patient/p1/$everything")[0]


@pytest.mark.conformance("Attacks", "08: a next link belongs to its reader and its patient")
def test_a_next_link_belongs_to_its_reader_and_its_patient(api: Api) -> None:
    first = json.loads(api("GET", "/fhir/Patient/p1/$everything?_count=2").data)
    link = next(each["url"] for each in first["link"] if each["relation"] == "next").removeprefix("http://127.0.0.1:8080")
    assert api("GET", link, role="clinician").status_code == 403
    assert api("GET", link.replace("p1", "p2")).status_code == 400
    assert api("GET", link.replace("_count=2", "_count=3")).status_code == 400
    api("PUT", "/fhir/Observation/newer", _observation("newer"))
    assert "newer" not in json.dumps(_pages(api, link.removeprefix("/fhir/")))


@pytest.mark.conformance("Attacks", "53: parameters narrow it")
@pytest.mark.conformance("FHIR R4: operations", "$everything: _type, _since, start and end narrow it")
def test_parameters_narrow_it(api: Api) -> None:
    said = {
        "_type=Observation": ["Observation/about", "Observation/early", "Observation/late"],
        "_type=Practitioner": ["+Practitioner/doc"],
        "_type=Practitioner,Patient": ["+Practitioner/doc", "Patient/p1"],
        "_type=Patient&_type=Organization": ["+Organization/org", "Patient/p1"],
        "_type=Claim": [],
        "start=2025-05-01&end=2025-05-01": ["+Organization/org", "+Practitioner/doc", "AllergyIntolerance/a1", "Observation/late", "Patient/p1"],
        "end=2024-05-01": ["+Organization/org", "+Practitioner/doc", "AllergyIntolerance/a1", "Encounter/e1", "Observation/early", "Patient/p1"],
        "start=2024-05-02&end=2024-12": ["+Organization/org", "AllergyIntolerance/a1", "Encounter/e1", "Patient/p1"],
    }
    for query, expected in said.items():
        for count in ("", "&_count=1"):
            pages = _pages(api, f"Patient/p1/$everything?{query}{count}")
            assert sorted(each for page in pages for each in page) == expected, (query, count)
    updated = json.loads(api("GET", "/fhir/Observation/late").data)["meta"]["lastUpdated"]
    assert sorted(_pages(api, f"Patient/p1/$everything?_since={updated}")[0]) == ["AllergyIntolerance/a1", "Observation/about", "Observation/late"]


def test_what_cannot_be_read_is_refused_with_every_reason(api: Api) -> None:
    answer = api("GET", "/fhir/Patient/p1/$everything?_type=Nothing&start=soon&_count=0&_filter=x")
    assert answer.status_code == 400
    assert [issue["expression"] for issue in json.loads(answer.data)["issue"]] == [["http._type"], ["http.start"], ["http._count"], ["http._filter"]]
    nested = {"resourceType": "Parameters", "parameter": [{"name": "start", "part": [{"name": "x", "valueCode": "x"}]}]}
    assert api("POST", "/fhir/Patient/p1/$everything", nested).status_code == 400
    assert api("GET", "/fhir/Patient/nobody/$everything").status_code == 404
    assert api("GET", "/fhir/Observation/early/$everything").status_code == 404
    assert api("GET", "/fhir/Patient/$everything").status_code == 400
    assert api("PUT", "/fhir/Patient/p1/$everything", CHART[0]).status_code in (404, 405)
    assert api("DELETE", "/fhir/Patient/p2").status_code == 204
    assert api("GET", "/fhir/Patient/p2/$everything").status_code == 410


@pytest.mark.conformance("FHIR R4: operations", "$everything: on the type level it is that of the patient in context")
def test_a_patient_asks_for_everything_of_their_own(repository: Repository, api: Api) -> None:
    own = scope("patient", user="Patient/p1", patient="Patient/p1")
    found = repository.everything(own, "Patient", "")
    assert next(f"{each.type}/{each.id}" for each in found.entries) == "Patient/p1"
    assert {each.id for each in found.included} == {"org", "doc"}
    for other in ("p2", "nobody"):
        with pytest.raises(Exception, match="nothing here"):
            repository.everything(own, "Patient", other)


@pytest.fixture
def twins(database: Database, make_store: Callable[[Database], Store], fake_clock: FakeClock, tmp_path: Path) -> Iterator[tuple[Api, Api]]:
    """A store with the hidden notes, and one that never held them."""
    other = open_database(f"sqlite:///{tmp_path / 'other.sqlite3'}")
    create_tables(other)
    full, bare = Api(make_store(database)), Api(make_store(other))
    author = {"resourceType": "Practitioner", "id": "psychiatrist", "active": True}
    secret = {**HIDDEN[0], "author": [{"reference": "Practitioner/psychiatrist"}]}
    for resource in [*COMMON, author, secret]:
        fake_clock.advance(1)
        for api in (full, bare):
            if api is full or resource is not secret:
                assert api("PUT", f"/fhir/{resource['resourceType']}/{resource['id']}", resource).status_code == 201
    yield full, bare
    other.close()


@pytest.mark.conformance("Attacks", "53: it answers as if the hidden notes had never been")
@pytest.mark.conformance("FHIR R4: operations", "$everything: hidden rows, what only they refer to, and hidden elements stay hidden")
@pytest.mark.parametrize("role", ["billing-administrator", "coder", "clinician", "operator"])
def test_it_answers_as_if_the_hidden_notes_had_never_been(twins: tuple[Api, Api], role: str) -> None:
    full, bare = twins
    for path in ("Patient/p1/$everything", "Encounter/e1/$everything", "Patient/p1/$everything?_type=DocumentReference,Practitioner"):
        for count in ("", "1", "2"):
            asked = f"{path}{'&' if '?' in path else '?'}_count={count}" if count else path
            assert _pages(full, asked, role) == _pages(bare, asked, role), asked
        assert msgspec.json.decode(full("GET", f"/fhir/{path}", role=role).data).get("entry") == msgspec.json.decode(bare("GET", f"/fhir/{path}", role=role).data).get("entry")
    assert "DocumentReference/secret" in _pages(full, "Patient/p1/$everything", "psychiatric-clinician")[0]
    assert "+Practitioner/psychiatrist" in _pages(full, "Patient/p1/$everything", "psychiatric-clinician")[0]


@pytest.mark.conformance("Attacks", "53: masks hold inside it")
def test_masks_hold_inside_it(twins: tuple[Api, Api]) -> None:
    body = json.loads(twins[0]("GET", "/fhir/Patient/p1/$everything", role="billing-administrator").data)
    for entry in body["entry"]:
        resource = entry["resource"]
        alone = twins[0]("GET", f"/fhir/{resource['resourceType']}/{resource['id']}", role="billing-administrator")
        assert json.loads(alone.data) == resource
    assert any("tag" in entry["resource"]["meta"] for entry in body["entry"])


@pytest.mark.conformance("FHIR R4: operations", "$everything: one audit record with the patient; refusals are recorded")
def test_one_audit_record_names_the_patient(store: Store, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Any] = []
    written = store.audit.access
    monkeypatch.setattr(type(store.audit), "access", lambda _, record: (kept.append(record), written(record)))
    api("GET", "/fhir/Patient/p1/$everything?_type=Practitioner")
    assert [(each.action, each.interaction, each.targets, each.patients) for each in kept] == [
        ("E", "operation", ("Practitioner/doc/_history/1",), ("Patient/p1",))
    ]
    api("GET", "/fhir/Patient/p1/$everything", role="researcher")
    assert (kept[-1].outcome, kept[-1].reason, kept[-1].targets) == ("4", "forbidden", ("Patient/p1/$everything",))


def test_the_capability_statement_names_it(api: Api) -> None:
    rest = json.loads(api("GET", "/fhir/metadata").data)["rest"][0]
    said = {each["type"]: {(one["name"], one["definition"]) for one in each.get("operation", ())} for each in rest["resource"]}
    assert ("everything", "http://hl7.org/fhir/OperationDefinition/Patient-everything") in said["Patient"]
    assert ("everything", "http://hl7.org/fhir/OperationDefinition/Encounter-everything") in said["Encounter"]
    assert "everything" not in {name for name, _ in said["Observation"]}


def test_a_chart_larger_than_one_part_is_read_through_to_its_end(api: Api, repository: Repository, operator: Scope) -> None:
    entries = [
        {"resource": {**_observation(""), "performer": [{"reference": f"Practitioner/{'doc' if number < 600 else 'stranger'}"}]}, "request": {"method": "POST", "url": "Observation"}}
        for number in range(601)
    ]  # fmt: skip
    for entry in entries:
        del entry["resource"]["id"]
    repository.transaction(operator, {"resourceType": "Bundle", "type": "transaction", "entry": entries})
    pages = _pages(api, "Patient/p1/$everything?_count=400")
    assert [len(page) for page in pages] == [400, 210]
    assert len({each for page in pages for each in page}) == 610
    assert _pages(api, "Patient/p1/$everything?_type=Practitioner") == [["+Practitioner/doc", "+Practitioner/stranger"]]
