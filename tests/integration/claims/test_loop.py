"""From charges to a payment, over the real store and the simulated payer, on both databases."""

import pytest

from chartloop.kernel.access.scope import Scope
from claims.interchange_store import by_isa13
from claims.mapping import systems as s
from claims.trace import trace
from tests.integration.claims.world import ENGINE


@pytest.fixture
def ready(world, running_payer):
    running_payer.behave(delay_s=0, reject_rate=0, outage_rate=0, split_rate=0, deny_rate=0, underpay_rate=0)
    world.payer(address=running_payer.address())
    world.people()
    return world


@pytest.mark.conformance("The loop", "5 Claim: charges of a finished encounter become a draft, an 837P and a payment; the trace names each step")
def test_charges_of_a_finished_encounter_become_a_paid_claim(ready, running_payer):
    ready.worker.start()
    ready.charge(1)
    ready.charge(2, price="30.00")
    ready.encounter()
    payments = ready.until(lambda: ready.see("PaymentReconciliation"))
    claim = ready.claim()
    assert claim["status"] == "active"
    assert claim["total"]["value"] == 102.5
    assert [d["diagnosisCodeableConcept"]["coding"][0]["code"] for d in claim["diagnosis"]] == ["J02.9"]
    assert any(i["system"] == s.ISA13 and i["value"] == "CHARTLOOP-000000001" for i in claim["identifier"])
    responses = ready.see("ClaimResponse")
    assert len(responses) == 1
    assert responses[0]["request"]["reference"] == f"Claim/{claim['id']}"
    assert payments[0]["detail"][0]["request"]["reference"] == f"Claim/{claim['id']}"
    assert payments[0]["detail"][0]["response"]["reference"] == f"ClaimResponse/{responses[0]['id']}"
    assert running_payer.stats()["distinct_claims"] == 1
    steps = trace(ready.repository, Scope(ENGINE, "read"), ready.db, claim["id"])
    kinds = [step.kind for step in steps]
    assert kinds[0] == "claim"
    assert [k for k in kinds if k in ("isa13", "999", "277CA", "835", "paymentreconciliation")] == ["isa13", "999", "277CA", "835", "paymentreconciliation"]
    assert trace(ready.repository, Scope(ENGINE, "read"), ready.db, "000000001") == steps
    pcn = next(i["value"] for i in claim["identifier"] if i["system"] == s.PCN)
    assert trace(ready.repository, Scope(ENGINE, "read"), ready.db, pcn) == steps
    with ready.db.read() as session:
        assert by_isa13(session, "000000001")[0].state == "acknowledged"
