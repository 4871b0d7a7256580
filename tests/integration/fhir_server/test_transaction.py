"""Transactions and batches, on both databases."""

from __future__ import annotations

import bz2
import json
from pathlib import Path
from typing import Any

import pytest

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.errors import ChartloopError, Forbidden, Invalid, NotFound, PreconditionFailed, Unprocessable
from fhir_server.repository import Page, Repository, Stored, Written
from fhir_server.store import Store
from tests.integration.fhir_server.conftest import scope


def _bundle(type_: str, *entries: dict[str, Any]) -> bytes:
    return json.dumps({"resourceType": "Bundle", "type": type_, "entry": list(entries)}).encode()


def _post(full_url: str, resource: dict[str, Any], **request: str) -> dict[str, Any]:
    return {"fullUrl": full_url, "resource": resource, "request": {"method": "POST", "url": resource["resourceType"], **request}}


PATIENT = {"resourceType": "Patient", "identifier": [{"system": "urn:mrn", "value": "1"}]}
NOTE = {"resourceType": "Condition", "subject": {"reference": "urn:uuid:11111111-1111-4111-8111-111111111111"}}
PATIENT_URL = "urn:uuid:11111111-1111-4111-8111-111111111111"


def _written(answers: list[Any]) -> list[Written]:
    assert [answer for answer in answers if not isinstance(answer, Written)] == []
    return answers


@pytest.mark.conformance("What must be real underneath", "FHIR: batch and transaction with urn:uuid, conditional references and If-None-Exist")
@pytest.mark.conformance("FHIR R4: transactions", "urn:uuid references between entries point at what was made, and are searchable")
def test_references_between_entries_point_at_what_was_made(repository: Repository, operator: Scope) -> None:
    patient, note = _written(repository.transaction(operator, _bundle("transaction", _post(PATIENT_URL, PATIENT), _post("urn:uuid:2", NOTE))))
    stored = repository.read(operator, "Condition", note.stored.id).json()
    assert stored["subject"]["reference"] == f"Patient/{patient.stored.id}"
    assert [entry.id for entry in repository.search(operator, "Condition", f"patient={patient.stored.id}").entries] == [note.stored.id]


@pytest.mark.conformance("FHIR R4: transactions", "one invalid entry fails the whole, is named by its place, and nothing is stored")
def test_one_bad_entry_is_named_and_nothing_is_stored(repository: Repository, operator: Scope) -> None:
    bad = {"resourceType": "Condition", "subject": {"reference": PATIENT_URL}, "colour": "red"}
    with pytest.raises(Unprocessable) as caught:
        repository.transaction(operator, _bundle("transaction", _post(PATIENT_URL, PATIENT), _post("urn:uuid:2", bad)))
    assert caught.value.issues[0].expression.startswith("Bundle.entry[1].resource")
    assert repository.search(operator, "Patient", "_total=accurate").total == 0


@pytest.mark.conformance("FHIR R4: transactions", "one forbidden entry fails the whole")
@pytest.mark.conformance("Attacks", "44: a transaction of a good and a forbidden entry stores nothing")
def test_a_forbidden_entry_fails_the_whole(repository: Repository, operator: Scope) -> None:
    clinician = scope("clinician")
    with pytest.raises(Forbidden) as caught:
        repository.transaction(clinician, _bundle("transaction", _post("urn:uuid:2", {**NOTE, "subject": {"reference": "Patient/1"}}),
                                                  _post("urn:uuid:3", {"resourceType": "Organization", "name": "x"})))
    assert caught.value.issues[0].expression == "Bundle.entry[1]"
    assert repository.search(operator, "Condition", "_total=accurate").total == 0


@pytest.mark.conformance("What must be real underneath", "FHIR: batch and transaction with urn:uuid, conditional references and If-None-Exist")
@pytest.mark.conformance("FHIR R4: transactions", "ifNoneExist in an entry: references point at the match")
def test_a_conditional_create_that_matches_is_pointed_at(repository: Repository, operator: Scope) -> None:
    there = repository.create(operator, PATIENT).stored.id
    bundle = _bundle("transaction", _post(PATIENT_URL, PATIENT, ifNoneExist="identifier=urn:mrn|1"), _post("urn:uuid:2", NOTE))
    patient, note = _written(repository.transaction(operator, bundle))
    assert (patient.created, patient.stored.id) == (False, there)
    assert repository.read(operator, "Condition", note.stored.id).json()["subject"]["reference"] == f"Patient/{there}"


@pytest.mark.conformance("What must be real underneath", "FHIR: batch and transaction with urn:uuid, conditional references and If-None-Exist")
@pytest.mark.conformance("FHIR R4: transactions", "conditional references need exactly one match")
def test_a_conditional_reference_needs_exactly_one_match(repository: Repository, operator: Scope) -> None:
    note = {**NOTE, "subject": {"reference": "Patient?identifier=urn:mrn|1"}}
    with pytest.raises(PreconditionFailed):
        repository.transaction(operator, _bundle("transaction", _post("urn:uuid:2", note)))
    there = repository.create(operator, PATIENT).stored.id
    (written,) = _written(repository.transaction(operator, _bundle("transaction", _post("urn:uuid:2", note))))
    assert written.stored.json()["subject"]["reference"] == f"Patient/{there}"
    repository.create(operator, PATIENT)
    with pytest.raises(PreconditionFailed):
        repository.transaction(operator, _bundle("transaction", _post("urn:uuid:2", note)))


@pytest.mark.conformance("FHIR R4: transactions", "deletes come first, then writes, then reads and searches, whatever the order of entries")
def test_deletes_come_first_and_reads_last(repository: Repository, operator: Scope) -> None:
    repository.update(operator, "Patient", "old", {**PATIENT, "id": "old"})
    bundle = _bundle(
        "transaction",
        {"request": {"method": "GET", "url": "Patient?identifier=urn:mrn|1"}},
        {"request": {"method": "GET", "url": "Patient/new"}},
        {"resource": {**PATIENT, "id": "new"}, "request": {"method": "PUT", "url": "Patient/new"}},
        {"request": {"method": "DELETE", "url": "Patient/old"}},
    )
    found, read, put, deleted = repository.transaction(operator, bundle)
    assert isinstance(found, Page)
    assert [entry.id for entry in found.entries] == ["new"]
    assert isinstance(read, Stored)
    assert isinstance(put, Written)
    assert isinstance(deleted, Written)
    assert (read.id, put.created, deleted.stored.deleted) == ("new", True, True)


@pytest.mark.conformance("FHIR R4: transactions", "an entry that cannot be carried out is refused and named")
@pytest.mark.conformance("Attacks", "47: an entry that points at another host, a parent path or an operation that is not in the table is refused")
@pytest.mark.parametrize(
    "entry",
    [
        {"request": {"method": "DELETE", "url": "Patient?identifier=1&_sort=birthdate"}},
        {"request": {"method": "DELETE", "url": "Patient/1?identifier=1"}},
        {"request": {"method": "DELETE", "url": "Patient"}},
        {"request": {"method": "PATCH", "url": "Patient/1"}},
        {"request": {"method": "GET", "url": "https://elsewhere.example/fhir/Patient/1"}},
        {"request": {"method": "GET", "url": "../Patient/1"}},
        {"request": {"method": "GET", "url": "Patient/1/$nothing"}},
        {"request": {"method": "GET", "url": "Patient/1/$meta-add"}},
        {"request": {"method": "GET", "url": "Patient/1/$everything"}},
        {"request": {"method": "GET", "url": "_history/1"}},
        {"request": {"method": "POST", "url": "Patient"}},
        {"resource": PATIENT, "request": {"method": "PUT", "url": "Patient"}},
        {"resource": PATIENT, "request": {"method": "POST", "url": "Condition"}},
    ],
)
def test_an_entry_that_cannot_be_read_is_named(repository: Repository, operator: Scope, entry: dict[str, Any]) -> None:
    with pytest.raises((Invalid, Unprocessable)) as caught:
        repository.transaction(operator, _bundle("transaction", entry))
    assert caught.value.issues[0].expression.startswith("Bundle.entry[0]")


@pytest.mark.conformance("FHIR R4: transactions", "a resource that two entries speak of is refused")
def test_a_resource_that_is_spoken_of_twice_is_refused(repository: Repository, operator: Scope) -> None:
    put = {"resource": {**PATIENT, "id": "p1"}, "request": {"method": "PUT", "url": "Patient/p1"}}
    same = "identifier=urn:mrn|1"
    for entries in (
        [_post("urn:uuid:1", PATIENT), _post("urn:uuid:1", PATIENT)],
        [put, {"request": {"method": "DELETE", "url": "Patient/p1"}}],
        [_post("urn:uuid:1", PATIENT, ifNoneExist=same), _post("urn:uuid:2", PATIENT, ifNoneExist=same)],
    ):
        with pytest.raises((Invalid, Unprocessable)):
            repository.transaction(operator, _bundle("transaction", *entries))


@pytest.mark.conformance("Access", "labels travel between the entries of one transaction")
def test_labels_travel_between_the_entries_of_a_transaction(repository: Repository, operator: Scope) -> None:
    secret = {"resourceType": "Observation", "status": "final", "code": {"text": "x"},
              "meta": {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PSY"}]}}  # fmt: skip
    derived = {"resourceType": "Observation", "status": "final", "code": {"text": "y"}, "derivedFrom": [{"reference": "urn:uuid:2"}]}
    repository.transaction(operator, _bundle("transaction", _post("urn:uuid:3", derived), _post("urn:uuid:2", secret)))
    assert repository.search(operator, "Observation", "_total=accurate").total == 0
    assert repository.search(scope("psychiatric-clinician"), "Observation", "_total=accurate").total == 2


@pytest.mark.conformance("What must be real underneath", "FHIR: batch and transaction with urn:uuid, conditional references and If-None-Exist")
@pytest.mark.conformance("FHIR R4: transactions", "a batch judges each entry by itself")
@pytest.mark.conformance("Attacks", "45: batch entries are judged one by one")
def test_a_batch_judges_each_entry_by_itself(repository: Repository, operator: Scope) -> None:
    bundle = _bundle(
        "batch",
        _post("urn:uuid:1", PATIENT),
        _post("urn:uuid:2", {**PATIENT, "colour": "red"}),
        {"request": {"method": "GET", "url": "Patient/nobody"}},
        {"request": {"method": "GET", "url": "Patient?identifier=1"}},
    )
    good, bad, missing, found = repository.batch(operator, bundle)
    assert isinstance(good, Written)
    assert isinstance(bad, ChartloopError)
    assert bad.issues[0].expression.startswith("Bundle.entry[1]")
    assert isinstance(missing, NotFound)
    assert isinstance(found, Page)
    assert len(found.entries) == 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # it tells of each statement
def test_many_updates_ask_the_database_no_oftener_than_few(store: Store, operator: Scope) -> None:
    repository, asked = Repository(store), []
    with store.db.read() as session:
        session.connection.set_trace_callback(asked.append)  # type: ignore[attr-defined]

    def statements(count: int, text: str) -> int:
        asked.clear()
        resources = [{"resourceType": "Observation", "id": f"o{n}", "status": "final", "code": {"text": text},
                      "hasMember": [{"reference": f"Observation/member-{n}"}]} for n in range(count)]  # fmt: skip
        answers = repository.transaction(operator, _bundle("transaction", *(
            {"resource": each, "request": {"method": "PUT", "url": f"Observation/{each['id']}"}} for each in resources
        )))  # fmt: skip
        assert len(_written(answers)) == count
        return len(asked)

    assert statements(3, "new") == statements(60, "newer")
    assert statements(3, "changed") == statements(60, "changed again")
    assert repository.read(operator, "Observation", "o2").version == 4
    assert repository.read(operator, "Observation", "o59").version == 2


@pytest.mark.conformance("FHIR R4: transactions", "a Synthea patient with hospitals and practitioners goes in whole; repeated, nothing is made twice")
@pytest.mark.conformance("The loop", "1 Patients: Synthea hospital, practitioner and patient bundles go in whole")
@pytest.mark.long
@pytest.mark.corpus
def test_a_synthea_patient_goes_in_whole(repository: Repository, operator: Scope, corpus: Path) -> None:
    files = sorted((corpus / "fhir" / "synthea-r4").glob("*.bz2"), key=lambda path: (not path.name.startswith("0-hosp"), path.name))
    hospital, practitioner = (next(path for path in files if name in path.name) for name in ("hospital", "practitioner"))
    patient = min((path for path in files if "nformation" not in path.name), key=lambda path: path.stat().st_size)
    for path in (hospital, practitioner, patient):
        body = bz2.decompress(path.read_bytes())
        bundle = json.loads(body)
        send = repository.batch if bundle["type"] == "batch" else repository.transaction
        assert len(_written(send(operator, body))) == len(bundle["entry"])
    again = _written(repository.batch(operator, bz2.decompress(hospital.read_bytes())))
    assert not any(answer.created for answer in again)
