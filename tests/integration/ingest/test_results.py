"""Results from the message to the store: once, never downgraded, labelled, with a constant number of searches."""

import itertools
import json
from collections import Counter

import pytest

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.audit.segment import SegmentWriter
from tests.unit.ingest.messages import A04, PID
from tests.unit.ingest.messages_oru import DIASTOLIC, HIV, LIPIDS, ORC, ORU, SYSTOLIC, obr, obx, oru

POSITIVE = "10828004^Positive^SCT"


def said(observation):
    return observation["status"], observation.get("valueQuantity", {}).get("value")


def at(hour):
    return f"20261102{hour:02d}0000"


@pytest.mark.conformance("HL7 v2", "ORU^R01 becomes DiagnosticReport and Observation")
def test_results_reach_the_chart_of_the_visit_with_their_digits(deliver, look):
    pressure = obx(SYSTOLIC, "158", unit="mm[Hg]") + obx(DIASTOLIC, "91", unit="mm[Hg]")
    assert deliver(A04, oru(ORC, obr(), obx(value="212.50", normal="0-200.0", flag="H"), pressure)) == {}
    (patient,), (encounter,), (report,) = (look(kind) for kind in ("Patient", "Encounter", "DiagnosticReport"))
    observations = look("Observation")
    assert {each["subject"]["reference"] for each in (report, *observations)} == {f"Patient/{patient['id']}"}
    assert {each["encounter"]["reference"] for each in (report, *observations)} == {f"Encounter/{encounter['id']}"}
    assert {result["reference"] for result in report["result"]} == {f"Observation/{each['id']}" for each in observations}
    assert any('"value":212.50' in each["text"] and '"value":200.0' in each["text"] for each in observations)
    (found,) = look("Observation", "code=http://loinc.org|85354-9&status=final&category=vital-signs")
    assert [part["valueQuantity"]["value"] for part in found["component"]] == [158, 91]
    assert len(look("Observation", "component-code=8480-6")) == 1
    assert patient["address"][0]["city"] == "Springfield"


def test_results_that_overtake_the_registration_make_patient_and_visit(deliver, look):
    assert deliver(ORU, A04) == {}
    assert len(look("Patient")) == len(look("Encounter")) == len(look("Observation")) == 1


@pytest.mark.conformance("HL7 v2", "The same result twice changes nothing")
def test_the_same_results_again_change_nothing(deliver, look):
    text = oru(ORC, obr(), obx(), obx(HIV, POSITIVE, kind="CWE", unit=""), obx(SYSTOLIC, "158", unit="mmHg"), obx(DIASTOLIC, "91", unit="mmHg"))
    assert deliver(text) == {}
    before = [(r["id"], r["version"]) for kind in ("Observation", "DiagnosticReport", "Practitioner") for r in look(kind)]
    assert len(before) == 5
    assert deliver(text) == {}
    assert deliver(oru(ORC, obr(), obx(), control_id="R2")) == {}
    after = [(r["id"], r["version"]) for kind in ("Observation", "DiagnosticReport", "Practitioner") for r in look(kind)]
    assert [pair for pair in after if pair not in before] == [pair for pair in after if pair not in before and pair[1] > 1]
    assert {id_ for id_, _ in after} == {id_ for id_, _ in before}
    unlabelled = [(r["id"], r["version"]) for r in look("Observation", "code=2093-3")]
    assert set(unlabelled) <= set(before)


@pytest.mark.conformance("HL7 v2", "A final result is never downgraded")
def test_a_final_result_is_not_taken_back_and_a_correction_replaces_it(database, deliver, look):
    final = oru(ORC, obr(), obx(value="212"), control_id="F", time=at(10))
    preliminary = oru(ORC, obr(status="P"), obx(value="999", status="P"), control_id="P", time=at(11))
    older = oru(ORC, obr(), obx(value="888"), control_id="O", time=at(9))
    correction = oru(ORC, obr(status="C"), obx(value="221", status="C"), control_id="C", time=at(12))
    again = oru(ORC, obr(), obx(value="221", status="F"), control_id="A", time=at(13))
    wrong = oru(ORC, obr(), obx(value="", status="W"), control_id="W", time=at(14))
    story = []
    for text in (final, preliminary, older, correction, again, wrong):
        assert deliver(text) == {}
        (observation,), (report,) = look("Observation"), look("DiagnosticReport")
        story.append((*said(observation), report["status"]))
    assert story == [
        ("final", 212, "final"), ("final", 212, "final"), ("final", 212, "final"),
        ("corrected", 221, "corrected"), ("corrected", 221, "corrected"), ("entered-in-error", 221, "corrected"),
    ]  # fmt: skip
    assert len(report["result"]) == 1
    with database.read() as session:
        problems = [problems for (problems,) in session.all("SELECT problems FROM hl7_message ORDER BY id")]
    assert "W 103 OBX^1^11 a finished result is not taken back by a less finished one: left as it was" in problems[1]
    assert problems[0] == problems[3] == ""


@pytest.mark.conformance("HL7 v2", "A result is the same whatever the order in which its messages arrive")
def test_any_order_of_arrival_ends_in_the_same_chart(deliver, look):
    """Each permutation is an order of its own, so that one store holds them all."""
    for number, arrival in enumerate(itertools.permutations([(9, "P", "1"), (10, "F", "2"), (11, "C", "3"), (12, "P", "4")])):
        filler = f"F{number}^LIS"
        texts = [
            oru(
                obr(filler=filler, status=status),
                obx(value=value, status=status),
                obx("2085-9^HDL^LN", value, status=status, sub=value),
                control_id=f"{number}-{hour}",
                time=at(hour),
            )
            for hour, status, value in arrival
        ]
        assert deliver(*texts) == {}
    reports, observations = look("DiagnosticReport", "_count=100"), look("Observation", "_count=100")
    assert (len(reports), len(observations)) == (24, 24 * 5)
    assert {report["status"] for report in reports} == {"corrected"}
    assert {len(report["result"]) for report in reports} == {5}
    assert {said(each) for each in observations if each["code"]["coding"][0]["code"] == "2093-3"} == {("corrected", 3)}


def test_a_state_alone_finishes_what_was_sent_before_and_says_so_where_nothing_was(database, deliver, look):
    assert deliver(oru(obr(), obx(value="", status="U"), control_id="U", time=at(12))) == {}
    assert look("Observation") == []
    assert deliver(oru(obr(status="P"), obx(value="5", status="P"), control_id="P", time=at(11))) == {}
    assert [said(each) for each in look("Observation")] == [("final", 5)]
    with database.read() as session:
        (problems,) = session.one("SELECT problems FROM hl7_message WHERE id = 1")
    assert problems == "W 103 OBX^1^11 the result that this is about is not known here"


@pytest.mark.conformance("HL7 v2", "Sensitive results are labelled: a clinician without the right does not see them")
def test_a_sensitive_result_and_its_report_are_closed_to_a_clinician_without_the_right(repository, deliver, look):
    assert (
        deliver(oru(ORC, obr(code="55277-8^HIV status^LN"), obx(HIV, POSITIVE, kind="CWE", unit=""), obx()), oru(obr(filler="F99"), obx(), control_id="R2"))
        == {}
    )
    scope = Scope(Subject(id="test", role="clinician", scopes=("system/*.cruds",)), "search", "test")
    assert [code for each in repository.all(scope, "Observation", "") for code in [each.json()["code"]["coding"][0]["code"]]] == ["2093-3", "2093-3"]
    assert len(list(repository.all(scope, "DiagnosticReport", ""))) == 1
    assert len(look("Observation")) == 3
    assert len(look("DiagnosticReport")) == 2


def test_a_sensitive_result_is_corrected_and_withdrawn_without_being_read(deliver, look):
    def hiv(status, value, hour, code=HIV):
        return oru(
            ORC, obr(status=status if status in "PFC" else "F"), obx(code, value, kind="CWE", unit="", status=status), control_id=f"H{hour}", time=at(hour)
        )

    assert deliver(hiv("F", POSITIVE, 9), hiv("P", "1^Unclear^L", 10), hiv("C", "260385009^Negative^SCT", 11), hiv("F", "2^Other^L", 8)) == {}
    (found,) = look("Observation")
    assert (found["status"], found["valueCodeableConcept"]["coding"][0]["display"]) == ("corrected", "Negative")
    assert deliver(oru(ORC, obr(), obx(), control_id="M", time=at(12)), hiv("W", "", 13)) == {}
    assert {each["status"] for each in look("Observation")} == {"entered-in-error", "final"}
    (report,) = look("DiagnosticReport")
    assert len(report["result"]) == 2


@pytest.mark.conformance("HL7 v2", "One message makes the same number of searches however many results it brings")
def test_the_number_of_searches_does_not_grow_with_the_results(repository, deliver, look, monkeypatch):
    searches = []
    before = repository.searches
    monkeypatch.setattr(repository, "searches", lambda scope, asked: searches.extend(type_ for type_, _ in asked) or before(scope, asked))
    rest = "|{n}^Observer^Name^^^^^^HILL"

    def many(count, control_id, value):
        results = [obx(f"{n}-1^Test^LN", value, at="20261102083000", rest=rest.format(n=n)) for n in range(count)]
        return oru(ORC, obr(), *results, obx(f"{control_id}^new^L"), control_id=control_id, time=at(10))

    made = []
    for count, control_id, value in ((3, "A", "1"), (3, "B", "2"), (40, "C", "3"), (40, "D", "4")):
        searches.clear()
        assert deliver(many(count, control_id, value)) == {}
        made.append(Counter(searches))
    assert made[1] == made[2] == made[3]
    assert max(made[3].values()) == 1
    assert len(look("Observation", "_count=100")) == 44


@pytest.mark.conformance("Audit", "the searches of one HL7 message are recorded one by one and durable together, before their results are used")
def test_what_a_message_looks_for_is_durable_in_the_audit_log_with_one_wait(repository, deliver, monkeypatch):
    waits = []

    def counted(self, *bodies, real=SegmentWriter.append):
        real(self, *bodies)
        waits.append([json.loads(body) for _, body in bodies])

    monkeypatch.setattr(SegmentWriter, "append", counted)
    assert deliver(oru(obr(), obx())) == {}
    [records] = waits
    assert {record["interaction"] for record in records} == {"search"}
    assert len(records) == len({record["query"].partition("?")[0] for record in records}) > 1


def test_two_patients_with_the_same_order_number_keep_their_own_results(deliver, look):
    other = PID.replace("|100^", "|101^")
    assert deliver(oru(obr(), obx(), visit=False), oru(obr(), obx(value="5", status="W"), control_id="R2", time=at(11), pid=other, visit=False)) == {}
    assert [said(each) for each in look("Observation")] == [("final", 212)]
    assert deliver(oru(obr(), obx(value="5"), control_id="R3", time=at(12), pid=other, visit=False)) == {}
    assert len({each["subject"]["reference"] for each in look("Observation")}) == 2
    assert LIPIDS.startswith(look("DiagnosticReport")[0]["code"]["coding"][0]["code"])


@pytest.mark.conformance("HL7 v2", "A half of a blood pressure that is corrected alone corrects the stored panel")
def test_a_half_of_a_blood_pressure_that_comes_alone_changes_its_stored_panel(deliver, look):
    def pressures(control_id, hour, *halves):
        return oru(obr(), *(obx(code, value, unit="mmHg", status=status) for code, value, status in halves), control_id=control_id, time=at(hour))

    def stored():
        (panel,) = look("Observation")
        (report,) = look("DiagnosticReport")
        assert report["result"] == [{"reference": f"Observation/{panel['id']}"}]
        return panel["status"], [part["valueQuantity"]["value"] for part in panel["component"]]

    assert deliver(pressures("A", 9, (SYSTOLIC, "185", "F"), (DIASTOLIC, "91", "F"))) == {}
    story = []
    for message in (
        pressures("B", 10, (SYSTOLIC, "158", "C")), pressures("C", 8, (SYSTOLIC, "111", "F")), pressures("D", 11, (DIASTOLIC, "1", "P")),
        pressures("E", 8, (DIASTOLIC, "91", "D")), pressures("F", 12, (DIASTOLIC, "91", "D")), pressures("G", 13, (SYSTOLIC, "", "W")),
    ):  # fmt: skip
        assert deliver(message) == {}
        story.append(stored())
    assert story == [("corrected", [158, 91])] * 4 + [("corrected", [158]), ("entered-in-error", [158])]


def test_every_kind_of_value_is_fhir_that_the_store_takes(deliver, look):
    values = [
        ("NM", "7.30"), ("NM", "clotted"), ("NM", "1~2"), ("NM", "123456789012345678901234567890"), ("NM", "1e5"), ("NM", "0.0000001"), ("SN", "<^5"), ("SN", "^1^-^2"),
        ("SN", "^^-^2"), ("SN", "^1^:^128"), ("SN", "<>^1"), ("NR", "1^2"), ("CWE", "A^a^L~B^b^99X Y"), ("CE", "a  b"), ("CE", "^^L"), ("IS", "\\.br\\"), ("TX", "a~b\\.br\\c"),
        ("FT", "\\X01\\"), ("ST", "  "), ("DT", "2026"), ("DTM", "202611"), ("TS", "20261101"), ("TM", "08"), ("DR", "20261102^20261101"), ("ED", "^application^pdf^Base64^eA=="),
        ("ED", "^^^A^plain"), ("ED", "^TEXT^^Hex^zz"), ("RP", "https://pacs.example/1^^IM^JPEG"), ("RP", "pointer^^AP^x y"), ("XCN", "1^Roe^Jan"), ("NA", "1^2^3"), ("ZZ", "x"), ("", "5"), ("NM", ""),
    ]  # fmt: skip
    rest = "12D0^General Lab^CLIA|^Roe^Jan|^by eye|D 9|20261102|^arm|I5"
    segments = [obx(f"{number}^x^L", value, kind=kind, unit="q q", normal="~1-2", flag="zz zz~H", at="2026110208", rest=rest) for number, (kind, value) in enumerate(values)]
    report = obr(section="C T", status="?", issued="2026", code="^in words").rstrip("\r") + "|||||||&Roe&Jan^20261102\r"
    loose = obx("^^LN", "5") + obx("", "^^^Base64^eA==", kind="ED") + "SPM|1|||BLD^^HL70487\r" + "NTE|1\r" + "NTE|2||of the specimen|||bad time\r"
    assert deliver(oru(report, "NTE|1||n||7^Roe|20261102\r", *segments, loose)) == {}
    assert len(look("Observation", "_count=100")) == len(values)
    (found,) = look("DiagnosticReport")
    assert [form["contentType"] for form in found["presentedForm"]] == ["text/plain; charset=utf-8", "application/octet-stream"]


def test_a_message_of_more_results_than_a_search_takes_values_is_stored(deliver, look):
    results = [obx(f"{number}-1^Test^LN", str(number)) for number in range(1100)]
    assert deliver(oru(obr(), *results), oru(obr(), *results[:1099], obx("1099-1^Test^LN", "7", status="C"), control_id="R2", time=at(12))) == {}
    assert len(look("Observation", "status=final&_count=1000")) == 1099
    assert [said(each) for each in look("Observation", "status=corrected")] == [("corrected", 7)]


@pytest.mark.parametrize("shared", [False, True], ids=["identifier of the old record alone", "identifier of both"])
def test_results_of_a_merged_patient_reach_the_survivor(deliver, look, repository, shared):
    assert deliver(A04) == {}
    (old,) = look("Patient")
    operator = Scope(Subject(id="setup", role="operator", scopes=("system/*.cruds",)), "update", "setup")
    survivor = {"resourceType": "Patient", "id": "survivor", "link": [{"type": "replaces", "other": {"reference": f"Patient/{old['id']}"}}]}
    repository.update(operator, "Patient", "survivor", {**survivor, **({"identifier": old["identifier"]} if shared else {})})
    replaced = {"active": False, "link": [{"type": "replaced-by", "other": {"reference": "Patient/survivor"}}]}
    repository.update(operator, "Patient", old["id"], {**{name: value for name, value in old.items() if name not in ("version", "text")}, **replaced})
    assert deliver(ORU) == {}
    assert {each["subject"]["reference"] for each in (*look("Observation"), *look("DiagnosticReport"))} == {"Patient/survivor"}
