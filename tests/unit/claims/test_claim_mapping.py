"""FHIR Claim to 837P: what is mapped, and which place in FHIR a fault is reported at."""

import copy
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claims.mapping import systems as s
from claims.mapping.characters import text_to_x12
from claims.mapping.claim import ClaimContext, claim_to_837p
from claims.mapping.coded import NOTE_VERSION, coded_notes
from claims.mapping.draft import charges_to_claim, with_diagnoses

ADDRESS = [{"line": ["1 Main St"], "city": "Boston", "state": "Massachusetts", "postalCode": "02115-0001"}]
PATIENT = {"resourceType": "Patient", "id": "1", "name": [{"family": "Müller", "given": ["Zoë", "Bea"]}], "gender": "female", "birthDate": "1980-02-03", "address": ADDRESS}
PAYER = {"resourceType": "Organization", "id": "p", "name": "Payer One", "identifier": [{"system": s.PAYER_ID, "value": "P1"}]}
CLINIC = {
    "resourceType": "Organization", "id": "b", "name": "Clinic: East*", "address": ADDRESS,
    "identifier": [{"system": s.NPI, "value": "1999999984"}, {"system": s.TIN[0], "value": "12-3456789"}],
}
COVERAGE = {"resourceType": "Coverage", "id": "c", "subscriberId": "m-123", "payor": [{"reference": "Organization/p"}]}
ENCOUNTER = {"id": "e", "subject": {"reference": "Patient/1"}, "class": {"code": "AMB"}}
CHARGE = {
    "resourceType": "ChargeItem", "id": "x", "occurrenceDateTime": "2026-11-20T10:00:00Z", "quantity": {"value": Decimal(2)}, "priceOverride": {"value": Decimal("72.50"), "currency": "USD"},
    "code": {"coding": [{"system": s.PROCEDURES[0], "code": "g0463"}], "extension": [{"url": s.MODIFIER, "valueCodeableConcept": {"coding": [{"code": "25"}]}}]},
    "performer": [{"actor": {"reference": "Practitioner/9"}}], "reason": [{"coding": [{"system": s.ICD_10_CM[0], "code": "J02.9"}]}],
}


def context(**changes):
    claim = with_diagnoses(charges_to_claim(ENCOUNTER, [CHARGE], COVERAGE, "Organization/b", "ABCDEFGHJKLMNPQRS", "2026-11-22T08:00:00Z"), [CHARGE])
    parts = {"claim": {**claim, "id": "k"}, "patient": PATIENT, "coverage": COVERAGE, "payer": PAYER, "billing": CLINIC, "encounter": ENCOUNTER}
    return ClaimContext(**{**copy.deepcopy(parts), **changes})


@pytest.mark.conformance("X12", "837P: Claim, Patient, Coverage, Organization and charges are mapped")
def test_a_claim_is_mapped():
    claim, issues = claim_to_837p(context())
    assert issues == ()
    assert (claim.control, claim.total, claim.place, claim.diagnoses) == ("ABCDEFGHJKLMNPQRS", Decimal("145.00"), "11", ("J029",))
    assert (claim.billing.name, claim.billing.tax_id, claim.billing.state, claim.billing.postcode) == ("CLINIC EAST", "123456789", "MA", "021150001")
    person = claim.insurance.subscriber
    assert (person.name, person.first, person.middle, person.id, person.birth, person.gender) == ("MULLER", "ZOE", "BEA", "M-123", "19800203", "F")
    assert (claim.lines[0].code, claim.lines[0].modifiers, claim.lines[0].charge, claim.lines[0].quantity) == ("G0463", ("25",), Decimal("145.00"), Decimal(2))
    assert (claim.lines[0].date, claim.lines[0].pointers, claim.lines[0].control) == ("20261120", (1,), "1")


@pytest.mark.conformance("X12", "837P: a dependant is a patient of a subscriber")
def test_a_dependent_is_a_patient_of_a_subscriber():
    coverage = {**COVERAGE, "relationship": {"coding": [{"code": "child"}]}, "subscriber": {"reference": "RelatedPerson/2"}}
    parent = {"name": [{"family": "Müller", "given": ["Ann"]}]}
    claim = claim_to_837p(context(coverage=coverage, subscriber=parent)).claim
    assert (claim.insurance.relationship, claim.insurance.subscriber.first, claim.insurance.patient.first) == ("19", "ANN", "ZOE")
    issues = claim_to_837p(context(coverage=coverage)).issues
    assert [i.expression for i in issues] == ["Coverage.subscriber"]


def test_an_inpatient_claim_needs_its_admission():
    issues = claim_to_837p(context(encounter={**ENCOUNTER, "class": {"code": "IMP"}})).issues
    assert [i.expression for i in issues] == ["Encounter.period.start"]
    claim = claim_to_837p(context(encounter={**ENCOUNTER, "class": {"code": "IMP"}, "period": {"start": "2026-11-19T08:00:00Z"}})).claim
    assert (claim.place, claim.admission) == ("21", "20261119")


@pytest.mark.conformance("X12", "837P: a replacement names the claim it replaces")
def test_a_replacement_names_the_claim_it_replaces():
    made = context()
    made.claim["related"] = [{"relationship": {"coding": [{"code": "prior"}]}, "reference": {"value": "ICN1"}}]
    claim = claim_to_837p(made).claim
    assert (claim.frequency, claim.payer_control) == ("7", "ICN1")


def change(part, *path, value):
    made = context()
    target = getattr(made, part)
    for step in path[:-1]:
        target = target[step]
    if value is None:
        del target[path[-1]]
    else:
        target[path[-1]] = value
    return made


FAULTS = [
    (("claim", "identifier", []), "Claim.identifier"),
    (("claim", "diagnosis", []), "Claim.diagnosis"),
    (("claim", "item", []), "Claim.item"),
    (("claim", "total", {"value": 1}), "Claim.total"),
    (("coverage", "subscriberId", None), "Claim.insurance.coverage.resolve().subscriberId"),
    (("payer", "identifier", []), "Claim.insurer.resolve().identifier"),
    (("billing", "identifier", []), "Claim.provider.resolve().identifier"),
    (("billing", "address", []), "Claim.provider.resolve().address"),
    (("billing", "name", "患者"), "Claim.provider.resolve().name"),
    (("patient", "name", []), "Claim.patient.resolve().name"),
    (("patient", "birthDate", "1980"), "Claim.patient.resolve().birthDate"),
    (("patient", "address", [{"city": "Boston"}]), "Claim.patient.resolve().address"),
]


@pytest.mark.conformance("X12", "837P: a fault of a claim or a line names its place in FHIR")
@pytest.mark.parametrize(("what", "expression"), FAULTS, ids=[e for _, e in FAULTS])
def test_a_fault_names_its_place_in_fhir(what, expression):
    part, name, value = what
    found = claim_to_837p(change(part, name, value=value))
    assert found.claim is None
    assert expression in [i.expression for i in found.issues]
    assert all("ller" not in i.text for i in found.issues)


LINE_FAULTS = [
    ("productOrService", {"coding": [{"code": "x"}]}, "Claim.item[0].productOrService"),
    ("net", {"value": Decimal(-1)}, "Claim.item[0].net"),
    ("net", {"value": Decimal("1.005")}, "Claim.item[0].net"),
    ("quantity", {"value": 0}, "Claim.item[0].quantity"),
    ("servicedDate", "", "Claim.item[0].servicedDate"),
    ("modifier", [{"coding": [{"code": "TOO LONG"}]}], "Claim.item[0].modifier"),
    ("diagnosisSequence", [9], "Claim.item[0].diagnosisSequence"),
]


@pytest.mark.conformance("X12", "837P: a fault of a claim or a line names its place in FHIR")
@pytest.mark.parametrize(("name", "value", "expression"), LINE_FAULTS)
def test_a_fault_of_a_line_names_the_line(name, value, expression):
    assert expression in [i.expression for i in claim_to_837p(change("claim", "item", 0, name, value=value)).issues]


@pytest.mark.conformance("X12", "837P: names are brought into the X12 character set; no text brings a separator")
@pytest.mark.parametrize(("text", "x12"), [("Müller", "MULLER"), ("Weiß", "WEISS"), ("Łukasz", "LUKASZ"), ("O’Brien", "O'BRIEN"), ("a*b~c:d^e", "A B C D E"), ("患者", ""), ("  a\n b ", "A B")])
def test_text_is_brought_into_the_x12_character_set(text, x12):
    assert text_to_x12(text) == x12


@pytest.mark.conformance("X12", "837P: names are brought into the X12 character set; no text brings a separator")
@given(st.text())
def test_no_text_brings_a_separator_into_an_interchange(text):
    found = text_to_x12(text)
    assert found == text_to_x12(found)
    assert not set(found) & set("*~:^\n\r")
    assert found.isascii()


def test_coded_notes_carry_their_version():
    claim = {"extension": [
        {"url": s.CODED_NOTE, "valueReference": {"reference": "DocumentReference/a", "extension": [{"url": NOTE_VERSION, "valueUnsignedInt": 2}]}},
        {"url": s.CODED_NOTE, "valueReference": {"reference": "DocumentReference/b/_history/3"}},
    ]}
    assert coded_notes(claim) == {("DocumentReference/a", 2), ("DocumentReference/b", 3)}
