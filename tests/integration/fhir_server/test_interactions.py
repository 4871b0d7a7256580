"""The interactions on one resource, on both databases."""

from __future__ import annotations

import pytest

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.db import Tx
from chartloop.kernel.errors import Conflict, Gone, MethodNotAllowed, NotFound, PreconditionFailed, Unprocessable
from fhir_server.repository import Repository

WEIGHT = (
    b'{ "resourceType": "Observation",\n "status": "final", "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]},'
    b' "subject": {"reference": "Patient/p1"}, "effectiveDateTime": "2026-01-02T03:04:05Z",'
    b' "valueQuantity": {"value": 72.50, "system": "http://unitsofmeasure.org", "code": "kg"}}'
)
PATIENT = b'{"resourceType":"Patient","id":"p1","identifier":[{"system":"urn:mrn","value":"1"}],"name":[{"family":"M\xc3\xbcller"}]}'


@pytest.mark.conformance("FHIR R4: interactions", "create and read: decimals keep their digits; the server gives id, version and time")
def test_a_created_resource_reads_back_with_its_decimals_as_they_were_written(repository: Repository, operator: Scope) -> None:
    written = repository.create(operator, WEIGHT, type_="Observation")
    stored = repository.read(operator, "Observation", written.stored.id)
    assert stored.version == 1
    assert stored.body == written.stored.body
    assert b'"value":72.50,' in stored.body
    assert stored.body.startswith(f'{{"resourceType":"Observation","id":"{stored.id}","meta":{{"versionId":"1","lastUpdated":"20'.encode())


@pytest.mark.conformance("What must be real underneath", "FHIR: read, vread, create, update, delete and history")
@pytest.mark.conformance("FHIR R4: interactions", "update makes a version; vread and instance history give the older ones")
def test_an_update_makes_a_version_and_the_old_one_stays(repository: Repository, operator: Scope) -> None:
    repository.update(operator, "Patient", "p1", PATIENT)
    written = repository.update(operator, "Patient", "p1", PATIENT.replace(b"1990", b"1991").replace(b"ller", b"nch"))
    assert (written.created, written.changed, written.stored.version) == (False, True, 2)
    assert "Müller" in repository.vread(operator, "Patient", "p1", 1).body.decode()
    assert "Münch" in repository.read(operator, "Patient", "p1").body.decode()
    assert [entry.version for entry in repository.history(operator, "Patient", "p1").entries] == [2, 1]


@pytest.mark.conformance("FHIR R4: interactions", "an update that changes nothing makes no version")
def test_an_update_that_changes_nothing_makes_no_version(repository: Repository, operator: Scope) -> None:
    repository.update(operator, "Patient", "p1", PATIENT)
    again = repository.update(operator, "Patient", "p1", repository.read(operator, "Patient", "p1").body)
    assert (again.changed, again.stored.version) == (False, 1)


def test_a_change_of_precision_is_a_change(repository: Repository, operator: Scope) -> None:
    written = repository.create(operator, WEIGHT).stored
    changed = repository.update(operator, "Observation", written.id, written.body.replace(b"72.50", b"72.5"))
    assert changed.stored.version == 2


def test_the_index_follows_an_update(repository: Repository, operator: Scope) -> None:
    repository.update(operator, "Patient", "p1", PATIENT)
    repository.update(operator, "Patient", "p1", PATIENT.replace(b"M\xc3\xbcller", b"Smith"))
    assert not repository.search(operator, "Patient", "family=muller").entries
    assert [entry.id for entry in repository.search(operator, "Patient", "family=smi").entries] == ["p1"]


@pytest.mark.conformance("FHIR R4: interactions", "delete: read answers 410, search no longer finds it, its history stays")
def test_a_deleted_resource_is_gone_and_its_history_stays(repository: Repository, operator: Scope) -> None:
    repository.update(operator, "Patient", "p1", PATIENT)
    assert repository.delete(operator, "Patient", "p1").changed
    with pytest.raises(Gone):
        repository.read(operator, "Patient", "p1")
    assert not repository.search(operator, "Patient", "identifier=urn:mrn|1").entries
    entries = repository.history(operator, "Patient", "p1").entries
    assert [(entry.version, entry.deleted) for entry in entries] == [(2, True), (1, False)]
    assert not repository.delete(operator, "Patient", "p1").changed


@pytest.mark.conformance("FHIR R4: interactions", "a deleted resource may be brought back under its id with the next version")
def test_a_deleted_resource_comes_back_under_its_id_with_the_next_version(repository: Repository, operator: Scope) -> None:
    repository.update(operator, "Patient", "p1", PATIENT)
    repository.delete(operator, "Patient", "p1")
    assert repository.update(operator, "Patient", "p1", PATIENT).stored.version == 3
    assert repository.search(operator, "Patient", "identifier=1" ).entries


@pytest.mark.conformance("FHIR R4: interactions", "read, vread and history of an unknown id are not found")
def test_an_unknown_id_is_not_found(repository: Repository, operator: Scope) -> None:
    with pytest.raises(NotFound):
        repository.read(operator, "Patient", "nobody")
    with pytest.raises(NotFound):
        repository.vread(operator, "Patient", "nobody", 1)
    with pytest.raises(NotFound):
        repository.history(operator, "Patient", "nobody")


@pytest.mark.conformance("Attacks", "40: who may not assign ids gets 405 whether or not the id exists")
@pytest.mark.conformance("FHIR R4: interactions", "update as create: only who may assign ids brings a new id")
def test_who_may_not_assign_ids_gets_405_whether_or_not_the_id_exists(
    repository: Repository, operator: Scope, clinician: Scope
) -> None:
    body = WEIGHT.replace(b'"Observation",', b'"Observation", "id": "o1",')
    with pytest.raises(MethodNotAllowed):
        repository.update(clinician, "Observation", "o1", body)


@pytest.mark.conformance("FHIR R4: interactions", "If-Match: an update of another version than the current one changes nothing")
def test_if_match_names_the_current_version_or_nothing_happens(repository: Repository, operator: Scope) -> None:
    repository.update(operator, "Patient", "p1", PATIENT)
    with pytest.raises(PreconditionFailed):
        repository.update(operator, "Patient", "p1", PATIENT, if_match=2)
    assert repository.update(operator, "Patient", "p1", PATIENT.replace(b"ller", b"nch"), if_match=1).stored.version == 2


@pytest.mark.conformance("FHIR R4: interactions", "If-None-Exist: one match is returned, none creates, several are refused with 412")
def test_if_none_exist_returns_the_match_and_refuses_two(repository: Repository, operator: Scope) -> None:
    body = PATIENT.replace(b'"id":"p1",', b"")
    first = repository.create(operator, body, if_none_exist="identifier=urn:mrn|1")
    second = repository.create(operator, body, if_none_exist="identifier=urn:mrn|1")
    assert (first.created, second.created, second.stored.id) == (True, False, first.stored.id)
    repository.create(operator, body)
    with pytest.raises(PreconditionFailed):
        repository.create(operator, body, if_none_exist="identifier=urn:mrn|1")


@pytest.mark.conformance("FHIR R4: interactions", "a resource that is tagged SUBSETTED is not stored")
@pytest.mark.conformance("Attacks", "31: a redacted copy that is sent back is refused")
def test_a_part_of_a_resource_is_not_stored(repository: Repository, operator: Scope) -> None:
    repository.update(operator, "Patient", "p1", PATIENT)
    tagged = PATIENT.replace(b'"id":"p1",', b'"id":"p1","meta":{"tag":[{"system":"x","code":"SUBSETTED"}]},')
    with pytest.raises(Unprocessable):
        repository.update(operator, "Patient", "p1", tagged)


@pytest.mark.conformance("What must be real underneath", "one door: work beside a write is stored with it or not at all")
def test_work_beside_a_write_is_stored_with_it_or_not_at_all(repository: Repository, operator: Scope) -> None:
    def fail(tx: Tx) -> None:
        raise Conflict("no")

    with pytest.raises(Conflict):
        repository.update(operator, "Patient", "p1", PATIENT, also=fail)
    with pytest.raises(NotFound):
        repository.read(operator, "Patient", "p1")


@pytest.mark.conformance("Attacks", "49: labels that a client leaves out in an update stay")
@pytest.mark.conformance("Attacks", "48: the answer to a create is empty for who may not read what was made")
def test_a_client_cannot_store_a_version_of_its_own_or_take_a_label_away(repository: Repository, operator: Scope) -> None:
    label = b'"meta":{"versionId":"77","security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"PSY"}]},'
    labelled = WEIGHT.replace(b'"status"', label + b'"status"')
    written = repository.create(operator, labelled)
    assert written.stored.body == b""
    with pytest.raises(NotFound):
        repository.read(operator, "Observation", written.stored.id)
    plain = WEIGHT.replace(b'"status"', f'"id":"{written.stored.id}","status"'.encode()).replace(b"72.50", b"73")
    repository.update(operator, "Observation", written.stored.id, plain)
    with pytest.raises(NotFound):
        repository.read(operator, "Observation", written.stored.id)


@pytest.mark.conformance("Labels", "a resource that states its label again in every update is stored each time, and stays labelled")
@pytest.mark.parametrize("code", [b"PSY", b"R"])
def test_a_label_may_be_stated_again_with_every_version(repository: Repository, operator: Scope, code: bytes) -> None:
    label = b'"meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"' + code + b'"}]},'
    weights = [WEIGHT.replace(b'"status"', b'"id":"w9",' + label + b'"status"').replace(b"72.50", weight) for weight in (b"72.50", b"73", b"74", b"74")]
    versions = [repository.update(operator, "Observation", "w9", weight) for weight in weights]
    assert [written.changed for written in versions] == [True, True, True, False]
    if code == b"PSY":
        with pytest.raises(NotFound):
            repository.read(operator, "Observation", "w9")
    else:
        assert repository.read(operator, "Observation", "w9").json()["valueQuantity"]["value"] == 74
