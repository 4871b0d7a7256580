"""The demo's messages: what an EHR would send, readable by an independent parser."""

from datetime import date

import hl7
import pytest

from chartloop.demo.messages import for_loaded_patient, visit_messages
from chartloop.demo.population import generate

SYNTHEA = {
    "resourceType": "Patient",
    "identifier": [
        {"system": "https://github.com/synthetichealth/synthea", "value": "057a"},
        {"type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}]}, "system": "http://hospital.smarthealthit.org", "value": "057a"},
    ],
    "name": [{"use": "official", "family": "Cormier289", "given": ["Chi716"], "prefix": ["Mrs."]}],
    "birthDate": "1969-03-21",
    "gender": "female",
}


@pytest.fixture(scope="module")
def visits():
    return generate().visits


@pytest.mark.conformance("The loop", "2 Messages: the demo sends A04, A08, MDM^T02, DFT^P03 and A03 for each visit")
def test_a_visit_is_registered_updated_noted_charged_and_ended(visits):
    messages = visit_messages(visits[0])
    assert [message.type.split("^")[1] for message in messages] == ["A04", "A08", "T02", "P03", "A03"]
    assert len({message.control_id for visit in visits for message in visit_messages(visit)}) == 5 * len(visits)


@pytest.mark.conformance("The loop", "2 Messages: the demo sends an ADT^A01 for one visit, an admission")
def test_one_visit_is_an_admission(visits):
    admitted = [visit for visit in visits if visit.inpatient]
    assert len(admitted) == 1
    first = hl7.parse(visit_messages(admitted[0])[0].text)
    assert (str(first.segment("MSH")[9]), str(first.segment("PV1")[2])) == ("ADT^A01^ADT_A01", "I")
    assert {str(hl7.parse(visit_messages(visit)[0].text).segment("PV1")[2]) for visit in visits if visit not in admitted} == {"O"}


def test_the_same_visit_gives_the_same_bytes(visits):
    again = generate().visits
    assert [visit_messages(visit) for visit in visits] == [visit_messages(visit) for visit in again]


@pytest.mark.conformance("The loop", "1 Patients: charges are HCPCS codes; an independent parser reads the demo's messages")
def test_an_independent_parser_reads_the_names_the_note_and_the_charges(visits):
    visit = visits[0]
    by_trigger = {message.type.split("^")[1]: hl7.parse(message.text) for message in visit_messages(visit)}
    assert str(by_trigger["A04"].segment("PID")[5][0][0]) == "Müller-Łukasz"
    text = "\n".join(str(obx[5]).replace("\\.br\\", "\n") for obx in by_trigger["T02"].segments("OBX"))
    assert text == visit.note.text
    assert [str(ft1[25][0][0]) for ft1 in by_trigger["P03"].segments("FT1")] == [charge.code for charge in visit.charges]
    assert all(not charge.code.isdigit() for charge in visit.charges)


def test_some_visits_are_psychiatric_and_say_so_by_type_and_service(visits):
    psychiatric = [visit for visit in visits if visit.psychiatric]
    assert len(psychiatric) == 3
    for visit in psychiatric:
        note = hl7.parse(visit_messages(visit)[2].text)
        assert (str(note.segment("TXA")[2]), str(note.segment("PV1")[10])) == ("PC", "PSY")


def test_every_code_of_a_note_is_a_billable_icd_10_cm_code(visits):
    icd10cm = pytest.importorskip("terminology.icd10cm").load()
    assert [code for visit in visits for code in visit.note.codes if not icd10cm.billable(code)] == []


@pytest.mark.conformance("The loop", "1 Patients: a loaded patient is named in messages by the identifier it has")
def test_a_loaded_patient_is_named_by_the_identifier_it_has():
    visit = for_loaded_patient(SYNTHEA, index=0, day=date(2026, 11, 16), seed=1)
    pid = hl7.parse(visit_messages(visit)[0].text).segment("PID")
    assert str(pid[3]) == "057a^^^&http://hospital.smarthealthit.org&URI^MR"
    assert visit.number.startswith("L")


@pytest.mark.parametrize("missing", ["identifier", "name", "birthDate"])
def test_a_loaded_patient_without_what_a_message_needs_gets_no_visit(missing):
    patient = {name: value for name, value in SYNTHEA.items() if name != missing}
    assert for_loaded_patient(patient, index=0, day=date(2026, 11, 16), seed=1) is None


def test_nobody_visits_after_death():
    assert for_loaded_patient({**SYNTHEA, "deceasedDateTime": "2020-01-01"}, index=0, day=date(2026, 11, 16), seed=1) is None


def test_an_unknown_separator_in_a_name_is_escaped():
    patient = {**SYNTHEA, "name": [{"family": "A|B^C&D\\E~F", "given": ["X"]}]}
    message = visit_messages(for_loaded_patient(patient, index=0, day=date(2026, 11, 16), seed=1))[0]
    assert "A\\F\\B\\S\\C\\T\\D\\E\\E\\R\\F" in message.text
