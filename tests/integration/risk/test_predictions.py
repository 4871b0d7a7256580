"""From a change in a chart to a stored RiskAssessment, by a real worker over real events."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from chartloop.kernel.clock import FakeClock
from chartloop.kernel.errors import NotFound
from predictions.risk.model_directory import write_model
from predictions.risk.synthetic_cohort import synthetic_cohort
from predictions.risk.train import train
from tests.integration.risk.conftest import Clinic, extensions, nested, scope
from tests.unit.kernel.consumers import eventually
from tests.unit.risk.charts import CHART, DIABETES, LISINOPRIL, PANEL, PATIENT, SMOKER, measured

pytestmark = pytest.mark.usefixtures("fake_clock")


@pytest.mark.conformance("Prediction", "a patient's change triggers features -> model -> RiskAssessment with contributions and Provenance, in the worker")
def test_a_chart_becomes_a_risk_assessment_with_contributions_and_provenance(clinic: Clinic) -> None:
    clinic.transaction(CHART)
    clinic.work()
    found = clinic.assessment()
    assert found["status"] == "final"
    assert found["identifier"] == [{"system": "https://chartloop.example/fhir/risk", "value": "prevent-stroke-10y|p1"}]
    assert found["method"]["coding"][0]["code"] == "prevent-stroke-10y"
    assert found["code"]["coding"][0] == {"system": "https://chartloop.example/fhir/CodeSystem/risk", "code": "stroke-10y"}
    assert found["basis"] == [
        {"reference": n}
        for n in ("Condition/dm", "MedicationRequest/rx", "Observation/bp", "Observation/crea", "Observation/hdl", "Observation/smoking", "Observation/tc")
    ]
    (prediction,) = found["prediction"]
    assert prediction["whenRange"]["high"] == {"value": 10, "unit": "years", "system": "http://unitsofmeasure.org", "code": "a"}
    (baseline,) = map(nested, extensions(found, "risk-baseline"))
    assert baseline["text"] == "a woman of 60 with the reference values of the equation"
    contributions = list(map(nested, extensions(found, "risk-contribution")))
    added = math.fsum(c["contribution"] for c in contributions)
    p, p0 = prediction["probabilityDecimal"], baseline["probability"]
    assert added == pytest.approx(math.log(p / (1 - p)) - math.log(p0 / (1 - p0)), abs=1e-9)
    assert prediction["relativeRisk"] == pytest.approx(p / p0, abs=1e-3)
    pressure = next(c for c in contributions if c["feature"] == "systolic-blood-pressure")
    assert pressure["valueQuantity"] == {"value": 158, "unit": "mmHg", "system": "http://unitsofmeasure.org", "code": "mm[Hg]"}
    assert (pressure["date"], pressure["basis"]) == ("2026-11-20T09:00:00Z", {"reference": "Observation/bp"})
    statin = next(c for c in contributions if c["feature"] == "statin")
    assert (statin["valueString"], statin["contribution"]) == ("no, none recorded", 0.0)
    (traced,) = clinic.provenances()
    assert traced["target"] == [{"reference": f"RiskAssessment/{found['id']}/_history/1"}]
    assert traced["agent"][0]["who"]["display"] == "AHA PREVENT 2023, stroke, 10 years"
    assert {"role": "source", "what": {"reference": "Observation/bp/_history/1"}} in traced["entity"]


@pytest.mark.conformance("Prediction", "what is missing is said, and is no error: a preliminary RiskAssessment names it")
def test_what_is_missing_is_said_and_is_no_error(clinic: Clinic) -> None:
    clinic.put(PATIENT, measured("tc", "2093-3", 220, "mg/dL"), measured("hdl", "2085-9", 45, "furlong"))
    clinic.work()
    found = clinic.assessment()
    assert found["status"] == "preliminary"
    assert "prediction" not in found
    assert [e["valueString"] for e in extensions(found, "risk-missing")] == [
        "HDL cholesterol",
        "Systolic blood pressure",
        "eGFR (CKD-EPI 2021)",
        "Current smoking",
    ]


def test_the_same_inputs_make_no_new_version(clinic: Clinic, fake_clock: FakeClock) -> None:
    clinic.transaction(CHART)
    clinic.work()
    clinic.put({**PANEL, "note": [{"text": "sitting"}]}, {**PATIENT, "active": True}, measured("weight", "29463-7", 70, "kg"))
    fake_clock.advance(3600)
    clinic.work()
    assert clinic.assessment()["meta"]["versionId"] == "1"
    assert len(clinic.provenances()) == 1


def test_a_new_value_makes_the_next_version_and_its_provenance(clinic: Clinic, fake_clock: FakeClock) -> None:
    clinic.transaction(CHART)
    clinic.work()
    fake_clock.advance(60)
    clinic.put(measured("bp2", "8480-6", 130, "mm[Hg]", "2026-11-21T09:00:00Z"))
    clinic.work()
    found = clinic.assessment()
    assert found["meta"]["versionId"] == "2"
    assert {"reference": "Observation/bp2"} in found["basis"]
    assert {"reference": "Observation/bp"} not in found["basis"]
    assert sorted(p["target"][0]["reference"][-1] for p in clinic.provenances()) == ["1", "2"]


@pytest.mark.conformance("Prediction", "1,000 changes to one patient cause at most two runs")
def test_a_thousand_changes_to_one_patient_cause_at_most_two_runs(clinic: Clinic, fake_clock: FakeClock) -> None:
    clinic.transaction(CHART)
    changed = [measured(f"bp{n}", "8480-6", 120 + n % 50, "mm[Hg]", f"2026-11-21T09:{n // 60:02d}:{n % 60:02d}Z") for n in range(1000)]
    with clinic.worker(min_interval_s=30) as worker:
        for start in range(0, 1000, 50):
            clinic.transaction(changed[start : start + 50])
        assert eventually(lambda: len(clinic.runs) == 1, 60)
        fake_clock.advance(31)
        assert worker.idle(60)
    assert clinic.runs == ["Patient/p1"] * 2
    assert {"reference": "Observation/bp999"} in clinic.assessment()["basis"]


def test_changes_that_come_slowly_wait_for_the_end_of_the_interval(clinic: Clinic, fake_clock: FakeClock) -> None:
    clinic.transaction(CHART)
    with clinic.worker(min_interval_s=30) as worker:
        for n in range(20):
            clinic.put(measured(f"bp{n}", "8480-6", 120 + n, "mm[Hg]", f"2026-11-21T09:00:{n:02d}Z"))
            assert eventually(lambda: len(clinic.runs) == 1, 30)
            fake_clock.advance(1)
        fake_clock.advance(11)
        assert worker.idle(60)
    assert len(clinic.runs) == 2
    assert {"reference": "Observation/bp19"} in clinic.assessment()["basis"]


def test_a_worker_that_restarts_does_not_forget_the_last_run(clinic: Clinic, fake_clock: FakeClock) -> None:
    clinic.transaction(CHART)
    clinic.work(min_interval_s=30)
    clinic.put(measured("bp2", "8480-6", 130, "mm[Hg]", "2026-11-21T09:00:00Z"))
    with clinic.worker(min_interval_s=30) as worker:
        assert not worker.idle(0.5)
    assert len(clinic.runs) == 1
    fake_clock.advance(31)
    clinic.work(min_interval_s=30)
    assert len(clinic.runs) == 2


@pytest.mark.conformance("Prediction", "derived writes never trigger predictions")
def test_a_prediction_causes_no_further_run(clinic: Clinic) -> None:
    clinic.transaction(CHART)
    clinic.work()
    clinic.work()
    assert clinic.runs == ["Patient/p1"]
    assert not {"RiskAssessment", "Provenance"} & clinic.consumer().subjects


@pytest.mark.parametrize("known", [True, False])
def test_a_deleted_value_is_no_longer_used(clinic: Clinic, known: bool) -> None:
    """Once where the patient is known by an earlier run, once where only the history says whose value it was."""
    clinic.transaction(CHART)
    if known:
        clinic.work()
    clinic.delete("Observation/bp")
    if not known:
        clinic.database.write(lambda tx: tx.run("DELETE FROM event WHERE type <> 'ResourceDeleted'"))
    clinic.work()
    found = clinic.assessment()
    assert (found["status"], [e["valueString"] for e in extensions(found, "risk-missing")]) == ("preliminary", ["Systolic blood pressure"])


@pytest.mark.parametrize("how", ["died", "deleted"])
def test_who_died_or_was_deleted_has_no_risk_any_more(clinic: Clinic, how: str) -> None:
    clinic.transaction(CHART)
    clinic.work()
    if how == "died":
        clinic.put({**PATIENT, "deceasedDateTime": "2026-11-21"})
    else:
        clinic.delete("Patient/p1")
    clinic.work()
    found = clinic.assessment("operator")
    assert (found["status"], "prediction" in found, found["meta"]["versionId"]) == ("cancelled", False, "2")
    clinic.put({**PANEL, "status": "amended"})
    clinic.work()
    assert clinic.assessment("operator")["meta"]["versionId"] == "2"


def test_a_dead_patient_without_a_prediction_gets_none(clinic: Clinic) -> None:
    clinic.put({**PATIENT, "deceasedBoolean": True}, PANEL)
    clinic.work()
    assert clinic.assessments() == []


@pytest.mark.conformance("Prediction", "RiskAssessment inherits its inputs' labels")
def test_an_assessment_of_a_labelled_input_is_labelled_and_hidden(clinic: Clinic) -> None:
    """The engine sees no labelled row, so the label comes between its reading and its writing."""
    clinic.transaction(CHART)
    consumer = clinic.consumer()
    gathering = consumer._gathering

    class Late:
        def features(self, scope, patient, *, at_us):
            found = gathering.features(scope, patient, at_us=at_us)
            clinic.put({**DIABETES, "meta": {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "HIV"}]}})
            return found

    consumer._gathering = Late()
    (event, *_) = _events(clinic)
    consumer.handle(event, lambda _tx: None)
    assert clinic.assessments("clinician") == []
    assert clinic.provenances("clinician") == []
    (seen,) = clinic.assessments("psychiatric-clinician")
    assert {"reference": "Condition/dm"} in seen["basis"]
    (traced,) = clinic.provenances("psychiatric-clinician")
    assert traced["target"] == [{"reference": f"RiskAssessment/{seen['id']}/_history/1"}]
    # From now on it is closed to the engine as well: it stays as it is, and the run is not a failure.
    clinic.work()
    assert clinic.assessments("psychiatric-clinician") == [seen]


def test_the_engine_reads_no_labelled_row(clinic: Clinic) -> None:
    clinic.transaction(CHART)
    clinic.put({**DIABETES, "meta": {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PSY"}]}})
    clinic.work()
    found = clinic.assessment("clinician")
    assert {"reference": "Condition/dm"} not in found["basis"]
    with pytest.raises(NotFound):
        clinic.repository.read(scope("risk-engine"), "Condition", "dm")


def test_one_patient_does_not_hold_up_another(clinic: Clinic) -> None:
    other = {**SMOKER, "id": "s2", "subject": {"reference": "Patient/p2"}}
    clinic.transaction([*CHART, {**PATIENT, "id": "p2"}, other])
    clinic.work()
    assert sorted(clinic.runs) == ["Patient/p1", "Patient/p2"]
    assert len(clinic.assessments(patient="p2")) == 1


def test_a_run_reads_little_and_every_access_is_audited(clinic: Clinic, tmp_path: Path) -> None:
    clinic.transaction(CHART)
    clinic.work()
    journal = b"".join(path.read_bytes() for path in (tmp_path / "data" / "audit").rglob("*") if path.is_file())
    assert journal.count(b"engine:risk") == 8  # what changed, the patient, five searches, the assessment that is not there yet


def _events(clinic: Clinic):
    from chartloop.kernel.events import Event

    with clinic.database.read() as session:
        return [Event(*row) for row in session.all("SELECT id, type, subject, version, key, trace, recorded FROM event ORDER BY seq")]


@pytest.mark.conformance("Prediction", "two models behind one port; a trained model's RiskAssessment names where its labels came from")
def test_a_trained_model_predicts_beside_the_equation_from_the_next_run_on(clinic: Clinic, fake_clock: FakeClock) -> None:
    clinic.transaction(CHART)
    clinic.work()
    trained = train(synthetic_cohort(4000, seed=3), labels_source="Made up for a test", data="made up", years=10, demo=True, date="2026-11-22")
    write_model(trained, clinic.models)
    clinic.put({**PATIENT, "active": True})
    clinic.work()
    by_model = {r["method"]["coding"][0]["code"]: r for r in clinic.assessments()}
    assert by_model.keys() == {"prevent-stroke-10y", "lightgbm-stroke"}
    found = by_model["lightgbm-stroke"]
    assert found["method"]["coding"][0]["version"] == trained.facts["version"]
    assert [e["valueString"] for e in extensions(found, "risk-labels-source")] == ["Made up for a test"]
    assert not extensions(by_model["prevent-stroke-10y"], "risk-labels-source")
    assert [e["valueString"] for e in extensions(found, "risk-missing")] == ["Body mass index"]
    weight = next(c for c in map(nested, extensions(found, "risk-contribution")) if c["feature"] == "body-mass-index")
    assert weight["valueString"] == "not recorded"
    assert found["status"] == "final"


def test_a_deleted_assessment_is_made_again(clinic: Clinic) -> None:
    clinic.transaction(CHART)
    clinic.work()
    clinic.delete(f"RiskAssessment/{clinic.assessment()['id']}")
    clinic.put({**PATIENT, "active": True})
    clinic.work()
    found = clinic.assessment()
    assert (found["status"], found["meta"]["versionId"]) == ("final", "3")
    assert f"RiskAssessment/{found['id']}/_history/3" in {p["target"][0]["reference"] for p in clinic.provenances()}


def test_a_patient_whose_last_event_is_closed_to_the_engine_is_still_found(clinic: Clinic) -> None:
    clinic.transaction([*CHART, {**DIABETES, "id": "psy", "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "F32.1"}]}}])
    events = [e for e in _events(clinic) if e.subject == "Condition/psy"]
    clinic.consumer().handle(events[0], lambda _tx: None)
    assert clinic.assessment()["status"] == "final"


def test_what_belongs_to_no_patient_is_passed_over(clinic: Clinic) -> None:
    clinic.put(measured("x", "8480-6", 130, "mm[Hg]", subject={"reference": "Device/d1"}))
    clinic.work()
    assert clinic.runs == []


def test_a_week_of_telemetry_does_not_hide_last_year_s_cholesterol(clinic: Clinic) -> None:
    clinic.transaction(CHART)
    clinic.transaction([measured(f"t{n}", "8480-6", 140, "mm[Hg]", f"2026-11-21T{n // 60:02d}:{n % 60:02d}:00Z") for n in range(300)])
    wrong = [measured(f"w{n}", "2093-3", 999, "furlong", f"2026-11-2{n % 2}T00:{n // 60:02d}:{n % 60:02d}Z") for n in range(150)]
    clinic.transaction(wrong)
    clinic.work()
    found = clinic.assessment()
    assert found["status"] == "final"
    assert {"reference": "Observation/t299"} in found["basis"]
    assert {"reference": "Observation/tc"} in found["basis"]


@pytest.mark.conformance("Card", "the stored prediction is found by patient and the models' codes, newest first")
def test_the_stored_prediction_is_found_by_patient_and_method(clinic: Clinic) -> None:
    clinic.transaction(CHART)
    clinic.work()
    method = ",".join(f"https://chartloop.example/fhir/CodeSystem/risk-model|{model}" for model in ("prevent-stroke-10y", "lightgbm-stroke"))
    query = f"patient=Patient/p1&method={method}&_sort=-date&_count=10"
    assert [s.id for s in clinic.repository.search(scope("clinician"), "RiskAssessment", query).entries] == [clinic.assessment()["id"]]


@pytest.mark.parametrize("reference", ["Medication/m1", "http://127.0.0.1:8080/fhir/Medication/m1"])
def test_a_prescription_that_refers_to_a_medication_counts(clinic: Clinic, reference: str) -> None:
    medication = {"resourceType": "Medication", "id": "m1", "code": LISINOPRIL["medicationCodeableConcept"]}
    prescription = {name: value for name, value in LISINOPRIL.items() if name != "medicationCodeableConcept"} | {"medicationReference": {"reference": reference}}
    clinic.transaction([medication, *(prescription if resource is LISINOPRIL else resource for resource in CHART)])
    clinic.work()
    treated = next(c for c in map(nested, extensions(clinic.assessment(), "risk-contribution")) if c["feature"] == "antihypertensive")
    assert (treated["valueString"], treated["basis"]) == ("yes", {"reference": "MedicationRequest/rx"})


def test_references_in_full_and_to_versions_lead_to_the_patient(clinic: Clinic) -> None:
    clinic.transaction([PATIENT])
    for number, resource in enumerate(CHART[1:]):
        whole = ("http://127.0.0.1:8080/fhir/Patient/p1", "Patient/p1/_history/1")[number % 2]
        clinic.put({**resource, "subject": {"reference": whole}})
    clinic.work()
    assert clinic.assessment()["status"] == "final"
