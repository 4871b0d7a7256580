"""Payloads in, Observations out."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integration.telemetry.payloads import HOUR, at, dexcom, export, heart_rate, point, pressure, record

BASE = "https://chartloop.example/fhir"


@pytest.mark.conformance("Observations come in", "a payload sent twice changes nothing")
def test_a_payload_sent_twice_changes_nothing(world):
    first = world.send("dexcom", HOUR)
    assert first.status_code == 201
    digest = hashlib.sha256(json.dumps(HOUR).encode()).hexdigest()
    assert first.json == {
        "payload": digest, "vendor": "dexcom", "subject": f"Patient/{world.patient}",
        "readings": 3, "new": 3, "duplicates": 0, "corrected": 0, "flagged": 0, "unknown": {}, "observations": 1, "pending": 0,
    }  # fmt: skip
    before = world.observations()
    again = world.send("dexcom", HOUR)
    assert again.status_code == 200
    assert again.json == {**first.json, "new": 0, "duplicates": 3, "observations": 0}
    assert world.observations() == before
    assert (world.data / "telemetry" / "raw" / digest[:2] / f"{digest}.zst").is_file()


def test_the_same_readings_in_another_payload_change_nothing(world):
    world.send("dexcom", HOUR)
    before = world.observations()
    again = world.send("dexcom", json.dumps(HOUR, indent=1))
    assert (again.status_code, again.json["new"], again.json["duplicates"], again.json["observations"]) == (200, 0, 3, 0)
    assert world.observations() == before


@pytest.mark.conformance("Observations come in", "an hour block becomes a SampledData Observation")
def test_an_hour_of_glucose_is_one_observation_on_a_grid(world):
    world.send("dexcom", HOUR)
    (block,) = world.observations()
    assert block["identifier"][0]["system"] == f"{BASE}/telemetry-block"
    assert block["code"]["coding"][0] == {"system": f"{BASE}/CodeSystem/telemetry", "code": "glucose-interstitial", "display": "Glucose in interstitial fluid"}
    assert block["subject"] == {"reference": f"Patient/{world.patient}"}
    assert block["effectivePeriod"] == {"start": "2026-03-09T07:00:00-04:00", "end": "2026-03-09T07:59:59.999-04:00"}
    assert block["valueSampledData"] == {
        "origin": {"value": 0, "unit": "mg/dL", "system": "http://unitsofmeasure.org", "code": "mg/dL"},
        "period": 300_000, "lowerLimit": 40, "upperLimit": 400, "dimensions": 1, "data": "E 99 L U E E E E E E E E",
    }  # fmt: skip
    assert block["device"]["reference"].startswith("Device/")


def test_a_late_reading_goes_into_its_hour_and_a_newer_version_wins(world):
    world.send("dexcom", HOUR)
    world.send("dexcom", dexcom(("r9", "2026-03-09T15:00:00Z", "2026-03-09T11:00:00-04:00", 120, "ok")))
    late = world.send("dexcom", dexcom(("r0", "2026-03-09T11:00:00Z", "2026-03-09T07:00:00-04:00", 101, "ok"), ("r1", "2026-03-09T11:05:00Z", "2026-03-09T07:05:00-04:00", 98, "ok")))
    assert (late.json["new"], late.json["corrected"], late.json["observations"]) == (1, 1, 1)
    block = next(each for each in world.observations() if each["valueSampledData"]["data"].startswith("101"))
    assert block["valueSampledData"]["data"] == "101 98 L U E E E E E E E E"
    assert (block["status"], block["version"]) == ("amended", 2)


def test_a_correction_may_move_a_reading_to_another_hour(world):
    world.send("open-mhealth", [heart_rate(61, "2026-03-09T07:05:00-04:00", id_="a"), heart_rate(62, "2026-03-09T07:10:00-04:00", id_="b")])
    moved = world.send("open-mhealth", heart_rate(61, "2026-03-09T09:05:00-04:00", id_="a", created="2026-03-09T14:00:00Z"))
    assert (moved.json["new"], moved.json["corrected"]) == (0, 1)
    old = world.send("open-mhealth", [heart_rate(63, "2026-03-09T07:05:00-04:00", id_="a", created="2026-03-09T11:00:00Z")])
    assert (old.json["new"], old.json["duplicates"], old.json["corrected"]) == (0, 1, 0)
    data = sorted(each["valueSampledData"]["data"] for each in world.of_code("8867-4"))
    assert data == ["E 61 E E E E E E E E E E", "E E 62 E E E E E E E E E"]
    alone = world.send("open-mhealth", heart_rate(62, "2026-03-09T10:05:00-04:00", id_="b", created="2026-03-09T14:00:00Z"))
    assert alone.json["corrected"] == 1
    assert sorted(each["status"] for each in world.of_code("8867-4")) == ["entered-in-error", "final", "final"]


def test_a_blood_pressure_is_one_panel_and_a_weight_one_observation(world):
    sent = world.send("open-mhealth", [pressure(), point("body-weight", "3.0", {"body_weight": {"value": 165.3, "unit": "lb"}, **at("2026-03-09T07:00:00-04:00")}, id_="w", modality="self-reported")])
    assert (sent.status_code, sent.json["readings"], sent.json["observations"]) == (201, 3, 2)
    (panel,) = world.of_code("85354-9")
    assert [(part["code"]["coding"][0]["code"], part["valueQuantity"]["value"], part["valueQuantity"]["code"]) for part in panel["component"]] == [
        ("8480-6", 128, "mm[Hg]"), ("8462-4", 82, "mm[Hg]"),
    ]  # fmt: skip
    assert panel["effectiveDateTime"] == "2026-03-09T07:25:00-04:00"
    (weight,) = world.of_code("29463-7")
    assert weight["valueQuantity"] == {"value": 74.979, "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"}
    assert weight["method"]["coding"][0]["code"] == "self-reported"
    assert "extension" not in weight


def test_apples_two_records_of_a_blood_pressure_meet_in_one_panel(world):
    half = record("HKQuantityTypeIdentifierBloodPressureSystolic", 128, "mmHg", "2026-03-09 07:09:30 -0400", source="Cuff")
    other = record("HKQuantityTypeIdentifierBloodPressureDiastolic", 82, "mmHg", "2026-03-09 07:09:30 -0400", source="Cuff")
    correlation = f'<Correlation type="HKCorrelationTypeIdentifierBloodPressure" sourceName="Cuff" startDate="2026-03-09 07:09:30 -0400" endDate="2026-03-09 07:09:30 -0400">{half}{other}</Correlation>'
    world.send("apple-health", export(half))
    (panel,) = world.of_code("85354-9")
    assert panel["component"][1]["dataAbsentReason"]["coding"][0]["code"] == "unknown"
    whole = world.send("apple-health", export(half, other, correlation))
    assert (whole.json["new"], whole.json["duplicates"]) == (1, 3)
    (panel,) = world.of_code("85354-9")
    assert [part["valueQuantity"]["value"] for part in panel["component"]] == [128, 82]


@pytest.mark.conformance("Observations come in", "implausible values are kept and flagged")
def test_implausible_values_are_kept_and_flagged(world):
    sent = world.send("open-mhealth", [pressure(systolic=900), heart_rate(999, "2026-03-09T07:05:00-04:00", id_="h1"), heart_rate(61, "2026-03-09T07:10:00-04:00", id_="h2")])
    assert sent.json["flagged"] == 2
    (panel,) = world.of_code("85354-9")
    assert panel["component"][0]["valueQuantity"]["value"] == 900
    assert panel["extension"] == [{"url": f"{BASE}/StructureDefinition/implausible", "valueBoolean": True}]
    assert "implausible" in panel["note"][0]["text"]
    (block,) = world.of_code("8867-4")
    assert block["valueSampledData"]["data"] == "E E 61 E E E E E E E E E"
    count, sample = block["extension"]
    assert (count["url"], count["valueInteger"]) == (f"{BASE}/StructureDefinition/implausible-count", 1)
    assert sample["extension"][0]["valueDateTime"] == "2026-03-09T07:05:00-04:00"
    assert sample["extension"][1]["valueQuantity"]["value"] == 999
    assert block["note"][0]["text"] == "1 of 2 samples are implausible: they are kept and flagged."


@pytest.mark.conformance("Observations come in", "a naive time without a subject time zone is refused with the path of the element")
def test_a_naive_time_is_refused_with_its_path_and_only_the_raw_bytes_are_kept(world):
    page = dexcom(
        ("r1", "2026-03-09T11:05:00Z", "2026-03-09T07:05:00-04:00", 99, "ok"),
        ("r2", "2026-03-09T11:10:00", "2026-03-09T07:10:00", 100, "ok"),
    )
    refused = world.send("dexcom", page)
    assert refused.status_code == 422
    error, kept = refused.json["issue"]
    assert (error["code"], error["expression"]) == ("required", ["records[1].displayTime"])
    digest = hashlib.sha256(json.dumps(page).encode()).hexdigest()
    assert digest in kept["diagnostics"]
    assert (world.data / "telemetry" / "raw" / digest[:2] / f"{digest}.zst").is_file()
    assert world.observations() == []
    assert [world.count(f"telemetry_{table}") for table in ("block", "spot", "source", "place")] == [0, 0, 0, 0]
    told = world.send("dexcom", page, timezone="America/New_York")
    assert (told.status_code, told.json["new"]) == (201, 2)


def test_a_naive_time_in_an_export_is_refused_with_its_record_attribute_and_line(world):
    export_ = export(
        record("HKQuantityTypeIdentifierHeartRate", 61, "count/min", "2026-03-08 01:58:28 -0500"),
        record("HKQuantityTypeIdentifierHeartRate", 62, "count/min", "2026-03-08 02:30:00"),
    )
    refused = world.send("apple-health", export_)
    assert refused.status_code == 422
    assert refused.json["issue"][0]["expression"] == ["Record[2]/@startDate"]
    assert refused.json["issue"][0]["diagnostics"].startswith("Line 13: ")
    gap = world.send("apple-health", export_, timezone="America/New_York")
    assert (gap.status_code, "does not exist" in gap.json["issue"][0]["diagnostics"]) == (422, True)


@pytest.mark.conformance("Observations come in", "Apple Health export.xml is streamed")
def test_an_apple_export_becomes_series_totals_and_measures(world):
    sent = world.send("apple-health", export(
        record("HKQuantityTypeIdentifierHeartRate", 61, "count/min", "2026-03-08 01:58:28 -0500"),
        record("HKQuantityTypeIdentifierHeartRate", 59, "count/min", "2026-03-08 03:03:02 -0400"),
        record("HKQuantityTypeIdentifierStepCount", 812, "count", "2026-03-09 09:00:00 -0400", "2026-03-09 09:10:00 -0400"),
        record("HKQuantityTypeIdentifierStepCount", 30, "count", "2026-03-09 09:05:00 -0400", "2026-03-09 09:07:00 -0400"),
        record("HKQuantityTypeIdentifierStepCount", 100, "count", "2026-03-09 09:20:00 -0400", "2026-03-09 09:30:00 -0400"),
        record("HKQuantityTypeIdentifierOxygenSaturation", "0.96", "%", "2026-03-09 01:59:45 -0400", "2026-03-09 02:00:00 -0400"),
        record("HKQuantityTypeIdentifierBodyTemperature", "98.6", "degF", "2026-03-09 07:02:00 -0400"),
        record("HKCategoryTypeIdentifierSleepAnalysis", "HKCategoryValueSleepAnalysisAsleepDeep", "", "2026-03-08 23:52:00 -0400", "2026-03-09 00:31:00 -0400"),
        record("HKQuantityTypeIdentifierDietaryWater", 1, "L", "2026-03-09 07:02:00 -0400"),
        '<Workout workoutActivityType="HKWorkoutActivityTypeRunning"/>',
    ))  # fmt: skip
    assert sent.status_code == 201
    assert sent.json["unknown"] == {"HKQuantityTypeIdentifierDietaryWater": 1, "Workout": 1}
    assert (sent.json["readings"], sent.json["observations"]) == (8, 6)
    assert [each["valueQuantity"] for each in world.of_code("8310-5")] == [{"value": 37, "unit": "Cel", "system": "http://unitsofmeasure.org", "code": "Cel"}]
    (steps,) = world.of_code("steps")
    assert (steps["valueQuantity"]["value"], steps["note"][0]["text"]) == (912, "1 intervals overlap others and are not added.")
    assert steps["effectivePeriod"] == {"start": "2026-03-09T09:00:00-04:00", "end": "2026-03-09T09:30:00-04:00"}
    assert [each["valueQuantity"]["value"] for each in world.of_code("93831-6")] == [39]
    assert [each["valueSampledData"]["data"].split().count("96") for each in world.of_code("59408-5")] == [1]
    assert sorted(each["valueSampledData"]["data"].replace("E ", "").replace(" E", "") for each in world.of_code("8867-4")) == ["59", "61"]


def test_an_hour_that_may_get_more_stays_open_until_it_is_over(world, fake_clock):
    world.send("open-mhealth", heart_rate(61, "2026-11-22T08:05:00Z", id_="a"))
    assert world.observations() == []
    fake_clock.advance(3600)
    assert world.publisher.publish() == 0
    fake_clock.advance(900)
    assert world.publisher.publish() == 1
    world.send("open-mhealth", heart_rate(62, "2026-11-22T09:10:00Z", id_="b"))
    closed = world.send("open-mhealth", heart_rate(63, "2026-11-22T10:10:00Z", id_="c"))
    assert (closed.json["observations"], closed.json["pending"]) == (1, 1)


def test_what_is_left_of_a_large_payload_is_published_later(make_world):
    world = make_world(observations_per_request=2)
    sent = world.send("open-mhealth", [heart_rate(60 + hour, f"2026-03-09T{hour:02d}:05:00Z", id_=f"p{hour}") for hour in range(6)])
    assert (sent.json["observations"], sent.json["pending"]) == (2, 4)
    assert world.publisher.publish() == 4
    assert len(world.of_code("8867-4")) == 6


def test_a_payload_whose_process_died_is_completed_when_it_comes_again(world, monkeypatch):
    from ingest.telemetry import keeping, normalising

    monkeypatch.setattr(normalising, "PART", 2)
    kept, keep = [], keeping.Keeper.keep

    def once(self, groups):
        if kept:
            raise SystemExit
        kept.append(1)
        return keep(self, groups)

    points = [heart_rate(60 + minute, f"2026-03-09T07:{minute:02d}:00Z", id_=f"p{minute}") for minute in range(6)]
    monkeypatch.setattr(keeping.Keeper, "keep", once)
    with pytest.raises(SystemExit):
        world.send("open-mhealth", points)
    monkeypatch.setattr(keeping.Keeper, "keep", keep)
    again = world.send("open-mhealth", points)
    assert (again.status_code, again.json["new"], again.json["duplicates"]) == (201, 4, 2)
    assert [each["valueSampledData"]["data"].split()[:6] for each in world.of_code("8867-4")] == [["60", "61", "62", "63", "64", "65"]]


def test_senders_at_once_keep_every_reading_once(world):
    pages = [[heart_rate(60 + minute, f"2026-03-09T07:{minute:02d}:00Z", id_=f"p{minute}") for minute in range(start, 40)] for start in (0, 0, 10, 20)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda page: world.send("open-mhealth", page), pages))
    assert {answer.status_code for answer in answers} <= {200, 201}
    assert sum(answer.json["new"] for answer in answers) == 40
    world.publisher.publish()
    (block,) = world.of_code("8867-4")
    assert [value for value in block["valueSampledData"]["data"].split() if value != "E"] == [str(60 + minute) for minute in range(40)]
    assert world.count("telemetry_source") == 1
