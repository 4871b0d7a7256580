"""What payers send: in any order, twice, unmatched, broken; the end is the same."""

import json

import pytest

from chartloop.kernel.events import Event
from claims.interchange_store import Submission, add_interchange, interchange, submit
from claims.mapping import systems as s
from claims.payers.mailbox import receive
from tests.unit.claims.samples import ACKNOWLEDGMENT, CLAIM_STATUS, REMITTANCE

PCN = "ABCDEFGHJKLMNPQRS"
ACCEPTED = ACKNOWLEDGMENT.replace("IK3*CLM*18*2300*8~\nCTX*CLM01:ABCDEFGHJKLMNPQRS~\nIK4*2*782*1~\nIK5*R*5", "IK5*A").replace("AK9*R*1*1*0", "AK9*A*1*1*1").replace("SE*9", "SE*6")


@pytest.fixture
def sent(world):
    world.payer()
    world.people()
    world.charge(1, price="145")
    world.encounter()
    world.jobs._assembly.assemble("enc")
    claim = world.claim()

    def queue(tx):
        number = add_interchange(tx, "out", "P1", "000000001", "1", "837P", "sent", "P1/CHARTLOOP-000000001", b"x")
        submit(tx, Submission(PCN, f"Claim/{claim['id']}", "P1", number))

    world.db.write(queue)
    return world


def take(world, *texts):
    for text in texts:
        world.db.write(lambda tx, text=text: receive(tx, world.outbox, "P1", text.encode()))
    with world.db.read() as session:
        waiting = [row[0] for row in session.all("SELECT id FROM interchange WHERE direction = 'in' AND state = 'received' ORDER BY id")]
    for number in waiting:
        world.answering.handle(Event(f"e{number}", "InterchangeReceived", f"interchange/{number}", 0, "k", "", 0), lambda tx: None)


def end_state(world):
    responses = [{k: v for k, v in r.items() if k not in ("id", "meta", "created")} for r in world.see("ClaimResponse")]
    payments = [
        {**{k: v for k, v in p.items() if k not in ("id", "meta", "created")}, "detail": [{k: v for k, v in d.items() if k != "response"} for d in p["detail"]]}
        for p in world.see("PaymentReconciliation")
    ]
    with world.db.read() as session:
        state = interchange(session, 1).state
    return json.dumps([responses, payments, state], sort_keys=True, default=str).replace(world.claim()["id"], "ID")


@pytest.mark.conformance("X12", "835: a payment is posted with its adjustments as ClaimResponse and PaymentReconciliation")
@pytest.mark.conformance("The loop", "5 Claim: 999, 277CA and 835 become ClaimResponse and PaymentReconciliation")
def test_a_payment_is_posted_with_its_adjustments(sent):
    take(sent, ACCEPTED, CLAIM_STATUS, REMITTANCE)
    response = sent.see("ClaimResponse")[0]
    assert (response["outcome"], response["disposition"], response["preAuthRef"]) == ("complete", "Paid less than charged", "ICN1")
    item = response["item"][0]
    assert item["itemSequence"] == 1
    found = [(a["category"]["coding"][0]["code"], a.get("reason", {}).get("coding", [{}])[0].get("code"), float(a["amount"]["value"])) for a in item["adjudication"]]
    assert found == [("submitted", None, 145.0), ("benefit", None, 120.0), ("CO", "45", 25.0)]
    assert float(response["payment"]["amount"]["value"]) == 100
    payment = sent.see("PaymentReconciliation")[0]
    assert (payment["paymentIdentifier"]["value"], float(payment["paymentAmount"]["value"]), payment["paymentDate"]) == ("TRACE1", 90.0, "2026-12-01")
    assert [float(d["amount"]["value"]) for d in payment["detail"]] == [100.0, -10.0]


@pytest.mark.conformance("X12", "999, 277CA and 835 are inbox-idempotent: order and number of arrivals do not matter")
@pytest.mark.conformance("The loop", "5 Claim: each answer is inbox-idempotent")
@pytest.mark.conformance("Attacks", "88: an 835 that arrives twice or out of order changes nothing")
def test_the_order_and_number_of_arrivals_do_not_matter(sent):
    take(sent, ACCEPTED, CLAIM_STATUS, REMITTANCE)
    first = end_state(sent)
    take(sent, REMITTANCE, ACCEPTED, CLAIM_STATUS)
    assert end_state(sent) == first
    # the same content under new control numbers
    take(sent, REMITTANCE.replace("000000009", "000000019"), CLAIM_STATUS.replace("000000003", "000000013"))
    assert end_state(sent) == first


@pytest.mark.conformance("Attacks", "88: a payment before its acknowledgment ends the same")
@pytest.mark.parametrize("order", [(2, 1, 0), (1, 2, 0)])
def test_a_payment_before_its_acknowledgment_ends_the_same(sent, order):
    texts = [ACCEPTED, CLAIM_STATUS, REMITTANCE]
    take(sent, *[texts[i] for i in order])
    response = sent.see("ClaimResponse")[0]
    assert (response["outcome"], response["disposition"], response["preAuthRef"]) == ("complete", "Paid less than charged", "ICN1")
    assert len(sent.see("PaymentReconciliation")) == 1
    with sent.db.read() as session:
        assert interchange(session, 1).state == "acknowledged"


@pytest.mark.conformance("X12", "a rejected 999 is an error on the ClaimResponse and a Task")
def test_a_rejected_group_is_an_error_and_asks_a_person(sent):
    take(sent, ACKNOWLEDGMENT)
    response = sent.see("ClaimResponse")[0]
    assert (response["outcome"], response["disposition"]) == ("error", "Transaction set rejected (999)")
    assert sent.task_codes() == ["claim-rejected"]
    with sent.db.read() as session:
        assert interchange(session, 1).state == "rejected"


@pytest.mark.conformance("X12", "277CA: a rejected claim says why")
def test_a_rejected_claim_says_why(sent):
    take(sent, CLAIM_STATUS.replace("STC*A2:20*20261122*WQ", "STC*A7:562:85*20261122*U"))
    response = sent.see("ClaimResponse")[0]
    assert [c["code"] for c in response["error"][0]["code"]["coding"]] == ["A7", "562"]


DENIED = (
    REMITTANCE.replace("BPR*I*90", "BPR*I*-10").replace("*1*145*100*20*12", "*4*145*0**12").replace("CAS*PR*1*20~\n", "").replace("145*120**2", "145*0**2")
    .replace("CAS*CO*45*25", "CAS*CO*29*145").replace("SE*18", "SE*17")
)


@pytest.mark.conformance("X12", "835: a denial is complete and pays nothing")
def test_a_denial_is_complete_and_pays_nothing(sent):
    take(sent, DENIED)
    response = sent.see("ClaimResponse")[0]
    assert (response["outcome"], response["disposition"], float(response["payment"]["amount"]["value"])) == ("complete", "Denied", 0.0)


@pytest.mark.conformance("X12", "835: a reversal and a correction leave the correction")
def test_a_reversal_and_a_correction_leave_the_correction(sent):
    reversal = """CLP*ABCDEFGHJKLMNPQRS*22*-145*-100*-20*12*ICN1*11*1~
CAS*PR*1*-20~
NM1*QC*1*MULLER*ZOE****MI*M123~
SVC*HC:G0463:25*-145*-120**2~
DTM*472*20261120~
CAS*CO*45*-25~
REF*6R*1~
CLP*ABCDEFGHJKLMNPQRS*1*145*145**12*ICN1*11*1~
NM1*QC*1*MULLER*ZOE****MI*M123~
SVC*HC:G0463:25*145*145**2~
DTM*472*20261120~
REF*6R*1~
"""
    head, _, tail = REMITTANCE.partition("CLP*")
    corrected = (head + reversal + tail[tail.index("PLB*"):]).replace("PLB*1999999984*20261231*WO:X1*10~\n", "").replace("BPR*I*90", "BPR*I*45")
    corrected = corrected.replace("TRACE1", "TRACE2").replace("20261201~\nTRN", "20261215~\nTRN").replace("000000009", "000000010").replace("SE*18", "SE*22")
    take(sent, corrected, REMITTANCE)
    response = sent.see("ClaimResponse")[0]
    assert response["disposition"] == "Paid in full after a reversal"
    assert float(response["payment"]["amount"]["value"]) == 145
    assert len(sent.see("PaymentReconciliation")) == 2


@pytest.mark.conformance("X12", "835: a payment for an unknown claim is kept and asks a person")
def test_a_payment_for_an_unknown_claim_is_kept_and_asks_a_person(sent):
    take(sent, REMITTANCE.replace(PCN, "SOMEBODYELSE").replace("ICN1", "ICN9"))
    payment = sent.see("PaymentReconciliation")[0]
    assert "request" not in payment["detail"][0]
    assert sent.task_codes() == ["remittance-unmatched"]


def test_a_payment_is_matched_by_the_payers_own_number(sent):
    take(sent, CLAIM_STATUS, REMITTANCE.replace(PCN, "CUT"))
    assert sent.see("PaymentReconciliation")[0]["detail"][0]["request"]["reference"].startswith("Claim/")


@pytest.mark.conformance("X12", "a broken answer is kept, not applied, and asks a person")
@pytest.mark.parametrize("text", [REMITTANCE.replace("BPR*I*90", "BPR*I*91"), "nothing of ours"])
def test_what_is_broken_is_kept_not_applied_and_asks_a_person(sent, text):
    take(sent, text)
    assert sent.see("ClaimResponse") == []
    assert sent.see("PaymentReconciliation") == []
    assert sent.task_codes() == ["interchange-invalid"]
    with sent.db.read() as session:
        row = interchange(session, 2)
    assert (row.state, row.body) == ("rejected", text.encode())


def test_an_acknowledgment_resolves_an_unknown_outcome(sent):
    sent.db.write(lambda tx: tx.run("UPDATE interchange SET state = 'unknown' WHERE id = 1"))
    take(sent, ACCEPTED)
    with sent.db.read() as session:
        assert interchange(session, 1).state == "acknowledged"


@pytest.mark.conformance("X12", "another payer cannot answer for this one")
def test_another_payer_cannot_answer_for_this_one(sent):
    sent.db.write(lambda tx: receive(tx, sent.outbox, "P2", REMITTANCE.encode()))
    sent.answering.handle(Event("e2", "InterchangeReceived", "interchange/2", 0, "k", "", 0), lambda tx: None)
    assert sent.see("ClaimResponse") == []
    assert s.PAYMENT in json.dumps(sent.see("PaymentReconciliation"), default=str)
