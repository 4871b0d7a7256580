"""An 837 is a disclosure: the patient's consent and restrictions decide whether it goes, it is recorded when it does, and people are told when not."""

import json

import pytest

from chartloop.kernel.audit.journal import audit_directory
from tests.integration.audited import recorded_changes
from tests.integration.claims.test_jobs import queued, tick

PRIVACY = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]}
POLICY = "http://terminology.hl7.org/CodeSystem/consentpolicycodes"
PAYMENT = [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HPAYMT"}]
PAYER = [{"role": {"text": "payer"}, "reference": {"reference": "Organization/payer-1"}}]
SUBSTANCE_USE = [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "42CFRPart2"}]


@pytest.fixture
def ready(world):
    world.payer()
    world.people()
    return world


def consent(provision, *, rule="", status="active", id_="c"):
    return {
        "resourceType": "Consent", "id": id_, "status": status, "scope": PRIVACY, "category": [{"text": "consent"}], "patient": {"reference": "Patient/pat"},
        "performer": [{"reference": "Patient/pat"}], "policyRule": {"coding": [{"system": POLICY, "code": rule}] if rule else [], "text": "as signed"},
        "provision": provision,
    }  # fmt: skip


def stored(resource):
    policy = {name: value for name, value in resource["policyRule"].items() if value}
    return {**resource, "policyRule": policy}


def records(world):
    """Every disclosure that was decided, in the order it was."""
    return [each for each in recorded_changes(world.db) if each["interaction"] == "disclosure"]


def refusals(world):
    folder = audit_directory(world.settings.data)
    return [line for path in sorted(folder.rglob("*")) if path.is_file() for line in path.read_bytes().split(b"\n") if b'"disclosure"' in line]


def visit(world, reason="J02.9"):
    world.charge(1, reason=reason)
    world.encounter()
    tick(world)


@pytest.mark.conformance("Access", "a released claim is recorded as a disclosure: patient, payer, version, and the labels of what was told")
def test_a_released_claim_is_recorded_as_a_disclosure(ready):
    visit(ready, "F32.1")
    assert len(queued(ready)) == 1
    (record,) = records(ready)
    claim = ready.claim()
    version = claim["meta"]["versionId"]
    assert record["targets"] == [f"Claim/{claim['id']}/_history/{version}", "Encounter/enc", "ChargeItem/charge-1", "Organization/payer-1"]
    assert (record["patients"], record["subject"]["purpose"], record["reason"]) == (["Patient/pat"], "HPAYMT", "labels: PSY")
    tick(ready)
    assert len(records(ready)) == 1


@pytest.mark.conformance("Access", "42 CFR Part 2: a claim of substance use goes to the payer the patient consented to, and else becomes a Task")
def test_substance_use_is_told_to_a_payer_only_with_consent(ready):
    visit(ready, "F10.20")
    assert queued(ready) == []
    assert records(ready) == []
    (task,) = ready.see("Task")
    assert task["code"]["coding"][0]["code"] == "claim-withheld"
    said = json.dumps(task)
    assert not [word for word in ("F10", "part-2", "Part 2", "substance", "alcohol") if word in said]
    assert any(b"part-2-needs-a-consent" in line for line in refusals(ready))
    assert ready.claim()["status"] == "draft"
    ready.put(stored(consent({"type": "permit", "actor": PAYER, "purpose": PAYMENT, "securityLabel": SUBSTANCE_USE})))
    tick(ready)
    assert len(queued(ready)) == 1
    assert [task["status"] for task in ready.see("Task")] == ["completed"]
    assert records(ready)[0]["reason"] == "labels: ETH"


@pytest.mark.conformance("Access", "42 CFR Part 2: a claim of substance use goes to the payer the patient consented to, and else becomes a Task")
@pytest.mark.parametrize(
    "change",
    [
        {"status": "inactive"},
        {"performer": [{"reference": "Practitioner/dr"}]},
        {"provision": {"type": "permit", "actor": [{"role": {"text": "payer"}, "reference": {"reference": "Organization/clinic"}}]}},
        {"provision": {"type": "permit", "purpose": [{**PAYMENT[0], "code": "HRESCH"}]}},
        {"provision": {"type": "permit", "period": {"end": "2020-01-01"}}},
        {"patient": {"reference": "Patient/other"}},
    ],
    ids=["inactive", "signed by another", "another payer", "another purpose", "over", "another patient"],
)
def test_a_consent_to_something_else_does_not_count(ready, change):
    ready.put({"resourceType": "Patient", "id": "other"})
    ready.put({**stored(consent({"type": "permit"})), **change})
    visit(ready, "F11.20")
    assert queued(ready) == []
    assert ready.task_codes() == ["claim-withheld"]


@pytest.mark.conformance("Access", "45 CFR 164.522(a): what a patient paid for, or had restricted, is not told to the payer")
@pytest.mark.parametrize(
    ("provision", "rule", "goes"),
    [
        ({"type": "deny", "actor": PAYER, "purpose": PAYMENT}, "hipaa-self-pay", False),
        ({"type": "deny", "data": [{"meaning": "instance", "reference": {"reference": "Encounter/enc"}}]}, "hipaa-self-pay", False),
        ({"type": "deny", "data": [{"meaning": "instance", "reference": {"reference": "ChargeItem/charge-1"}}]}, "hipaa-self-pay", False),
        ({"type": "deny", "data": [{"meaning": "instance", "reference": {"reference": "Encounter/another"}}]}, "hipaa-self-pay", True),
        ({"type": "deny", "actor": PAYER}, "hipaa-restrictions", False),
        ({"type": "deny", "actor": PAYER}, "", False),
        ({"type": "deny", "purpose": [{**PAYMENT[0], "code": "HRESCH"}]}, "", True),
        ({"type": "deny", "actor": [{"role": {"text": "x"}, "reference": {"reference": "Practitioner/dr"}}]}, "", True),
    ],
)
def test_a_restriction_keeps_a_claim_from_the_payer(ready, provision, rule, goes):
    ready.put(stored(consent(provision, rule=rule)))
    visit(ready)
    assert bool(queued(ready)) is goes
    assert ready.task_codes() == ([] if goes else ["claim-withheld"])


@pytest.mark.conformance("Attacks", "67: a Consent that is withdrawn counts no more from the next release on")
def test_a_consent_that_is_withdrawn_counts_no_more(ready):
    ready.put(stored(consent({"type": "permit"})))
    ready.put(stored(consent({"type": "permit"}, status="inactive")))
    visit(ready, "F10.20")
    assert queued(ready) == []
