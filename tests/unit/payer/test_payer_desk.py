"""The simulated payer reads with its own eyes and answers in X12 that pyx12 accepts."""

from __future__ import annotations

import io

import pytest

from chartloop.demo.payer.deciding import Behaviour, luhn
from chartloop.demo.payer.desk import Desk
from chartloop.demo.payer.edi import Unreadable
from chartloop.demo.payer.memory import Memory

ISA = "ISA*00*          *00*          *ZZ*CHARTLOOP      *ZZ*PAYER1         *261122*0801*^*00501*000000007*0*T*:~"
CLAIM = (
    "ST*837*0001*005010X222A1~BHT*0019*00*0007*20261122*0801*CH~NM1*41*2*RIVERSIDE CLINIC*****46*CHARTLOOP~PER*IC*BILLING*TE*2175550100~"
    "NM1*40*2*PRAIRIE HEALTH*****46*PAYER1~HL*1**20*1~NM1*85*2*RIVERSIDE CLINIC*****XX*1234567893~N3*1 RIVER ST~N4*SPRINGFIELD*IL*627010001~REF*EI*371234567~"
    "HL*2*1*22*0~SBR*P*18*******CI~NM1*IL*1*MUSTER*ANNA****MI*M0001~N3*2 ELM ST~N4*SPRINGFIELD*IL*62701~DMG*D8*19700101*F~NM1*PR*2*PRAIRIE HEALTH*****PI*PAYER1~"
    "CLM*PCN0000000000001*180***11:B:1*Y*A*Y*Y~HI*ABK:J020*ABF:R509~LX*1~SV1*HC:G0463*120*UN*1***1~DTP*472*D8*20261120~REF*6R*L1~"
    "LX*2~SV1*HC:J1885*60*UN*4***1:2~DTP*472*D8*20261120~REF*6R*L2~SE*28*0001~"
)


def interchange(body: str = CLAIM, isa: str = ISA, trailer: str = "GE*1*7~IEA*1*000000007~") -> bytes:
    return (isa + "GS*HC*CHARTLOOP*PAYER1*20261122*0801*7*X*005010X222A1~" + body + trailer).encode()


@pytest.fixture
def desk(tmp_path):
    return Desk("PAYER1", "Prairie Health", 1, Memory(tmp_path / "payer.sqlite3"), Behaviour(deny_rate=0, underpay_rate=0, split_rate=0, delay_s=0))


def mailbox(desk: Desk) -> list[tuple[str, str]]:
    return [(name, body) for _, name, body in desk.memory.mailbox(desk.payer, 0, 100, 1e12)]


def pyx12_accepts(text: str) -> bool:
    import pyx12.params
    import pyx12.x12n_document

    return bool(pyx12.x12n_document.x12n_document(pyx12.params.ParamsBase(), io.StringIO(text), None, None))


@pytest.mark.conformance("X12", "the simulated payer acknowledges, accepts and pays; pyx12 accepts its 999, 277CA and 835")
@pytest.mark.filterwarnings("default")
def test_a_good_claim_is_acknowledged_accepted_and_paid(desk):
    desk.receive("CHARTLOOP-000000007", interchange())
    answers = mailbox(desk)
    assert [name for name, _ in answers] == ["999", "277CA", "835"]
    assert [pyx12_accepts(body) for _, body in answers] == [True, True, True]
    assert "AK9*A*1*1*1~" in answers[0][1]
    assert "STC*A2:20:PR*" in answers[1][1]
    assert "CLP*PCN0000000000001*1*180*124*20*12*" in answers[2][1]


@pytest.mark.conformance("X12", "the simulated payer rejects, splits and denies by its behaviour")
@pytest.mark.filterwarnings("default")
def test_a_payment_may_come_in_two_parts_and_with_denied_lines(desk):
    desk.behaviour = Behaviour(deny_rate=1, split_rate=1, delay_s=0)
    desk.receive("CHARTLOOP-000000007", interchange())
    remittances = [body for name, body in mailbox(desk) if name == "835"]
    assert len(remittances) == 2
    assert all(pyx12_accepts(body) for body in remittances)
    assert all("*4*" in body and "CAS*CO*16*" in body for body in remittances)


@pytest.mark.conformance("X12", "the simulated payer rejects, splits and denies by its behaviour")
@pytest.mark.filterwarnings("default")
def test_a_rejected_claim_gets_a_277ca_and_no_payment(desk):
    desk.receive("CHARTLOOP-000000007", interchange(CLAIM.replace("1234567893", "1234567890")))
    answers = mailbox(desk)
    assert [name for name, _ in answers] == ["999", "277CA"]
    assert "STC*A7:562:85*" in answers[1][1]
    assert pyx12_accepts(answers[1][1])


@pytest.mark.conformance("The loop", "5 Claim: the simulated payer finds an altered SE01")
@pytest.mark.filterwarnings("default")
def test_an_altered_segment_count_is_found(desk):
    desk.receive("CHARTLOOP-000000007", interchange(CLAIM.replace("SE*28*", "SE*27*")))
    [(name, body)] = mailbox(desk)
    assert name == "999"
    assert "IK5*R*4~" in body
    assert "AK9*R*1*1*0~" in body
    assert pyx12_accepts(body)


@pytest.mark.conformance("X12", "the simulated payer answers a broken envelope with a TA1")
def test_a_broken_envelope_gets_a_ta1(desk):
    desk.receive("CHARTLOOP-000000007", interchange(trailer="GE*1*7~IEA*1*000000008~"))
    [(name, body)] = mailbox(desk)
    assert name == "TA1"
    assert "TA1*000000007*261122*0801*R*001~" in body


@pytest.mark.conformance("X12", "the simulated payer counts a repeated interchange once")
def test_the_same_interchange_twice_is_one_claim(desk):
    for _ in range(2):
        desk.receive("CHARTLOOP-000000007", interchange())
    stats = desk.memory.stats("PAYER1")
    assert (stats["interchanges"], stats["repeated"], stats["distinct_claims"], stats["duplicates"]) == (1, 1, 1, 0)


def test_the_same_claim_in_another_interchange_is_a_duplicate(desk):
    desk.receive("CHARTLOOP-000000007", interchange())
    desk.receive("CHARTLOOP-000000008", interchange())
    stats = desk.memory.stats("PAYER1")
    assert (stats["interchanges"], stats["distinct_claims"], stats["duplicates"]) == (2, 1, 1)
    assert "STC*A3:54*" in mailbox(desk)[-1][1]


def test_bytes_that_are_no_interchange_are_refused(desk):
    with pytest.raises(Unreadable):
        desk.receive("k", b"hello")


def test_the_check_digit_of_an_npi_is_found():
    assert luhn("1234567893")
    assert not luhn("1234567890")
    assert not luhn("12345")


@pytest.mark.conformance("The loop", "5 Claim: the simulated payer underpays: it takes more off (CO-45) than the contract says")
@pytest.mark.filterwarnings("default")
def test_an_underpaid_claim_loses_more_than_the_contract_says(desk):
    desk.receive("CHARTLOOP-000000007", interchange())
    desk.behaviour = Behaviour(deny_rate=0, underpay_rate=1, split_rate=0, delay_s=0)
    desk.receive("CHARTLOOP-000000008", interchange(CLAIM.replace("PCN0000000000001", "PCN0000000000002")))
    honest, short = [body for name, body in mailbox(desk) if name == "835"]
    assert pyx12_accepts(short)
    # 120 and 60 charged: the contract allows 80 %, an underpaying payer 55 %; 20 of the first line are the patient's own
    assert [segment for segment in honest.split("~\n") if segment.startswith("CAS*CO*45*")] == ["CAS*CO*45*24", "CAS*CO*45*12"]
    assert [segment for segment in short.split("~\n") if segment.startswith("CAS*CO*45*")] == ["CAS*CO*45*54", "CAS*CO*45*27"]
    assert "CLP*PCN0000000000001*1*180*124*20*" in honest
    assert "CLP*PCN0000000000002*1*180*79*20*" in short


@pytest.mark.conformance("The loop", "5 Claim: the simulated payer delays: its mailbox holds an answer back until it is due")
def test_an_answer_is_held_back_until_it_is_due(desk, fake_clock):
    desk.behaviour = Behaviour(deny_rate=0, underpay_rate=0, split_rate=0, delay_s=60)
    desk.receive("CHARTLOOP-000000007", interchange())

    def due() -> list[str]:
        return [name for _, name, _ in desk.memory.mailbox(desk.payer, 0, 100, fake_clock.now_us() / 1_000_000)]

    seen = []
    for seconds in (0, 59.5, 1, 59, 1):
        fake_clock.advance(seconds)
        seen.append(due())
    assert seen == [["999"], ["999"], ["999", "277CA"], ["999", "277CA"], ["999", "277CA", "835"]]
    desk.behaviour = Behaviour(delay_s=0)
    desk.receive("CHARTLOOP-000000008", interchange(CLAIM.replace("PCN0000000000001", "PCN0000000000002")))
    assert len(due()) == 6
