"""From the note of a visit to codes on the claim, a review Task, a coder's decisions and training examples."""

from __future__ import annotations

import json

import pytest

from chartloop.kernel.errors import Forbidden, NotFound
from chartloop.kernel.worker import Permanent
from claims.coding.diagnosis import coded_notes
from claims.coding.examples import note_key, read_examples
from claims.coding.resolver import resolve
from tests.integration.coder.conftest import NOTE, Loop, chart_complete, decide, offered, scope


@pytest.mark.conformance("The loop", "3 Codes: without a calibration record auto-append is off and everything goes into a review Task")
@pytest.mark.conformance("Coding", "a fresh install appends nothing and asks a coder, with evidence span and reasons")
def test_a_fresh_install_appends_nothing_and_asks_a_coder(loop: Loop) -> None:
    loop.use(demo=False)
    loop.visit()
    loop.event("Claim/cl1")
    assert loop.codes() == []
    (task,) = loop.tasks()
    assert (task["status"], task["intent"], task["focus"], task["for"]) == ("requested", "order", {"reference": "Claim/cl1"}, {"reference": "Patient/p1"})
    assert task["code"]["coding"][0]["code"] == "review-coding"
    found = offered(task)
    assert {"I10", "E11.9"} <= found.keys()
    assert "J18.9" not in found
    assert found["I10"]["reasons"] == ["uncertified"]
    assert NOTE[found["I10"]["start"] : found["I10"]["end"]].lower().startswith("essential hypertension")
    assert coded_notes(loop.read("Claim/cl1")) == {}


@pytest.mark.conformance("The loop", "3 Codes: certified codes go onto the draft Claim with a Provenance of model, version and calibration record")
def test_certified_codes_go_onto_the_claim_with_their_provenance(loop: Loop) -> None:
    loop.visit("Essential hypertension. Type 2 diabetes mellitus without complications.")
    loop.event("DocumentReference/n1")
    assert set(loop.codes()) == {"I10", "E11.9"}
    claim = loop.read("Claim/cl1")
    assert [d["sequence"] for d in claim["diagnosis"]] == [1, 2]
    page = loop.repository.search(scope("coding-engine"), "Provenance", "target=Claim/cl1")
    (provenance,) = [p.json() for p in page.entries]
    assert provenance["agent"][0]["who"]["display"] == f"chartloop-coder {loop.coder.coder.version}"
    assert provenance["entity"] == [{"role": "source", "what": {"reference": "DocumentReference/n1"}}]
    assert len(provenance["extension"][0]["valueString"]) == 64


@pytest.mark.conformance("The loop", "3 Codes: one review Task per claim; coding again changes nothing")
def test_coding_a_claim_again_changes_nothing(loop: Loop) -> None:
    loop.visit()
    for subject in ("Claim/cl1", "Encounter/e1", "DocumentReference/n1", "Claim/cl1"):
        loop.event(subject)
    assert len(loop.tasks()) <= 1
    before = loop.coder.calls
    version = loop.read("Claim/cl1")["meta"]["versionId"]
    loop.event("Claim/cl1")
    assert (loop.coder.calls, loop.read("Claim/cl1")["meta"]["versionId"]) == (before, version)


@pytest.mark.conformance("Attacks", "26: a psychiatric note is coded by behavioral health coders alone")
@pytest.mark.conformance("The loop", "4 Review: a psychiatric note goes to behavioral-health coders; other coders cannot see that it exists")
@pytest.mark.conformance("Attacks", "29: a coder's Task of a psychiatric note is hidden from other coders")
def test_a_psychiatric_note_is_coded_by_behavioral_health_coders_alone(loop: Loop) -> None:
    loop.visit("Major depressive disorder. Essential hypertension.", note_type="34788-0")
    loop.event("Claim/cl1")
    (task,) = loop.tasks()
    assert loop.codes() == []
    assert all("sensitive" in f["reasons"] for f in offered(task).values())
    with pytest.raises(NotFound):
        loop.repository.read(scope("coder", "Practitioner/c1"), "Task", task["id"])
    assert not loop.repository.search(scope("coder", "Practitioner/c1"), "Task", "_count=50").entries
    i10 = offered(task)["I10"]
    loop.complete(task, [decide("accept", "I10", i10["id"]), chart_complete()], role="behavioral-health-coder")
    assert loop.codes() == ["I10"]
    assert read_examples(loop.ledger_path) == []


@pytest.mark.conformance("The loop", "4 Review: decisions complete the Task, update the Claim and append training examples")
@pytest.mark.conformance("The loop", "4 Review: what nobody reviewed is unlabelled, never negative")
@pytest.mark.conformance("Coding", "accept, replace and add change the Claim once; examples name the note by a key only")
def test_decisions_change_the_claim_and_become_training_examples(loop: Loop) -> None:
    loop.use(demo=False)
    loop.visit()
    loop.event("Claim/cl1")
    (task,) = loop.tasks()
    found = offered(task)
    output = [
        decide("accept", "E11.9", found["E11.9"]["id"]),
        decide("replace", "I11.9", found["I10"]["id"]),
        decide("add", "R53.83", start=5, end=9),
        chart_complete(),
    ]
    loop.complete(task, output)
    assert loop.codes() == ["E11.9", "I11.9", "R53.83"]
    assert coded_notes(loop.read("Claim/cl1")) == {"DocumentReference/n1": 1}
    examples = {e["decision"] + " " + (e["suggested_code"] or e["final_code"]): e for e in read_examples(loop.ledger_path)}
    assert examples["replace I10"]["final_code"] == "I11.9"
    assert examples["add R53.83"]["start"] == 5
    assert examples["accept E11.9"]["review_state"] == "reviewed"
    assert {e["review_state"] for k, e in examples.items() if k.startswith("none")} <= {"unreviewed"}
    assert "DocumentReference" not in loop.ledger_path.read_text()
    page = loop.repository.search(scope("coding-engine"), "Provenance", "target=Claim/cl1")
    assert [p.json()["agent"][0]["who"] for p in page.entries] == [{"reference": "Practitioner/c1"}]
    before = loop.ledger_path.read_bytes(), loop.read("Claim/cl1")["meta"]["versionId"]
    loop.event(f"Task/{task['id']}")
    assert (loop.ledger_path.read_bytes(), loop.read("Claim/cl1")["meta"]["versionId"]) == before


@pytest.mark.conformance("Coding", "a rejected code leaves the Claim; codes that were not decided stay")
def test_a_rejected_code_leaves_the_claim_only_if_the_coder_saw_it(loop: Loop) -> None:
    loop.visit(NOTE + "Known fatigue and malaise, possibly anemia of chronic disease.\n")
    loop.event("Claim/cl1")
    (task,) = loop.tasks()
    found = offered(task)
    assert loop.codes() == ["I10", "D64.9", "E11.9"]
    claim = loop.read("Claim/cl1")
    coding = {"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "K21.9"}
    unseen = {"sequence": 4, "diagnosisCodeableConcept": {"coding": [coding]}}  # somebody else's, which this Task never showed
    loop.put({**claim, "diagnosis": [*claim["diagnosis"], unseen]})
    assert "K21.9" not in found
    loop.complete(task, [decide("reject", "K21.9", "nobody")])
    assert loop.codes() == ["I10", "D64.9", "E11.9", "K21.9"]
    (again,) = loop.tasks()
    assert (again["status"], "names no suggestion" in again["statusReason"]["text"]) == ("in-progress", True)
    loop.complete(again, [decide("reject", "D64.9", found["D64.9"]["id"])])
    assert loop.codes() == ["I10", "E11.9", "K21.9"]


@pytest.mark.conformance("Coding", "a decision that cannot be taken sends the review back and loses nothing")
@pytest.mark.parametrize(
    ("kind", "code", "named", "reason"),
    [
        ("accept", "I10", "nobody", "names no suggestion"),
        ("replace", "Z99.99", "I10", "no such code"),
        ("replace", "E11", "I10", "more specific codes"),
        ("accept", "E11.9", "I10", "another code is a replacement"),
        ("bless", "I10", "I10", "not known"),
    ],
)
def test_a_decision_that_cannot_be_taken_sends_the_review_back_and_loses_nothing(loop: Loop, kind: str, code: str, named: str, reason: str) -> None:
    loop.use(demo=False)
    loop.visit()
    loop.event("Claim/cl1")
    (task,) = loop.tasks()
    suggestion = offered(task)[named]["id"] if named in offered(task) else named
    loop.complete(task, [decide(kind, code, suggestion)])
    (again,) = loop.tasks()
    assert again["status"] == "in-progress"
    assert reason in again["statusReason"]["text"]
    assert "Task.output[0]" in again["statusReason"]["text"]
    assert again["output"][0]["valueCoding"]["code"] == code
    assert loop.codes() == []
    assert read_examples(loop.ledger_path) == []


@pytest.mark.conformance("Coding", "a new version of a note extends the open review")
def test_a_new_version_of_a_note_extends_the_open_review(loop: Loop) -> None:
    loop.use(demo=False)
    loop.visit()
    loop.event("Claim/cl1")
    loop.note(NOTE.replace("Type 2 diabetes mellitus without complications", "Gastroesophageal reflux disease"))
    loop.event("DocumentReference/n1")
    (task,) = loop.tasks()
    assert "E11.9" not in offered(task)
    assert "K21.9" in offered(task)
    loop.note("Acute bronchitis.", id_="n2")
    loop.event("DocumentReference/n2")
    (task,) = loop.tasks()
    assert {"K21.9", "J20.9"} <= offered(task).keys()


def test_a_review_completed_after_the_release_is_not_applied(loop: Loop) -> None:
    loop.use(demo=False)
    loop.visit()
    loop.event("Claim/cl1")
    (task,) = loop.tasks()
    loop.put({**loop.read("Claim/cl1"), "status": "active"})
    with pytest.raises(Permanent):
        loop.complete(task, [decide("accept", "I10", offered(task)["I10"]["id"])])


@pytest.mark.conformance("The loop", "4 Review: a keyed HMAC stands for the note's id; only the training secret resolves it")
def test_only_who_may_read_notes_finds_the_note_behind_an_example(loop: Loop) -> None:
    loop.visit()
    keys = frozenset({note_key(b"training", "DocumentReference/n1")})
    assert [s.id for _, s in resolve(loop.repository, scope("coding-engine"), b"training", keys)] == ["n1"]
    assert list(resolve(loop.repository, scope("coding-engine"), b"another secret", keys)) == []
    for role in ("researcher", "patient", "auditor", "payer"):
        with pytest.raises(Forbidden):
            list(resolve(loop.repository, scope(role), b"training", keys))
    # Billing sees that there is a note, and nothing of what it says; of a psychiatric one it sees nothing at all.
    (redacted,) = (stored.json() for _, stored in resolve(loop.repository, scope("billing-administrator"), b"training", keys))
    assert "data" not in redacted["content"][0]["attachment"]
    loop.note("Major depressive disorder.", id_="n2", note_type="34788-0")
    both = keys | {note_key(b"training", "DocumentReference/n2")}
    for role, seen in (("coder", ["n1"]), ("billing-administrator", ["n1"]), ("behavioral-health-coder", ["n1", "n2"])):
        assert sorted(s.id for _, s in resolve(loop.repository, scope(role), b"training", both)) == seen, role


def test_money_is_written_back_as_it_was(loop: Loop) -> None:
    loop.visit()
    body = json.dumps(loop.read("Claim/cl1")).replace('"value": 72', '"value": 72.50').encode()
    loop.repository.update(scope("operator"), "Claim", "cl1", body)
    loop.event("Claim/cl1")
    assert b"72.50" in loop.repository.read(scope("coding-engine"), "Claim", "cl1").body
