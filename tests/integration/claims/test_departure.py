"""Between queueing and sending a patient may change their mind: what may no longer leave stays, is a draft again, and people are told."""

import json

import pytest

from chartloop.kernel.events import Event
from claims.mapping import systems as s
from tests.integration.claims.faults_payer import WirePayer
from tests.integration.claims.test_disclosure import PAYER, PAYMENT, SUBSTANCE_USE, consent, records, refusals, stored, visit
from tests.integration.claims.test_jobs import queued, tick


def sent(world, number=1):
    marks = []
    world.sending.handle(Event("e1", "InterchangeQueued", f"interchange/{number}", 0, "k", "", 0), marks.append)
    return len(marks)


@pytest.fixture
def wire(world):
    payer = WirePayer()
    world.payer(address=payer.address)
    world.people()
    yield payer
    payer.stop()


PERMISSION = {"type": "permit", "actor": PAYER, "purpose": PAYMENT, "securityLabel": SUBSTANCE_USE}


@pytest.mark.conformance("Access", "a queued claim is decided again before it is sent: a consent that was withdrawn meanwhile holds it")
def test_a_claim_whose_consent_is_withdrawn_while_it_waits_does_not_leave(world, wire):
    world.put(stored(consent(PERMISSION)))
    visit(world, "F10.20")
    assert [row.state for row in queued(world)] == ["queued"]
    world.put(stored(consent(PERMISSION, status="inactive")))
    assert sent(world) == 1
    assert wire.received == []
    assert [row.state for row in queued(world)] == ["withheld"]
    claim = world.claim()
    assert claim["status"] == "draft"
    assert s.ISA13 not in [each["system"] for each in claim["identifier"]]
    (task,) = world.see("Task")
    assert (task["code"]["coding"][0]["code"], task["status"], task["focus"]) == ("claim-withheld", "requested", {"reference": f"Claim/{claim['id']}"})
    assert not [word for word in ("F10", "part-2", "Part 2", "substance", "alcohol") if word in json.dumps(task)]
    assert any(b"part-2-needs-a-consent" in line for line in refusals(world))


@pytest.mark.conformance("Access", "a queued claim is decided again before it is sent: it goes when the patient consents again, once, under a number of its own")
def test_a_claim_that_was_held_goes_when_the_patient_consents_again(world, wire):
    visit(world)
    world.put(stored(consent({"type": "deny", "actor": PAYER}, rule="hipaa-restrictions")))
    sent(world)
    tick(world)
    assert [row.state for row in queued(world)] == ["withheld"]
    world.put(stored(consent({"type": "deny", "actor": PAYER}, rule="hipaa-restrictions", status="inactive")))
    tick(world)
    assert [(row.state, row.isa13) for row in queued(world)] == [("withheld", "000000001"), ("queued", "000000002")]
    assert [task["status"] for task in world.see("Task")] == ["completed"]
    sent(world, 1)
    assert wire.received == []
    sent(world, 2)
    assert wire.keys == ["CHARTLOOP-000000002"]


def test_what_may_still_go_goes_and_is_not_recorded_twice_as_a_disclosure(world, wire):
    visit(world)
    assert len(records(world)) == 1
    assert sent(world) == 1
    assert (len(wire.received), len(records(world)), world.task_codes()) == (1, 1, [])


def test_a_claim_that_is_gone_is_told_to_nobody(world, wire):
    visit(world)
    world.setup._repository.delete(world.setup._scope("delete"), "Claim", world.claim()["id"])
    sent(world)
    assert ([row.state for row in queued(world)], wire.received) == (["withheld"], [])
