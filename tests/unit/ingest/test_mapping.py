"""Messages to FHIR: literal HL7 in, literal FHIR out."""

import base64
import json
from decimal import Decimal

import pytest

from ingest.hl7v2.parser import parse
from ingest.mapping.mapper import message_to_changes
from tests.unit.ingest.messages import A03, A04, DFT, MDM, OBX, PID, TXA, message, pv1

S = "https://chartloop.example/fhir"


def changes(text):
    mapped = message_to_changes(parse(text.encode()).message)
    by_type = {}
    for change in mapped.changes:
        by_type.setdefault(change.key.type, []).append(change)
    return by_type, mapped.problems


def reference_of(by_type, kind, number=0):
    return by_type[kind][number].key.reference


def test_a_registration_gives_patient_encounter_condition_coverage_payer_and_practitioner():
    found, problems = changes(A04)
    assert problems == ()
    assert {kind: len(items) for kind, items in found.items()} == {
        "Patient": 1, "Practitioner": 1, "Organization": 2, "Encounter": 1, "Condition": 1, "Coverage": 1,
    }  # fmt: skip
    assert found["Patient"][0].resource == {
        "resourceType": "Patient",
        "meta": {"source": "urn:chartloop:hl7v2:HILL:M1"},
        "identifier": [
            {"type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}]}, "system": f"{S}/mrn/HILL", "value": "100"}
        ],
        "name": [{"use": "official", "family": "Müller-Łukasz", "given": ["Zoë", "Q"]}],
        "telecom": [
            {"system": "phone", "value": "+1-217-5550100", "use": "home"},
            {"system": "phone", "value": "+1-217-5550101", "use": "work"},
        ],
        "gender": "female",
        "birthDate": "1980-02-29",
        "address": [{"use": "home", "line": ["1 Elm St"], "city": "Springfield", "state": "IL", "postalCode": "62701", "country": "US"}],
        "maritalStatus": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus", "code": "M"}]},
    }


def test_the_encounter_carries_class_period_attending_location_and_billing_organization():
    found, _ = changes(A04)
    encounter = found["Encounter"][0]
    assert encounter.key.query == f"identifier={S}/visit/HILL%7CV100"
    assert encounter.resource == {
        "resourceType": "Encounter",
        "meta": {"source": "urn:chartloop:hl7v2:HILL:M1"},
        "identifier": [{"system": f"{S}/visit/HILL", "value": "V100"}],
        "status": "in-progress",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB", "display": "ambulatory"},
        "serviceType": {
            "coding": [
                {"system": "http://snomed.info/sct", "code": "394802001", "display": "General medicine"},
                {"system": "http://terminology.hl7.org/CodeSystem/v2-0069", "code": "MED"},
            ]
        },
        "subject": {"reference": reference_of(found, "Patient")},
        "participant": [
            {
                "type": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "ATND", "display": "attender"}]}],
                "individual": {"reference": reference_of(found, "Practitioner"), "display": "Ada Okafor"},
            }
        ],
        "period": {"start": "2026-11-02T08:00:00-05:00"},
        "location": [{"location": {"identifier": {"system": f"{S}/location/HILL", "value": "CLINIC/3/B"}, "display": "CLINIC 3 B"}, "status": "active"}],
        "serviceProvider": {"reference": reference_of(found, "Organization")},
    }
    assert found["Organization"][0].key == ("Organization", f"{S}/facility", "HILL")
    assert found["Practitioner"][0].key == ("Practitioner", "http://hl7.org/fhir/sid/us-npi", "1234567893")


@pytest.mark.conformance("HL7 v2", "ADT: a registration gives coverage with payer and plan, a discharge finishes the encounter")
def test_the_coverage_names_payer_member_and_plan():
    found, _ = changes(A04)
    coverage = found["Coverage"][0].resource
    assert coverage["subscriberId"] == "W123456"
    assert {"system": f"{S}/member-id", "value": "W123456"} in coverage["identifier"]
    assert coverage["payor"] == [{"reference": reference_of(found, "Organization", 1), "display": "Prairie Mutual"}]
    assert coverage["relationship"]["coding"][0]["code"] == "self"
    assert coverage["subscriber"] == coverage["beneficiary"] == {"reference": reference_of(found, "Patient")}
    assert coverage["period"] == {"start": "2026-01-01"}
    assert found["Organization"][1].key == ("Organization", f"{S}/payer-id", "P1")
    assert found["Organization"][1].policy == "ensure"


def test_somebody_else_s_insurance_names_its_subscriber():
    found, _ = changes(A04.replace("|SEL|19800229|", "|SPO|19790101|"))
    assert found["RelatedPerson"][0].resource["name"] == [{"family": "Müller-Łukasz", "given": ["Zoë"]}]
    assert found["Coverage"][0].resource["subscriber"] == {"reference": reference_of(found, "RelatedPerson")}


def test_a_diagnosis_gets_its_dot():
    found, _ = changes(A04)
    condition = found["Condition"][0].resource
    assert condition["code"]["coding"] == [
        {"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "E11.9", "display": "Type 2 diabetes mellitus without complications"}
    ]
    assert condition["encounter"] == {"reference": reference_of(found, "Encounter")}


@pytest.mark.conformance("HL7 v2", "ADT: a registration gives coverage with payer and plan, a discharge finishes the encounter")
def test_a_discharge_finishes_the_encounter():
    found, _ = changes(A03)
    encounter = found["Encounter"][0].resource
    assert (encounter["status"], encounter["period"]["end"]) == ("finished", "2026-11-02T09:00:00-05:00")


def test_a_discharge_without_its_time_ends_when_the_event_happened():
    found, _ = changes(message("ADT^A03", "M9", PID, pv1(), time="20261102100000"))
    assert found["Encounter"][0].resource["period"]["end"] == "2026-11-02T10:00:00-05:00"


def test_an_update_carries_only_what_is_present_and_the_null_clears():
    found, _ = changes(message("ADT^A08", "M5", 'PID|1||100^^^HILL^MR||||""|||||||""||||\r', pv1()))
    patient, encounter = found["Patient"][0], found["Encounter"][0]
    assert set(patient.resource) == {"resourceType", "identifier", "meta"}
    assert patient.clears == ("birthDate", "telecom.work")
    assert "status" not in encounter.resource
    assert encounter.defaults["status"] == "in-progress"


@pytest.mark.conformance("HL7 v2", "DFT: charges keep exact prices, codes, modifiers and reasons")
def test_charges_keep_their_exact_unit_prices_codes_modifiers_and_reasons():
    found, problems = changes(DFT)
    assert problems == ()
    visit, drug = (change.resource for change in found["ChargeItem"])
    assert visit["identifier"] == [{"system": f"{S}/charge/HILL", "value": "T1"}]
    assert visit["status"] == "billable"
    assert visit["code"]["coding"] == [
        {"system": "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets", "code": "G0463", "display": "Hospital outpatient clinic visit"}
    ]
    assert visit["code"]["extension"][0]["valueCodeableConcept"]["coding"][0]["code"] == "25"
    assert str(visit["priceOverride"]["value"]) == "125.50"
    assert visit["priceOverride"]["currency"] == "USD"
    assert visit["quantity"] == {"value": Decimal(1)}
    assert visit["occurrenceDateTime"] == "2026-11-02"
    assert visit["reason"] == [{"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "E11.9"}]}]
    assert visit["performer"] == [{"actor": {"reference": reference_of(found, "Practitioner"), "display": "Ada Okafor"}}]
    assert visit["context"] == {"reference": reference_of(found, "Encounter")}
    assert (str(drug["quantity"]["value"]), str(drug["priceOverride"]["value"])) == ("2", "4.50")
    assert found["Patient"][0].policy == found["Encounter"][0].policy == "ensure"


@pytest.mark.parametrize(
    ("change", "position", "severity"),
    [
        (("||CG|J1885", "||PY|J1885"), "FT1^2^6", "W"),
        (("CG|J1885^Ketorolac^HCPCS|||2|9.00&USD|4.50&USD|||||||||||||J1885^Ketorolac^HCPCS", "CG||||2"), "FT1^2^7", "E"),
        (("|2|T2||20261102||CG", "|2|||20261102||CR"), "FT1^2^2", "E"),
        (("|||2|9.00", "|||two|9.00"), "FT1^2^10", "W"),
    ],
)
def test_a_charge_that_cannot_be_mapped_says_where(change, position, severity):
    _, problems = changes(DFT.replace(*change))
    assert (position, severity) in [(p.position, p.severity) for p in problems]


def test_a_credit_takes_its_charge_back():
    found, _ = changes(DFT.replace("|2|T2||20261102||CG", "|2|T2||20261102||CR"))
    assert [c.resource["status"] for c in found["ChargeItem"]] == ["billable", "not-billable"]


def test_a_price_is_derived_from_the_extended_amount():
    found, _ = changes(DFT.replace("|9.00&USD|4.50&USD|", "|9.00&USD||"))
    assert found["ChargeItem"][1].resource["priceOverride"]["value"] == Decimal("4.5")


@pytest.mark.conformance("HL7 v2", "MDM: a document carries its text, type, author and setting")
def test_a_document_carries_its_text_type_author_and_setting():
    found, problems = changes(MDM)
    assert problems == ()
    document = found["DocumentReference"][0].resource
    content = document.pop("content")[0]["attachment"]
    text = base64.b64decode(content["data"]).decode()
    assert text == "CC: knee pain.\nSeen with 2 & 3.\nLine two.\nZoë is well."
    assert content["contentType"] == "text/plain; charset=utf-8"
    assert content["size"] == len(text.encode())
    assert document == {
        "resourceType": "DocumentReference",
        "meta": {"source": "urn:chartloop:hl7v2:HILL:M3"},
        "masterIdentifier": {"system": f"{S}/document/HILL", "value": "D100"},
        "identifier": [{"system": f"{S}/document/HILL", "value": "D100"}],
        "status": "current",
        "docStatus": "final",
        "type": {
            "coding": [
                {"system": "http://loinc.org", "code": "11506-3", "display": "Progress note"},
                {"system": "http://terminology.hl7.org/CodeSystem/v2-0270", "code": "PR"},
            ]
        },
        "category": [
            {
                "coding": [
                    {
                        "system": "http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category",
                        "code": "clinical-note",
                        "display": "Clinical Note",
                    }
                ]
            }
        ],
        "subject": {"reference": reference_of(found, "Patient")},
        "date": "2026-11-02T08:35:00-05:00",
        "author": [{"reference": reference_of(found, "Practitioner"), "display": "Ada Okafor"}],
        "context": {
            "encounter": [{"reference": reference_of(found, "Encounter")}],
            "period": {"start": "2026-11-02T08:30:00-05:00"},
            "practiceSetting": {
                "coding": [
                    {"system": "http://snomed.info/sct", "code": "394802001", "display": "General medicine"},
                    {"system": "http://terminology.hl7.org/CodeSystem/v2-0069", "code": "MED"},
                ]
            },
        },
    }


def test_a_psychiatric_note_can_be_told_by_type_and_by_setting():
    found, _ = changes(message("MDM^T02", "M6", PID, pv1(service="PSY"), TXA.replace("|PR|", "|PC|"), OBX))
    document = found["DocumentReference"][0].resource
    assert document["type"]["coding"][0]["code"] == "34788-0"
    assert document["context"]["practiceSetting"]["coding"][0]["code"] == "394587001"


def test_an_embedded_file_becomes_an_attachment():
    pdf = base64.b64encode(b"%PDF-1.4").decode()
    found, _ = changes(message("MDM^T02", "M7", PID, pv1(), TXA, f"OBX|1|ED|18842-5^x^LN||^application^pdf^Base64^{pdf}||||||F\r"))
    attachment = found["DocumentReference"][0].resource["content"][0]["attachment"]
    assert (attachment["contentType"], attachment["data"]) == ("application/pdf", pdf)


def test_a_cancelled_document_is_entered_in_error_if_it_is_known():
    found, _ = changes(message("MDM^T11", "M8", PID, pv1(), TXA))
    change = found["DocumentReference"][0]
    assert (change.policy, change.resource["status"]) == ("touch", "entered-in-error")


def test_a_replacement_supersedes_its_parent():
    found, _ = changes(message("MDM^T10", "M8", PID, pv1(), TXA.replace("|D100||", "|D101|D100|"), OBX))
    new, old = found["DocumentReference"]
    assert new.resource["relatesTo"] == [{"code": "replaces", "target": {"type": "DocumentReference", "identifier": {"system": f"{S}/document/HILL", "value": "D100"}}}]
    assert (old.key.value, old.policy, old.resource["status"]) == ("D100", "touch", "superseded")


def test_an_assigning_authority_that_is_a_uri_is_the_identifier_s_system():
    found, _ = changes(A04.replace("100^^^HILL^MR", "7f^^^&http://hospital.smarthealthit.org&URI^MR"))
    assert found["Patient"][0].key == ("Patient", "http://hospital.smarthealthit.org", "7f")
    found, _ = changes(A04.replace("100^^^HILL^MR", "7f^^^http://hospital.smarthealthit.org^MR"))
    assert found["Patient"][0].key == ("Patient", "http://hospital.smarthealthit.org", "7f")


def test_without_a_visit_number_no_encounter_is_made_and_that_is_said():
    found, problems = changes(A04.replace("V100^^^HILL^VN", ""))
    assert "Encounter" not in found
    assert [(p.position, p.severity) for p in problems] == [("PV1^1^19", "W")]


@pytest.mark.conformance("HL7 v2", "No problem quotes the message")
def test_no_problem_quotes_the_message():
    _, problems = changes(A04.replace("19800229|F", "SECRET|SECRET").replace("||M\r", "||SECRET\r").replace("|20261102|F\r", "|SECRET|F\r"))
    assert len(problems) >= 3
    assert not any("SECRET" in problem.text for problem in problems)


@pytest.mark.conformance("HL7 v2", "Public ADT, DFT and MDM messages are mapped, or it is said where they cannot be")
@pytest.mark.corpus
def test_messages_of_the_corpus_map_or_say_where_they_cannot(corpus):
    raws = [path.read_bytes() for path in sorted((corpus / "hl7v2").rglob("*.hl7"))]
    lines = (corpus / "hl7v2/messages-linuxforhealth/inline-test-messages.jsonl").read_text().splitlines()
    raws += [json.loads(line)["message"].encode() for line in lines]
    messages = [message for raw in raws if (message := parse(raw).message) and message.type in ("ADT", "DFT", "MDM")]
    assert len(messages) > 80
    for each in messages:
        mapped = message_to_changes(each)
        errors = [problem for problem in mapped.problems if problem.is_error]
        assert errors or any(change.key.type == "Patient" for change in mapped.changes)
        assert all(problem.position for problem in mapped.problems)


@pytest.mark.corpus
def test_the_charges_of_a_public_dft_become_charge_items(corpus):
    found = message_to_changes(parse((corpus / "hl7v2/messages-microsoft/DFT-P03-01.hl7").read_bytes()).message)
    charges = [change.resource for change in found.changes if change.key.type == "ChargeItem"]
    assert [(c["code"]["coding"][0]["code"], str(c["quantity"]["value"]), str(c["priceOverride"]["value"])) for c in charges] == [
        ("71045", "2", "50"),
        ("99011", "1", "120"),
    ]
    assert charges[0]["reason"][1]["coding"][0] == {"system": "http://snomed.info/sct", "code": "68235000", "display": "Nasal congestion"}


@pytest.mark.corpus
def test_the_text_of_a_public_mdm_becomes_a_document(corpus):
    found = message_to_changes(parse((corpus / "hl7v2/messages-microsoft/MDM-T02-02.hl7").read_bytes()).message)
    document = next(change.resource for change in found.changes if change.key.type == "DocumentReference")
    lines = base64.b64decode(document["content"][0]["attachment"]["data"]).decode().split("\n")
    assert [line.split()[0] for line in lines] == ["Toilet", "Columnist"]
    assert document["docStatus"] == "final"
