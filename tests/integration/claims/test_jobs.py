"""Drafts follow their charges; a claim goes when nothing holds it, and not before."""

import threading

import pytest

from chartloop.kernel.events import Event
from claims.control_numbers import NumberTaken, draw_number, next_number, take_number
from claims.interchange_store import interchange
from claims.mapping import systems as s
from claims.mapping.coded import NOTE_VERSION
from claims.x12.professional_reader import loop_to_batch
from claims.x12.validation import validate
from tests.integration.claims.pyx12_oracle import pyx12_errors


@pytest.fixture
def ready(world):
    world.payer()
    world.people()
    return world


def tick(world, subject="Encounter/enc"):
    world.jobs.handle(Event("e", "ResourceUpdated", subject, 0, "k", "", 0), lambda tx: None)


def queued(world):
    with world.db.read() as session:
        return [interchange(session, row[0]) for row in session.all("SELECT id FROM interchange ORDER BY id")]


def coded(world, *notes):
    claim = world.claim()
    claim["extension"] = [
        {"url": s.CODED_NOTE, "valueReference": {"reference": ref, "extension": [{"url": NOTE_VERSION, "valueUnsignedInt": version}]}} for ref, version in notes
    ]
    world.put(claim)


def diagnosed(world, code="J02.9"):
    claim = world.claim()
    claim["diagnosis"] = [{"sequence": 1, "diagnosisCodeableConcept": {"coding": [{"system": s.ICD_10_CM[0], "code": code}]}}]
    world.put(claim)


@pytest.mark.conformance("The loop", "5 Claim: a draft is made when the encounter is finished and charges exist")
def test_there_is_no_claim_before_the_encounter_is_finished_or_without_charges(ready):
    ready.encounter(status="in-progress")
    ready.charge(1)
    tick(ready)
    assert ready.claim() is None
    ready.encounter("enc2")
    tick(ready, "Encounter/enc2")
    assert ready.claim("enc2") is None


def test_a_claim_without_notes_goes_with_the_diagnoses_of_its_charges(ready):
    ready.charge(1, reason="J02.9")
    ready.charge(2, reason="F32.1")
    ready.encounter()
    tick(ready)
    row = queued(ready)[0]
    assert (row.state, row.isa13, row.idempotency_key) == ("queued", "000000001", "P1/CHARTLOOP-000000001")
    report = validate(row.body)
    claim = loop_to_batch(report.sets[0].root).claims[0]
    assert claim.diagnoses == ("J029", "F321")
    assert claim.insurance.subscriber.name == "MULLER"
    assert pyx12_errors(row.body) == ""
    tick(ready)
    assert len(queued(ready)) == 1


@pytest.mark.conformance("The loop", "5 Claim: it is held until every review Task of the encounter is closed")
def test_a_claim_waits_for_its_notes_to_be_coded_and_reviewed(ready):
    ready.charge(1, reason="")
    ready.note()
    ready.encounter()
    tick(ready)
    assert (ready.claim()["status"], ready.task_codes()) == ("draft", [])
    ready.put({
        "resourceType": "Task", "id": "review", "status": "requested", "intent": "order", "for": {"reference": "Patient/pat"},
        "encounter": {"reference": "Encounter/enc"}, "code": {"coding": [{"system": s.TASK_CODE, "code": "review-coding"}]},
        "focus": {"reference": f"Claim/{ready.claim()['id']}"},
    })
    diagnosed(ready)
    coded(ready, ("DocumentReference/note", 1))
    tick(ready)
    assert queued(ready) == []
    task = next(t for t in ready.see("Task"))
    ready.put({**task, "status": "completed"})
    tick(ready, "Task/review")
    assert len(queued(ready)) == 1
    assert ready.claim()["status"] == "active"


@pytest.mark.conformance("The loop", "5 Claim: a note that changed since it was coded holds the claim")
def test_a_note_that_changed_since_it_was_coded_holds_the_claim(ready):
    ready.charge(1, reason="")
    ready.note()
    ready.encounter()
    tick(ready)
    diagnosed(ready)
    coded(ready, ("DocumentReference/note", 1))
    ready.note(text="ZWFyYWNoZQ==")
    tick(ready)
    assert queued(ready) == []
    coded(ready, ("DocumentReference/note", 2))
    tick(ready)
    assert len(queued(ready)) == 1


def test_a_coded_claim_without_diagnosis_asks_a_person_and_goes_when_it_has_one(ready):
    ready.charge(1, reason="")
    ready.note()
    ready.encounter()
    tick(ready)
    coded(ready, ("DocumentReference/note", 1))
    tick(ready)
    tick(ready)
    assert ready.task_codes() == ["claim-not-ready"]
    assert "Claim.diagnosis" in ready.see("Task")[0]["input"][0]["valueString"]
    diagnosed(ready)
    tick(ready, f"Claim/{ready.claim()['id']}")
    assert ready.claim()["status"] == "active"
    assert ready.see("Task")[0]["status"] == "completed"


@pytest.mark.conformance("X12", "837P: missing data is named by its place in FHIR, without patient text")
def test_missing_data_is_named_by_its_place_in_fhir(ready):
    ready.put({"resourceType": "Organization", "id": "clinic", "name": "Clinic"})
    ready.charge(1)
    ready.encounter()
    tick(ready)
    texts = " ".join(i["valueString"] for i in ready.see("Task")[0]["input"])
    assert "Claim.provider.resolve().identifier" in texts
    assert "Claim.provider.resolve().address" in texts
    assert "Müller" not in texts
    assert queued(ready) == []


def test_a_draft_follows_its_charges_and_keeps_what_coding_put_on_it(ready):
    ready.charge(1, reason="")
    ready.note()
    ready.encounter()
    tick(ready)
    diagnosed(ready)
    before = ready.claim()
    ready.charge(2, price="30.25", reason="")
    tick(ready, "ChargeItem/charge-2")
    after = ready.claim()
    assert str(after["total"]["value"]) == "102.75"
    assert len(after["item"]) == 2
    assert (after["diagnosis"], after["identifier"]) == (before["diagnosis"], before["identifier"])


@pytest.mark.conformance("X12", "charges and notes after the release ask a person and are not lost")
def test_charges_and_notes_after_release_are_not_lost(ready):
    ready.charge(1)
    ready.encounter()
    tick(ready)
    ready.charge(2)
    tick(ready, "ChargeItem/charge-2")
    ready.note()
    tick(ready, "DocumentReference/note")
    tick(ready)
    assert ready.task_codes() == ["late-charge", "late-note"]
    assert len(queued(ready)) == 1


def test_a_claim_waits_for_coverage(ready):
    ready.put({"resourceType": "Coverage", "id": "cov", "status": "cancelled", "beneficiary": {"reference": "Patient/pat"}, "payor": [{"reference": "Organization/payer-1"}]})
    ready.charge(1)
    ready.encounter()
    tick(ready)
    assert (ready.claim(), ready.task_codes()) == (None, ["claim-not-ready"])
    ready.people()
    tick(ready, "Coverage/cov")
    assert ready.claim()["status"] == "active"
    assert ready.see("Task")[0]["status"] == "completed"


@pytest.mark.conformance("Attacks", "89: control numbers are never used twice")
@pytest.mark.conformance("X12", "control numbers are never used twice, by racing writers either")
def test_control_numbers_are_never_used_twice(world):
    taken, lock = [], threading.Lock()

    def take():
        for _ in range(10):
            while True:
                with world.db.read() as session:
                    number = next_number(session, "isa/x")
                try:
                    world.db.write(lambda tx, number=number: take_number(tx, "isa/x", number))
                except NumberTaken:
                    continue
                with lock:
                    taken.append(number)
                break

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == list(range(1, 41))
    assert [world.db.write(lambda tx: draw_number(tx, "y")) for _ in range(3)] == [1, 2, 3]


@pytest.mark.conformance("The loop", "5 Claim: control numbers are allotted in the transaction of the release")
def test_a_failed_release_takes_no_number(ready, monkeypatch):
    ready.charge(1)
    ready.encounter()

    def fail(*args, **kwargs):
        raise RuntimeError("disk full")

    monkeypatch.setattr(ready.outbox, "publish", fail)
    with pytest.raises(RuntimeError):
        tick(ready)
    monkeypatch.undo()
    tick(ready)
    assert [row.isa13 for row in queued(ready)] == ["000000001"]


def test_a_claim_without_note_may_wait_for_one_and_drafts_are_looked_at_again(ready, fake_clock):
    ready.release._note_wait_us = 60_000_000
    ready.charge(1)
    ready.encounter()
    tick(ready)
    assert (ready.claim()["status"], queued(ready)) == ("draft", [])
    ready.jobs.look_again()
    assert queued(ready) == []
    fake_clock.advance(61)
    ready.jobs.look_again()
    assert len(queued(ready)) == 1


def test_a_draft_goes_once_its_billing_organization_is_completed(ready):
    ready.put({"resourceType": "Organization", "id": "clinic", "name": "Clinic"})
    ready.charge(1)
    ready.encounter()
    tick(ready)
    ready.people()
    ready.jobs.look_again()
    assert ready.claim()["status"] == "active"
