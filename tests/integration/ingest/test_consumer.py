"""From a received message to FHIR in the store: once, in order, or a dead letter with its position."""

import base64

import pytest

from tests.unit.ingest.messages import A03, A04, DFT, DG1, IN1, MDM, OBX, PID, TXA, message, pv1

NULLED_PID = 'PID|1||100^^^HILL^MR||||""|F||||||""\r'


def states(database):
    with database.read() as session:
        return [state for (state,) in session.all("SELECT state FROM hl7_message ORDER BY id")]


@pytest.mark.conformance("The loop", "2 Messages: mapping to FHIR runs behind the answer as a consumer")
@pytest.mark.conformance("HL7 v2", "ADT, MDM, DFT become Patient, Encounter, Coverage, DocumentReference, ChargeItem")
def test_the_messages_of_a_visit_become_one_chart(database, deliver, look):
    assert deliver(A04, MDM, DFT, A03) == {}
    assert states(database) == ["mapped"] * 4
    (patient,), (encounter,), (coverage,), (document,) = (look(kind) for kind in ("Patient", "Encounter", "Coverage", "DocumentReference"))
    assert patient["name"] == [{"use": "official", "family": "Müller-Łukasz", "given": ["Zoë", "Q"]}]
    assert patient["meta"]["source"] == "urn:chartloop:hl7v2:HILL:M1"
    assert (encounter["status"], encounter["period"]) == ("finished", {"start": "2026-11-02T08:00:00-05:00", "end": "2026-11-02T09:00:00-05:00"})
    assert encounter["subject"]["reference"] == coverage["beneficiary"]["reference"] == f"Patient/{patient['id']}"
    assert document["context"]["encounter"][0]["reference"] == f"Encounter/{encounter['id']}"
    assert base64.b64decode(document["content"][0]["attachment"]["data"]).decode().endswith("Zoë is well.")
    charges = look("ChargeItem")
    assert {charge["context"]["reference"] for charge in charges} == {f"Encounter/{encounter['id']}"}
    assert any('"value":125.50' in charge["text"] for charge in charges)
    assert len(look("Organization")) == 2
    assert len(look("Practitioner")) == 1


@pytest.mark.conformance("The loop", "2 Messages: ADT^A01 becomes an inpatient Encounter that its A03 finishes")
@pytest.mark.conformance("HL7 v2", "ADT^A01 becomes an inpatient Encounter")
def test_an_admission_becomes_an_inpatient_encounter_that_its_discharge_finishes(database, deliver, look):
    bed = pv1().replace("PV1|1|O|", "PV1|1|I|")
    assert deliver(message("ADT^A01^ADT_A01", "M1", PID, bed, DG1, IN1)) == {}
    (encounter,) = look("Encounter")
    assert (encounter["status"], encounter["class"]["code"]) == ("in-progress", "IMP")
    assert encounter["period"] == {"start": "2026-11-02T08:00:00-05:00"}
    assert encounter["class"]["system"] == "http://terminology.hl7.org/CodeSystem/v3-ActCode"
    assert [entry["id"] for entry in look("Encounter", "class=IMP")] == [encounter["id"]]
    (patient,), (condition,), (coverage,) = (look(kind) for kind in ("Patient", "Condition", "Coverage"))
    assert {encounter["subject"]["reference"], condition["subject"]["reference"], coverage["beneficiary"]["reference"]} == {f"Patient/{patient['id']}"}
    leaves = pv1(end="20261105090000-0500").replace("PV1|1|O|", "PV1|1|I|")
    assert deliver(message("ADT^A03^ADT_A03", "M2", PID, leaves, time="20261105090000")) == {}
    (encounter,) = look("Encounter")
    assert (encounter["status"], encounter["class"]["code"]) == ("finished", "IMP")
    assert encounter["period"] == {"start": "2026-11-02T08:00:00-05:00", "end": "2026-11-05T09:00:00-05:00"}
    assert states(database) == ["mapped"] * 2


@pytest.mark.conformance("The loop", "2 Messages: a repeated message changes nothing")
@pytest.mark.conformance("HL7 v2", "A message sent again under a new control id changes nothing")
def test_the_same_content_under_new_control_ids_makes_no_new_versions(deliver, look):
    deliver(A04, MDM, DFT, A03)
    before = {kind: [(r["id"], r["version"]) for r in look(kind)] for kind in ("Patient", "Encounter", "Coverage", "Condition", "DocumentReference", "ChargeItem")}
    assert deliver(*(text.replace(f"|{old}|", f"|{old}X|") for text, old in ((A04, "M1"), (MDM, "M3"), (DFT, "M2"), (A03, "M4")))) == {}
    assert before == {kind: [(r["id"], r["version"]) for r in look(kind)] for kind in before}


@pytest.mark.conformance("HL7 v2", "Logs name messages by number and quote nothing")
@pytest.mark.conformance("Attacks", "100: log lines carry no text of exceptions, no tokens and no patient fields")
def test_logs_name_messages_by_number_and_quote_nothing(deliver, caplog):
    caplog.set_level("DEBUG")
    deliver(A04, A04.replace("Springfield", "Shelbyville"), MDM.replace("D100", ""))
    actions = [record.action for record in caplog.records if hasattr(record, "action")]
    assert {"hl7.mapped", "hl7.control_id_reused"} <= set(actions)
    assert not any(word in caplog.text for word in ("Zoë", "Müller", "100^^^", "Shelbyville", "knee"))


@pytest.mark.conformance("HL7 v2", "An update changes what it carries, and the null deletes")
def test_an_update_changes_what_it_carries_and_the_null_deletes(deliver, look):
    deliver(A04, message("ADT^A08", "M5", NULLED_PID.replace("|F|", "|O|"), time="20261102083000"))
    (patient,) = look("Patient")
    assert "birthDate" not in patient
    assert patient["gender"] == "other"
    assert [contact["use"] for contact in patient["telecom"]] == ["home"]
    assert patient["name"][0]["family"] == "Müller-Łukasz"


def test_an_update_never_reopens_a_finished_encounter(deliver, look):
    deliver(A04, A03, message("ADT^A08", "M5", PID, pv1(service="CAR"), time="20261102100000"))
    (encounter,) = look("Encounter")
    assert encounter["status"] == "finished"
    assert encounter["serviceType"]["coding"][0]["display"] == "Cardiology"


@pytest.mark.conformance("HL7 v2", "An older message that arrives late takes nothing back")
def test_an_older_message_that_arrives_late_takes_nothing_back(deliver, look):
    newer = message("ADT^A08", "M6", PID.replace("Springfield", "Shelbyville"), time="20261102110000")
    deliver(newer, A04)
    (patient,) = look("Patient")
    assert patient["address"][0]["city"] == "Shelbyville"
    assert len(look("Encounter")) == 1


@pytest.mark.conformance("HL7 v2", "Messages that overtake each other end in the same chart")
def test_a_discharge_that_overtakes_its_admission_stays_a_discharge(deliver, look):
    deliver(A03, A04)
    (encounter,) = look("Encounter")
    assert encounter["status"] == "finished"
    assert encounter["period"] == {"start": "2026-11-02T08:00:00-05:00", "end": "2026-11-02T09:00:00-05:00"}


@pytest.mark.conformance("HL7 v2", "Messages that overtake each other end in the same chart")
def test_a_note_that_overtakes_its_admission_makes_the_visit_and_the_admission_completes_it(deliver, look):
    deliver(MDM)
    assert look("Encounter")[0]["status"] == "in-progress"
    deliver(A04, A03)
    assert len(look("Patient")) == len(look("Encounter")) == 1
    assert look("Encounter")[0]["status"] == "finished"
    assert len(look("Coverage")) == 1


@pytest.mark.conformance("HL7 v2", "A mapping failure is a dead letter with message number and position, never patient text")
def test_what_cannot_be_mapped_is_a_dead_letter_with_its_position(database, deliver, look):
    broken = DFT.replace("CG|J1885^Ketorolac^HCPCS|||2|9.00&USD|4.50&USD|||||||||||||J1885^Ketorolac^HCPCS", "CG||||2")
    errors = deliver(broken)
    assert errors == {"hl7-message/1": "HL7 message 1 cannot be mapped: FT1^2^7: Required field missing."}
    assert states(database) == ["failed"]
    assert look("ChargeItem") == look("Patient") == []


@pytest.mark.parametrize(
    ("text", "element"),
    [
        (DFT.replace("G0463^", "G 0463  x^"), "code.coding[0].code"),
        (message("MDM^T02", "M3", PID, pv1(), TXA, "OBX|1|ED|||^application^ pdf ^Base64^eA==||||||F\r"), "content[0].attachment.contentType"),
    ],
)
def test_fhir_that_is_not_valid_is_a_dead_letter_that_names_the_element(database, deliver, look, text, element):
    errors = deliver(text)
    assert list(errors) == ["hl7-message/1"]
    told = errors["hl7-message/1"]
    assert told.startswith("HL7 message 1 gives FHIR that is not valid: value at Bundle.entry[")
    assert told.endswith(f"].resource.{element}.")
    assert not any(word in told for word in ("Zoë", "Müller", "0463", "pdf"))
    assert states(database) == ["failed"]
    assert [look(kind) for kind in ("Patient", "Encounter", "DocumentReference", "ChargeItem")] == [[], [], [], []]


@pytest.mark.conformance("HL7 v2", "A psychiatric note is written and edited without being read")
def test_a_psychiatric_note_is_written_and_edited_without_being_read(deliver, look):
    note = message("MDM^T02", "P1", PID, pv1(service="PSY"), TXA.replace("|PR|", "|PC|"), OBX)
    edit = message("MDM^T08", "P2", PID, pv1(service="PSY"), TXA.replace("|PR|", "|PC|"), OBX.replace("Zoë is well", "Zoë is better"), time="20261102084500")
    assert deliver(note, edit) == {}
    (document,) = look("DocumentReference")
    assert base64.b64decode(document["content"][0]["attachment"]["data"]).decode().endswith("Zoë is better.")


@pytest.mark.conformance("HL7 v2", "MDM: a replaced document is superseded, a cancelled one is in error")
def test_a_replaced_document_is_superseded_and_a_cancelled_one_is_in_error(deliver, look):
    replacement = message("MDM^T10", "M8", PID, pv1(), TXA.replace("|D100||", "|D101|D100|"), OBX, time="20261102084500")
    cancelled = message("MDM^T11", "M9", PID, pv1(), TXA.replace("|D100||", "|D101||"), time="20261102090000")
    assert deliver(MDM, replacement, cancelled) == {}
    assert {document["masterIdentifier"]["value"]: document["status"] for document in look("DocumentReference")} == {
        "D100": "superseded",
        "D101": "entered-in-error",
    }


@pytest.mark.conformance("The loop", "1 Patients: a visit of a patient who was loaded as FHIR finds that patient and adds encounter, coverage and note")
def test_a_visit_of_a_patient_who_was_loaded_as_fhir_finds_that_patient(repository, deliver, look):
    from chartloop.demo.messages import for_loaded_patient, visit_messages
    from chartloop.demo.population import DAY
    from chartloop.kernel.access.scope import Scope
    from chartloop.kernel.access.subject import Subject
    from tests.unit.demo_population.test_messages import SYNTHEA

    operator = Scope(Subject(id="test", role="operator", scopes=("system/*.cruds",)), "create", "test")
    loaded = repository.create(operator, {**SYNTHEA, "maritalStatus": {"text": "M"}}).stored
    visit = for_loaded_patient(SYNTHEA, index=0, day=DAY, seed=1)
    assert deliver(*(each.text for each in visit_messages(visit))) == {}
    (patient,) = look("Patient")
    assert patient["id"] == loaded.id
    assert patient["maritalStatus"] == {"text": "M"}
    assert len(look("Encounter", f"patient=Patient/{loaded.id}")) == len(look("DocumentReference")) == len(look("Coverage")) == 1
