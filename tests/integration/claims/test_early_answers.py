"""Payments that come twice, out of order and before the claim they pay; and a claim that two workers want to send."""

import itertools
import threading

import pytest

from chartloop.kernel.events import Event
from claims.interchange_store import interchange
from claims.jobs import ClaimConsumer
from claims.jobs_assembly import Assembly
from claims.jobs_release import Release
from claims.mapping import systems as s
from claims.mapping.element import identifier
from tests.integration.claims.test_answers import ACCEPTED, PCN, sent, take  # noqa: F401
from tests.integration.claims.test_jobs import coded, diagnosed, queued, ready, tick  # noqa: F401
from tests.integration.claims.world import PAYER
from tests.unit.claims.samples import CLAIM_STATUS, REMITTANCE


@pytest.mark.long
@pytest.mark.conformance("Attacks", "88: an 835 that arrives twice, out of order, before its 277CA and 999 ends the same")
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
def test_every_order_of_arrival_twice_over_ends_the_same(sent, order):  # noqa: F811
    texts = [ACCEPTED, CLAIM_STATUS, REMITTANCE]
    take(sent, *[texts[i] for i in order], *[texts[i] for i in reversed(order)])
    response = sent.see("ClaimResponse")[0]
    assert (response["outcome"], response["disposition"], response["preAuthRef"]) == ("complete", "Paid less than charged", "ICN1")
    assert float(response["payment"]["amount"]["value"]) == 100
    assert [len(sent.see(kind)) for kind in ("ClaimResponse", "PaymentReconciliation")] == [1, 1]


@pytest.mark.conformance("Attacks", "88: an 835 that arrives before the claim is kept, asked about, and applied when the claim is there; twice is once")
def test_a_payment_before_its_claim_is_applied_when_the_claim_is_there(ready):  # noqa: F811
    ready.charge(1, price="145")
    ready.encounter()
    ready.note()
    tick(ready)
    early = REMITTANCE.replace(PCN, identifier(ready.claim(), s.PCN))
    take(ready, early, early)
    assert (ready.claim()["status"], ready.see("ClaimResponse")) == ("draft", [])
    assert "request" not in ready.see("PaymentReconciliation")[0]["detail"][0]
    assert ready.task_codes() == ["remittance-unmatched"]
    coded(ready, ("DocumentReference/note", 1))
    diagnosed(ready)
    tick(ready)
    take(ready)
    claim = ready.claim()
    response, payment = ready.see("ClaimResponse")[0], ready.see("PaymentReconciliation")[0]
    assert (response["outcome"], float(response["payment"]["amount"]["value"])) == ("complete", 100.0)
    assert payment["detail"][0]["request"]["reference"] == f"Claim/{claim['id']}"
    assert [(task["code"]["coding"][0]["code"], task["status"]) for task in ready.see("Task")] == [("remittance-unmatched", "completed")]
    with ready.db.read() as session:
        states = [row[0] for row in session.all("SELECT state FROM interchange WHERE direction = 'out'")]
    assert states == ["acknowledged"], "a payer that paid has the claim: it is not sent"
    before = (ready.see("ClaimResponse"), ready.see("PaymentReconciliation"))
    take(ready, early.replace("000000009", "000000019"))
    assert (ready.see("ClaimResponse")[0]["payment"], len(ready.see("PaymentReconciliation"))) == (before[0][0]["payment"], 1)


@pytest.mark.conformance("Attacks", "89: the same claim from two workers at once is one interchange under one ISA")
def test_two_workers_that_release_the_same_claim_make_one_isa(ready):  # noqa: F811
    ready.charge(1)
    ready.encounter()
    ready.jobs._assembly.assemble("enc")
    others = [ClaimConsumer(ready.chart, Assembly(ready.chart), Release(ready.chart, ready.db, ready.outbox, ready.settings, PAYER)) for _ in range(4)]
    start, faults = threading.Barrier(len(others)), []

    def work(number, consumer):
        start.wait()
        try:
            consumer.handle(Event(f"e{number}", "ResourceUpdated", "Encounter/enc", 0, "k", "", 0), lambda tx: None)
        except Exception as error:
            faults.append(type(error).__name__)

    threads = [threading.Thread(target=work, args=each) for each in enumerate(others)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [row.isa13 for row in queued(ready)] == ["000000001"]
    assert set(faults) <= {"Later"}, "whoever lost looks again"
    assert ready.claim()["status"] == "active"
    with ready.db.read() as session:
        assert session.one("SELECT count(*) FROM claim_submission") == (1,)
        assert session.one("SELECT value FROM claims_counter WHERE scope = 'isa/CHARTLOOP/P1/T'") == (1,)
        assert interchange(session, 1).state == "queued"
