"""Resources as rows of the EHR's pages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smart_apps.ehr import rows


def test_a_name_is_written_family_first():
    assert rows.person({"name": [{"family": "Gęślą", "given": ["Zażółć", "Ewa"]}]}) == "Gęślą, Zażółć Ewa"
    assert rows.person({"name": [{"text": "Dr. Who"}]}) == "Dr. Who"
    assert rows.person({"name": "Evergreen Health Plan"}) == "Evergreen Health Plan"
    assert rows.person(None) == "Unnamed"


@pytest.mark.parametrize(("status", "tone"), [("active", "good"), ("draft", "waiting"), ("error", "bad"), ("in-progress", "working"), ("", "working")])
def test_a_status_has_a_tone(status, tone):
    assert rows.chip(status).tone == tone


def test_a_claim_row_has_its_codes_lines_and_numbers():
    row = rows.claim_row(
        {
            "id": "c1",
            "status": "active",
            "created": "2026-11-22T10:00:00Z",
            "identifier": [
                {"system": "https://chartloop.example/fhir/pcn", "value": "PCN1"},
                {"system": "https://chartloop.example/fhir/isa13", "value": "ME-000000001"},
            ],
            "total": {"value": 1232.5, "currency": "USD"},
            "diagnosis": [{"sequence": 1, "diagnosisCodeableConcept": {"coding": [{"code": "I10", "display": "Hypertension"}]}}],
            "item": [
                {
                    "productOrService": {"coding": [{"code": "99213"}]},
                    "modifier": [{"coding": [{"code": "25"}]}],
                    "diagnosisSequence": [1, 2],
                    "servicedDate": "2026-11-21",
                    "quantity": {"value": 2},
                    "net": {"value": 80, "currency": "USD"},
                }
            ],
        }
    )
    assert (row["number"], row["interchange"], row["created"], row["total"]) == ("PCN1", "ME-000000001", "2026-11-22", "1,232.50 USD")
    assert row["diagnoses"] == [{"sequence": "1", "code": "I10", "display": "Hypertension"}]
    line = row["lines"][0]
    assert (line["code"], line["modifiers"], line["pointers"], line["net"]) == ("99213", "25", "1, 2", "80.00 USD")


def test_a_payment_belongs_to_the_claims_that_it_names():
    payment = {"paymentIdentifier": {"value": "TRN"}, "detail": [{"request": {"reference": "Claim/1"}, "amount": {"value": 5}}]}
    assert rows.payment_row(payment, "Claim/1")["for_claim"] == ["5.00"]
    assert not rows.payment_row(payment, "Claim/2")["matches"]


def test_money_that_is_no_number_is_shown_as_it_is():
    assert rows.money({"value": "much", "currency": "USD"}) == "much USD"
    assert rows.money(None) == ""


VALID_ENOUGH = st.fixed_dictionaries({}, optional={"id": st.text(), "status": st.text(), "period": st.fixed_dictionaries({}, optional={"start": st.text()})})


@given(resource=VALID_ENOUGH)
def test_rows_are_total_over_resources_with_missing_elements(resource):
    for row in (rows.patient_row, rows.encounter_row, rows.note_row, rows.condition_row, rows.claim_row, rows.task_row, rows.response_row):
        assert isinstance(row(resource), dict)
