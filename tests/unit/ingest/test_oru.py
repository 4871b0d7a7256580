"""Results to FHIR: literal ORU in, literal Observation and DiagnosticReport out."""

import json
from decimal import Decimal

import pytest

from ingest.hl7v2.parser import parse
from ingest.hl7v2.structure import check
from ingest.mapping.mapper import message_to_changes
from tests.unit.ingest.mapped_oru import mapped, observation, observations
from tests.unit.ingest.messages import PID
from tests.unit.ingest.messages_oru import CHOLESTEROL, DIASTOLIC, LIPIDS, ORC, ORU, SYSTOLIC, obr, obx, oru

S = "https://chartloop.example/fhir"
UCUM = "http://unitsofmeasure.org"
INTERPRETATION = "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"


@pytest.mark.conformance("HL7 v2", "ORU^R01 becomes DiagnosticReport and Observation")
def test_a_result_gives_an_observation_and_its_report():
    found, problems = mapped(ORU)
    assert problems == []
    assert {kind: len(changes) for kind, changes in found.items()} == {
        "Patient": 1, "Practitioner": 1, "Organization": 1, "Encounter": 1, "Observation": 1, "DiagnosticReport": 1,
    }  # fmt: skip
    assert {found[kind][0].policy for kind in ("Patient", "Encounter")} == {"ensure"}
    subject = {"subject": {"reference": found["Patient"][0].key.reference}, "encounter": {"reference": found["Encounter"][0].key.reference}}
    key, report_key = found["Observation"][0].key, found["DiagnosticReport"][0].key
    quantity = {"unit": "mg/dL", "system": UCUM, "code": "mg/dL"}
    assert found["Observation"][0].resource == {
        "resourceType": "Observation",
        "meta": {"source": "urn:chartloop:hl7v2:HILL:R1"},
        "identifier": [{"system": f"{S}/observation/HILL", "value": key.value}],
        "status": "final",
        "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory", "display": "Laboratory"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "2093-3", "display": "Cholesterol [Mass/volume] in Serum or Plasma"}]},
        **subject,
        "effectiveDateTime": "2026-11-02T08:00:00-05:00",
        "issued": "2026-11-02T10:00:00-05:00",
        "valueQuantity": {"value": Decimal(212), **quantity},
        "referenceRange": [{"low": {"value": Decimal(0), **quantity}, "high": {"value": Decimal(200), **quantity}, "text": "0-200"}],
        "interpretation": [{"coding": [{"system": INTERPRETATION, "code": "H", "display": "High"}]}],
        "note": [{"text": "fasting\ntwo lines\nthird"}],
    }
    placer = {
        "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "PLAC"}]}, "system": f"{S}/placer-order/EHR", "value": "P77",
    }  # fmt: skip
    filler = {
        "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "FILL"}]}, "system": f"{S}/filler-order/LIS", "value": "F88",
    }  # fmt: skip
    assert found["DiagnosticReport"][0].resource == {
        "resourceType": "DiagnosticReport",
        "meta": {"source": "urn:chartloop:hl7v2:HILL:R1"},
        "identifier": [{"system": f"{S}/report/HILL", "value": report_key.value}, filler, placer],
        "basedOn": [{"type": "ServiceRequest", "identifier": placer}],
        "status": "final",
        "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0074", "code": "CH"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "57698-3", "display": "Lipid panel with direct LDL"}]},
        **subject,
        "effectiveDateTime": "2026-11-02T08:00:00-05:00",
        "issued": "2026-11-02T10:00:00-05:00",
        "result": [{"reference": key.reference}],
    }


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("4.3 to 6.2", "4.3", "6.2"),
        ("5.9-8.4 mg/dl", "5.9", "8.4"),
        ("-2.0-2.0", "-2.0", "2.0"),
        ("-3 - -1", "-3", "-1"),
        ("<130 optimal", None, "130"),
        ("<=130", None, "130"),
        (">=60", "60", None),
        ("40-50 mmol/L", None, None),
        ("8-4", None, None),
        ("Negative", None, None),
        ("1-2-3", None, None),
    ],
)
def test_a_reference_range_is_text_with_bounds_where_they_are_sure(text, low, high):
    (span,) = observation(obx(normal=text))[0]["referenceRange"]
    assert span["text"] == text
    assert [str(span[name]["value"]) if name in span else None for name in ("low", "high")] == [low, high]


def test_flags_become_interpretations_and_an_unknown_flag_stays_as_it_was_written():
    found, problems = observation(obx(flag="HH~A^Abnormal^HL70078~**"))
    assert [concept["coding"][0]["code"] for concept in found["interpretation"]] == ["HH", "A", "**"]
    assert [concept["coding"][0].get("system") for concept in found["interpretation"]] == [INTERPRETATION, INTERPRETATION, None]
    assert problems == [("W", "OBX^1^8")]


@pytest.mark.parametrize(
    ("sent", "status", "content"),
    [
        ("F", "final", True), ("C", "corrected", True), ("P", "preliminary", True), ("R", "preliminary", True), ("S", "preliminary", True),
        ("I", "registered", True), ("O", "registered", True), ("A", "amended", True), ("B", "amended", True), ("V", "final", True),
        ("X", "cancelled", True), ("N", "cancelled", True), ("U", "final", False), ("D", "entered-in-error", False), ("W", "entered-in-error", False),
    ],
)  # fmt: skip
def test_the_state_of_a_result_is_that_of_table_0085(sent, status, content):
    found, _ = mapped(oru(obr(), obx(status=sent)))
    change = found["Observation"][0]
    assert (change.resource["status"], change.statement.status, change.statement.content) == (status, status, content)
    assert [result["reference"] for result in found["DiagnosticReport"][0].resource.get("result", [])] == ([change.key.reference] if content else [])


def test_a_result_without_a_state_takes_that_of_its_order_and_an_unknown_state_is_unknown():
    assert observation(obr(status="P"), obx(status="")) == (observation(obr(status="P"), obx(status="P"))[0], [("W", "OBX^1^11")])
    found, problems = observation(obx(status="?"))
    assert (found["status"], problems) == ("unknown", [("W", "OBX^1^11")])


@pytest.mark.parametrize(
    ("sent", "status"),
    [("F", "final"), ("C", "corrected"), ("P", "preliminary"), ("A", "partial"), ("R", "partial"), ("I", "registered"), ("X", "cancelled"), ("", "final")],
)
def test_the_state_of_a_report_is_that_of_table_0123_or_of_its_results(sent, status):
    found, _ = mapped(oru(obr(status=sent), obx()))
    assert found["DiagnosticReport"][0].resource["status"] == status


def test_the_time_is_that_of_the_result_else_of_the_order():
    assert observation(obx(at="20261102083000"))[0]["effectiveDateTime"] == "2026-11-02T08:30:00-05:00"
    period = obr().replace("|20261102080000-0500|", "|20261102080000-0500|20261102090000-0500", 1)
    assert observation(period, obx())[0]["effectivePeriod"] == {"start": "2026-11-02T08:00:00-05:00", "end": "2026-11-02T09:00:00-05:00"}
    found, problems = observation(obr(at=""), obx())
    assert "effectiveDateTime" not in found
    assert problems == [("W", "OBX^1^14")]
    found, problems = observation(obr(at=""), obx(), "SPM|1|||BLD|||||||||||||20261102073000\r")
    assert (found["effectiveDateTime"], problems) == ("2026-11-02T07:30:00-05:00", [])


def test_performer_method_device_site_specimen_and_analysis_time_are_kept():
    rest = "12D0^General Lab^CLIA|7^Roe^Jan^^^^^^HILL|M1^Photometry^L|D9^HILL|20261102093000-0500|368209003^Right arm^SCT|I5^LIS||Century^^^^^NIST^XX^^^987"
    found, problems = observation(obr(), obx(at="20261102083000-0500", rest=rest), "SPM|1|A^B&LIS||BLD^Blood^HL70487\r")
    assert problems == []
    person, laboratory = found["performer"]
    assert person["display"] == "Jan Roe"
    assert laboratory == {"type": "Organization", "identifier": {"system": f"{S}/organization/NIST", "value": "987"}, "display": "Century"}
    assert found["method"]["coding"][0]["code"] == "M1"
    assert found["device"] == {"type": "Device", "identifier": {"system": f"{S}/device/HILL", "value": "D9"}}
    assert found["bodySite"]["coding"][0]["display"] == "Right arm"
    assert found["specimen"] == {"type": "Specimen", "identifier": {"system": f"{S}/specimen/HILL", "value": "B"}, "display": "Blood"}
    assert found["identifier"][1] == {"system": f"{S}/observation-instance/LIS", "value": "I5"}
    assert found["extension"][0]["valueDateTime"] == "2026-11-02T09:30:00-05:00"


def test_notes_keep_author_and_time_and_those_of_the_order_stay_with_the_report():
    found, problems = mapped(oru(obr(), "NTE|1||of the order\r", obx(), "NTE|1||one||7^Roe^Jan^^^^^^HILL|20261102093000-0500\r", "NTE|2||two\r"))
    notes = found["Observation"][0].resource["note"]
    assert [note["text"] for note in notes] == ["one", "two"]
    assert (notes[0]["time"], notes[0]["authorReference"]["display"]) == ("2026-11-02T09:30:00-05:00", "Jan Roe")
    assert found["DiagnosticReport"][0].resource["extension"][0]["valueAnnotation"] == {"text": "of the order"}
    assert problems == []


def test_a_local_code_keeps_the_system_of_its_sender_and_its_loinc_decides():
    found, _ = observation(obx("CHOL^Cholesterol^99HILL^2093-3^^LN"))
    assert found["code"]["coding"][0] == {"system": f"{S}/CodeSystem/99HILL", "code": "CHOL", "display": "Cholesterol"}
    assert found["category"][0]["coding"][0]["code"] == "laboratory"
    assert found["identifier"] == observation(obx())[0]["identifier"]


@pytest.mark.parametrize(
    ("code", "section", "expected"),
    [
        ("8867-4^^LN", "CH", "vital-signs"),
        ("72166-2^^LN", "", "social-history"),
        ("9999-9^^LN", "HM", "laboratory"),
        ("9999-9^^LN", "RAD", "imaging"),
        ("x^^L", "", None),
    ],
)
def test_the_category_follows_the_code_and_else_the_section(code, section, expected):
    found, _ = observation(obr(section=section), obx(code))
    assert found.get("category", [{"coding": [{"code": None}]}])[0]["coding"][0]["code"] == expected


@pytest.mark.conformance("HL7 v2", "Systolic and diastolic pressure of one order and time become one panel")
def test_a_blood_pressure_is_one_panel_with_its_halves_as_components():
    (found, rate), problems = observations(
        obx(SYSTOLIC, "158", unit="mm[Hg]", flag="H"), "NTE|1||sitting\r", obx("8867-4^Heart rate^LN", "72", unit="/min"), obx(DIASTOLIC, "91", unit="mmHg"),
    )  # fmt: skip
    assert problems == []
    assert found["code"]["coding"][0]["code"] == "85354-9"
    assert [(c["code"]["coding"][0]["code"], c["valueQuantity"]["value"], c["valueQuantity"]["code"]) for c in found["component"]] == [
        ("8480-6", Decimal(158), "mm[Hg]"), ("8462-4", Decimal(91), "mm[Hg]"),
    ]  # fmt: skip
    assert found["component"][0]["interpretation"][0]["coding"][0]["code"] == "H"
    assert found["note"] == [{"text": "sitting"}]
    assert not {"valueQuantity", "interpretation"} & found.keys()
    assert rate["code"]["coding"][0]["code"] == "8867-4"


def test_blood_pressures_of_several_times_are_paired_by_time_and_a_lone_half_stays_single():
    found, _ = observations(
        obx(SYSTOLIC, "150", unit="mmHg", at="20261102080000"), obx(SYSTOLIC, "140", unit="mmHg", at="20261102081000"),
        obx(DIASTOLIC, "90", unit="mmHg", at="20261102081000"), obx(DIASTOLIC, "95", unit="mmHg", at="20261102080000"),
        obx(SYSTOLIC, "130", unit="mmHg", at="20261102090000"),
    )  # fmt: skip
    assert [[c["valueQuantity"]["value"] for c in o.get("component", [])] for o in found] == [[150, 95], [140, 90], []]
    assert len({o["identifier"][0]["value"] for o in found}) == 3
    found, _ = observations(
        obx(SYSTOLIC, "2", sub="2"), obx(SYSTOLIC, "1", sub="1"), obx(DIASTOLIC, "11", sub="1"), obx(DIASTOLIC, "12", sub="3"), obx("85354-9^^LN", "")
    )
    assert [[c["valueQuantity"]["value"] for c in o["component"]] for o in found] == [[2, 12], [1, 11]]


@pytest.mark.parametrize(
    ("systolic", "diastolic", "status", "values"),
    [("F", "P", "preliminary", [1, 2]), ("F", "C", "final", [1, 2]), ("D", "F", "corrected", [2]), ("W", "W", "entered-in-error", [1, 2])],
)
def test_the_state_of_a_panel_is_that_of_the_half_which_has_come_less_far(systolic, diastolic, status, values):
    found, _ = observation(obx(SYSTOLIC, "1", unit="mmHg", status=systolic), obx(DIASTOLIC, "2", unit="mmHg", status=diastolic))
    assert found["status"] == status
    assert [c["valueQuantity"]["value"] for c in found["component"]] == values


def keys(*segments, **options):
    return [change.key.value for change in mapped(oru(*segments, **options))[0]["Observation"]]


def test_an_observation_is_the_same_by_order_code_and_sub_id_whatever_its_value_and_lab_time():
    (key,) = keys(obr(), obx())
    assert keys(obr(at="20261102090000"), obx(value="9", at="20261102091500"), control_id="R2") == [key]
    others = [
        keys(obr(filler="F89^LIS"), obx()), keys(obr(), obx("2085-9^HDL^LN")), keys(obr(), obx(sub="2")), keys(obr(code="1^Other^L"), obx()),
        keys(obr(), obx(), pid=PID.replace("|100^", "|101^")), keys(obr(filler="F88^OTHER"), obx()),
    ]  # fmt: skip
    assert len({key, *(other for (other,) in others)}) == 7


def test_without_an_order_number_and_for_vital_signs_the_time_is_part_of_the_identity():
    pulse = "8867-4^Heart rate^LN"
    assert keys(obr(), obx(pulse, at="20261102080000")) != keys(obr(), obx(pulse, at="20261102090000"))
    unnumbered = {"filler": "", "placer": ""}
    assert keys(obr(**unnumbered), obx(at="20261102080000")) != keys(obr(**unnumbered), obx(at="20261102090000"))
    assert keys(obr(**unnumbered), obx()) == keys(obr(**unnumbered), obx(value="9"))
    assert mapped(oru(obr(**unnumbered), obx()))[1] == [("W", "OBR^1^3")]


def test_results_of_the_same_code_in_one_order_stay_apart():
    assert len(set(keys(obr(), obx(), obx(value="9"), obx(value="8")))) == 3
    assert len(set(keys(obr(), obx(at="20261102080000"), obx(at="20261102083000")))) == 2
    found, _ = mapped(oru(obr(), obx(), obr(), obx()))
    assert len({change.key for change in found["DiagnosticReport"]}) == len({change.key for change in found["Observation"]}) == 2


def test_a_filler_number_is_taken_from_orc_where_obr_has_none():
    assert keys(ORC, obr(filler="", placer=""), obx()) == keys(obr(), obx())


@pytest.mark.conformance("HL7 v2", "Results of several patients in one message never mix")
def test_each_patient_of_a_message_gets_their_own_results():
    second = PID.replace("PID|1||100^", "PID|2||200^")
    found, problems = mapped(oru(obr(), obx(), second, obr(), obx(value="100")))
    assert problems == []
    one, two = (change.key.reference for change in found["Patient"])
    assert [(change.resource["subject"]["reference"], change.resource["valueQuantity"]["value"]) for change in found["Observation"]] == [(one, 212), (two, 100)]
    assert "encounter" not in found["Observation"][1].resource
    _, problems = mapped(oru(obr(), obx(), "PID|2||\r", obr(), obx()))
    assert problems == [("E", "PID^2^3")]


def test_a_message_without_patient_or_order_is_refused_with_its_position():
    whole = parse(ORU.encode()).message
    assert check(whole) == ()
    without_pid = parse(oru(obr(), obx(), pid="").encode()).message
    assert [(p.code, p.position) for p in check(without_pid)] == [("100", "PID^1")]
    assert [(p.code, p.position) for p in check(parse(oru(obx()).encode()).message)] == [("100", "OBR^1")]
    assert [p.position for p in message_to_changes(without_pid).problems if p.is_error] == ["PID^1"]


def test_an_order_that_does_not_say_its_service_still_gives_its_results():
    found, problems = mapped(oru(obr(code=""), obx()))
    assert problems == [("W", "OBR^1^4")]
    assert found["DiagnosticReport"][0].resource["code"]["coding"][0]["code"] == "unknown"
    assert len(found["Observation"]) == 1


def test_the_interpreter_is_read_from_its_subcomponents():
    found, _ = mapped(oru(obr().rstrip("\r") + "|||||||7&Roe&Jan^20261102\r", obx()))
    (person,) = found["DiagnosticReport"][0].resource["resultsInterpreter"]
    assert person["display"] == "Jan Roe"
    assert LIPIDS.split("^")[0] in found["DiagnosticReport"][0].key.value
    assert CHOLESTEROL.split("^")[0] in found["Observation"][0].key.value


@pytest.mark.corpus
@pytest.mark.conformance("HL7 v2", "Public ORU messages are mapped, or it is said where they cannot be")
def test_public_oru_messages_lose_no_result(corpus):
    lines = (corpus / "hl7v2/messages-linuxforhealth/inline-test-messages.jsonl").read_text().splitlines()
    raws = [path.read_bytes() for path in sorted((corpus / "hl7v2").rglob("*.hl7"))] + [json.loads(line)["message"].encode() for line in lines]
    seen = 0
    for raw in raws:
        message = parse(raw).message
        if message.type != "ORU":
            continue
        found, problems = mapped(raw.decode("utf-8-sig", "replace"))
        if any(severity == "E" for severity, _ in problems):
            continue
        seen += 1
        told = {position for _, position in problems}
        coded = [obx for obx in message.all("OBX") if obx.value(3) or obx.value(3, 2)]
        assert len(found.get("Observation", [])) == len(coded), raw[:80]
        assert all(f"OBX^{obx.occurrence}^3" in told or not obx.value(5) or obx.value(2) in ("TX", "FT") for obx in message.all("OBX") if obx not in coded)
        assert len(found.get("DiagnosticReport", [])) == len(message.all("OBR"))
    assert seen > 10


def test_the_nature_of_an_abnormal_test_is_kept():
    found, _ = observation(obx().replace("|||F|", "||S~A|F|"))
    url = "http://hl7.org/fhir/StructureDefinition/observation-nature-of-abnormal-test"
    coded = [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0080", "code": code}]} for code in "SA"]
    assert found["extension"] == [{"url": url, "valueCodeableConcept": concept} for concept in coded]


def test_technician_and_transcriptionist_perform_the_report():
    segment = obr().rstrip("\r") + "|||||||||T1&Tech&Ann~T2&Tech&Bo|W1&Writer&Cy\r"
    found, problems = mapped(oru(ORC, segment, obx()))
    (report,) = found["DiagnosticReport"]
    assert problems == []
    said = [(each["display"], each["extension"][0]["valueCodeableConcept"]["coding"][0]["code"]) for each in report.resource["performer"]]
    assert said == [("Ann Tech", "SPRF"), ("Bo Tech", "SPRF"), ("Cy Writer", "TRANS")]
