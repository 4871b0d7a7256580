"""TA1, 999, 277CA, 835 and 837P as typed data."""

from decimal import Decimal

import pytest

from claims.x12.acknowledgment import loop_to_claim_acknowledgments, loop_to_functional_acknowledgment, segment_to_interchange_acknowledgment
from claims.x12.money import decimal_to_text, text_to_decimal
from claims.x12.npi import is_npi
from claims.x12.professional_reader import loop_to_batch
from claims.x12.remittance import Adjustment, loop_to_remittance
from claims.x12.validation import validate
from tests.unit.claims.samples import ACKNOWLEDGMENT, CLAIM, CLAIM_STATUS, REMITTANCE


def root(text):
    return validate(text.encode()).sets[0].root


def test_a_ta1_names_the_interchange_it_answers():
    segment = validate(ACKNOWLEDGMENT.encode()).interchanges[0].acknowledgments[0]
    found = segment_to_interchange_acknowledgment(segment)
    assert (found.control, found.verdict, found.note) == ("000000001", "A", "000")


@pytest.mark.conformance("X12", "TA1, 999, 277CA, 835 and 837P are read with all that they say")
def test_a_999_says_where_the_fault_is():
    found = loop_to_functional_acknowledgment(root(ACKNOWLEDGMENT))
    assert (found.functional_id, found.group_control, found.verdict, found.accepted) == ("HC", "1", "R", False)
    answered = found.sets[0]
    assert (answered.identifier, answered.control, answered.verdict, answered.codes) == ("837", "0001", "R", ("5",))
    assert [(f.segment, f.position, f.loop, f.element, f.code) for f in answered.findings] == [("CLM", "18", "2300", "", "8"), ("CLM", "18", "2300", "2", "1")]


@pytest.mark.conformance("X12", "TA1, 999, 277CA, 835 and 837P are read with all that they say")
def test_a_277ca_says_what_became_of_each_claim():
    found = loop_to_claim_acknowledgments(root(CLAIM_STATUS))
    claim = found.claims[0]
    assert (found.batch, claim.control, claim.payer_control, claim.rejected) == ("0001", "ABCDEFGHJKLMNPQRS", "ICN1", False)
    assert [(s.category, s.status, s.action, s.amount) for s in claim.statuses] == [("A2", "20", "WQ", Decimal(145))]
    rejected = loop_to_claim_acknowledgments(root(CLAIM_STATUS.replace("STC*A2:20*20261122*WQ", "STC*A7:562:85*20261122*U")))
    assert rejected.claims[0].rejected
    assert rejected.claims[0].statuses[0].entity == "85"


@pytest.mark.conformance("X12", "TA1, 999, 277CA, 835 and 837P are read with all that they say")
def test_an_835_gives_payment_claims_lines_and_adjustments():
    found = loop_to_remittance(root(REMITTANCE))
    assert (found.amount, found.trace, found.payer_id, found.payee_id, found.date) == (Decimal(90), "TRACE1", "P1", "1999999984", "20261201")
    claim = found.claims[0]
    assert (claim.control, claim.status, claim.charge, claim.paid, claim.payer_control) == ("ABCDEFGHJKLMNPQRS", "1", Decimal(145), Decimal(100), "ICN1")
    assert claim.adjustments == (Adjustment("PR", "1", Decimal(20)),)
    assert (claim.lines[0].code, claim.lines[0].modifiers, claim.lines[0].control) == ("G0463", ("25",), "1")
    assert claim.lines[0].adjustments == (Adjustment("CO", "45", Decimal(25)),)
    assert [(a.reason, a.reference, a.amount) for a in found.provider_adjustments] == [("WO", "X1", Decimal(10))]


def test_a_cas_with_several_triples_is_several_adjustments():
    text = REMITTANCE.replace("CAS*CO*45*25", "CAS*CO*45*20**253*5")
    assert [(a.reason, a.amount) for a in loop_to_remittance(root(text)).claims[0].lines[0].adjustments] == [("45", Decimal(20)), ("253", Decimal(5))]


def test_an_837p_is_read_back():
    batch = loop_to_batch(root(CLAIM))
    claim = batch.claims[0]
    assert (claim.control, claim.total, claim.place, claim.diagnoses) == ("ABCDEFGHJKLMNPQRS", Decimal(145), "11", ("J020",))
    assert (claim.billing.id, claim.billing.tax_id, claim.insurance.subscriber.name, claim.insurance.payer.id) == ("1999999984", "123456789", "MULLER", "P1")
    assert (claim.lines[0].code, claim.lines[0].modifiers, claim.lines[0].pointers) == ("G0463", ("25",), (1,))


@pytest.mark.parametrize(("number", "good"), [("1234567893", True), ("1999999984", True), ("1999999980", False), ("199999998", False), ("12345678X3", False), ("", False)])
def test_an_npi_has_a_check_digit(number, good):
    assert is_npi(number) is good


@pytest.mark.parametrize(("text", "value"), [("145", "145"), ("145.50", "145.5"), (".5", ".5"), ("0.5", ".5"), ("-.5", "-.5"), ("0", "0"), ("100", "100"), ("x", "0")])
def test_amounts_are_exact_and_short(text, value):
    assert decimal_to_text(text_to_decimal(text)) == value
