"""Vendors' payloads become readings: the public samples and schemas, and the hard cases."""

from __future__ import annotations

import io
import json
import tarfile
import tracemalloc
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from ingest.vendors import apple_health, dexcom, open_mhealth
from ingest.vendors.apple_prolog import without_doctype
from ingest.vendors.measure import Context
from ingest.vendors.open_mhealth_schema import SCHEMAS
from ingest.vendors.reading import ABOVE, BELOW, IMPLAUSIBLE_TIME, IMPLAUSIBLE_VALUE, SELF_REPORTED, Problem, Unknown
from ingest.vendors.times import FOLD, GAP, NO_TIME, NO_ZONE, Moment, iso, moment
from tests.integration.telemetry.payloads import at, export, heart_rate, point, record

NOW = 1_790_000_000_000_000
PLAIN = Context(None, NOW)
NEW_YORK = Context(ZoneInfo("America/New_York"), NOW)


def _apple(*records, context=PLAIN, **more):
    return list(apple_health.read(io.BytesIO(export(*records, **more).encode()), context))


def _omh(said, context=PLAIN):
    return list(open_mhealth.read(json.dumps(said).encode(), context))


def _dexcom(context=PLAIN, **members):
    record = {"recordId": "r", "systemTime": "2026-03-09T11:05:00Z", "displayTime": "2026-03-09T07:05:00-04:00", "value": 99, "unit": "mg/dL", "status": "ok", **members}
    return list(dexcom.read(json.dumps({"recordType": "egv", "records": [record]}).encode(), context))


@pytest.mark.corpus
def test_the_apple_sample_gives_every_measure_in_ucum_units(corpus):
    with (corpus / "telemetry/vendor-samples/apple_healthkit_export.xml").open("rb") as stream:
        found = list(apple_health.read(stream, PLAIN))
    assert [(each.metric, str(each.value), each.offset) for each in found] == [
        ("heart-rate", "61", -300), ("heart-rate", "59", -240), ("steps", "812", -240), ("steps", "840", -240), ("oxygen-saturation", "96", -240),
        ("body-weight", "74.979", -240), ("body-temperature", "37", -240), ("glucose-interstitial", "99.09", -240), ("vo2-max", "38.4", -240),
        ("heart-rate-variability-sdnn", "47.2", -240), ("light-sleep-duration", "42", -240), ("deep-sleep-duration", "39", -240),
        ("systolic-blood-pressure", "128", -240), ("diastolic-blood-pressure", "82", -240),
    ]  # fmt: skip
    assert [each.metric for each in found if each.flags & SELF_REPORTED] == ["body-weight"]
    assert found[1].start - found[0].start == 274_000_000, "four and a half minutes over the change of the clocks"


@pytest.mark.corpus
def test_the_dexcom_sample_needs_a_zone_for_its_second_record(corpus):
    body = (corpus / "telemetry/vendor-samples/dexcom_egvs_v3.json").read_bytes()
    _, refused = dexcom.read(body, PLAIN)
    assert refused == Problem("records[1].displayTime", NO_ZONE, "required")
    first, second = dexcom.read(body, NEW_YORK)
    assert (second.start - first.start, second.offset, second.value, second.flags) == (300_000_000, -240, Decimal(40), BELOW)


@pytest.mark.corpus
def test_documents_of_the_schemas_are_taken_or_refused_as_their_folders_say(corpus):
    verdicts = {"shouldPass": 0, "shouldFail": 0}
    with tarfile.open(corpus / "telemetry/schemas.tar.xz") as archive:
        for member in archive:
            parts = member.name.split("/")
            if "test-data/omh" not in member.name or not member.isfile() or parts[-4] not in SCHEMAS:
                continue
            schema, version, verdict = parts[-4], parts[-3], parts[-2]
            body = json.load(archive.extractfile(member))
            problems = [each for each in _omh(point(schema, version, body), NEW_YORK) if isinstance(each, Problem)]
            assert bool(problems) == (verdict == "shouldFail"), f"{member.name}: {problems}"
            assert all(problem.path.startswith("body") for problem in problems)
            verdicts[verdict] += 1
    assert min(verdicts.values()) >= 50


@pytest.mark.parametrize(
    ("members", "value", "flags"),
    [({"value": "LOW"}, 40, BELOW), ({"value": "High", "status": None}, 400, ABOVE), ({"value": 39, "status": "low"}, 40, BELOW), ({"value": 401, "status": "high"}, 400, ABOVE),
     ({"value": 5.5, "unit": "mmol/L"}, Decimal("99.09"), 0), ({"value": 5.5, "unit": "mmol/l"}, Decimal("99.09"), 0), ({"value": "HIGH", "unit": "unknown"}, 400, ABOVE), ({"value": 700}, 700, IMPLAUSIBLE_VALUE)],
)  # fmt: skip
def test_a_glucose_value_says_when_it_is_beyond_the_sensor(members, value, flags):
    (found,) = _dexcom(**members)
    assert (found.value, found.flags, found.detail) == (value, flags, "")


@pytest.mark.parametrize(
    ("members", "path"),
    [({"systemTime": "yesterday"}, "records[0].systemTime"), ({"displayTime": 7}, "records[0].displayTime"), ({"unit": "mg"}, "records[0].unit"), ({"unit": None}, "records[0].unit"), ({"unit": "unknown"}, "records[0].unit"),
     ({"value": "99"}, "records[0].value"), ({"value": True}, "records[0].value"), ({"value": 10**30}, "records[0].value")],
)  # fmt: skip
def test_a_glucose_record_that_cannot_be_read_is_named(members, path):
    (found,) = _dexcom(**members)
    assert (type(found), found.path) == (Problem, path)


def test_system_time_is_utc_and_another_record_type_is_counted():
    (found,) = _dexcom(systemTime="2026-03-09T11:05:00")
    assert (found.start, found.offset) == (1_773_054_300_000_000, -240)
    assert _dexcom(value=None) == [Unknown("egv without a value")]
    assert list(dexcom.read(b'{"recordType":"alert","records":[{},{}]}', PLAIN)) == [Unknown("alert"), Unknown("alert")]


@pytest.mark.parametrize(
    ("body", "path", "text"),
    [(b"{", "", "no JSON"), (b"[]", "", "another type"), (b'{"recordType":"egv"}', "records", "required"), (b'{"records":[{"systemTime":"\xff"}]}', "records[0]", "no JSON"),
     (b'{"records":' + b"[" * 5000, "", "no JSON")],
)  # fmt: skip
def test_a_document_that_is_none_is_named_by_its_place(body, path, text):
    (found,) = dexcom.read(body, PLAIN)
    assert found.path == path
    assert text in found.text


def test_a_data_series_has_an_id_for_each_element_and_a_path_for_each_problem():
    series = {
        "header": {"uuid": "u1", "schema_id": {"namespace": "omh", "name": "heart-rate", "version": "2.0"}, "source_creation_date_time": "2026-03-09T12:00:00Z", "modality": "sensed"},
        "body": [{"heart_rate": {"value": 61.0, "unit": "beats/min"}, **at("2026-03-09T07:05:00-04:00")}, {"heart_rate": {"value": 62, "unit": "beats/min"}, **at("2026-03-09T07:06:00")}],
    }
    first, second = _omh(series)
    assert (first.vendor_id, str(first.value), first.updated) == ("u1[0]", "61.0", 1_773_057_600_000_000)
    assert second == Problem("body[1].effective_time_frame.date_time", NO_ZONE, "required")
    assert _omh([series])[1].path == "[0].body[1].effective_time_frame.date_time"
    assert _omh({"shim": "x", "body": [heart_rate(60, "2026-03-09T07:05:00Z")]})[0].value == 60


def test_a_statistic_is_no_measurement():
    body = {"heart_rate": {"value": 50, "unit": "beats/min"}, "effective_time_frame": {"time_interval": {"start_date_time": "2020-02-05T06:00:00+01:00", "end_date_time": "2020-02-06T06:00:00+01:00"}}}
    assert _omh(point("heart-rate", "2.0", {**body, "descriptive_statistic": "minimum"}))[0].metric == "heart-rate.minimum"
    assert _omh(point("heart-rate", "2.0", {**body, "descriptive_statistic": "variance"})) == [Unknown("heart-rate variance")]
    assert _omh(point("ambient-temperature", "1.0", {"x": 1})) == [Unknown("ambient-temperature")]


def test_sleep_has_a_reading_for_each_stage():
    frame = {"time_interval": {"start_date_time": "2026-03-08T23:00:00-05:00", "duration": {"value": 9, "unit": "h"}}}
    body = {"effective_time_frame": frame, "total_sleep_time": {"value": 8.5, "unit": "h"}, "deep_sleep_duration": {"value": 90, "unit": "min"}}
    found = _omh(point("sleep-episode", "1.0", body, namespace="ieee"))
    assert [(each.metric, each.value, (each.end - each.start) // 3_600_000_000) for each in found] == [("sleep-duration", 510, 9), ("deep-sleep-duration", 90, 9)]


def test_steps_of_a_day_and_of_an_hour_are_different_measures():
    def steps(end):
        frame = {"time_interval": {"start_date_time": "2026-03-09T00:00:00Z", "end_date_time": end}}
        return _omh(point("step-count", "3.0", {"step_count": {"value": 900, "unit": "steps"}, "effective_time_frame": frame}))[0].metric

    assert [steps("2026-03-09T01:00:00Z"), steps("2026-03-10T00:00:00Z"), steps("2026-03-12T00:00:00Z")] == ["steps", "steps-24h", "steps.interval"]


def test_an_impossible_time_is_flagged():
    frame = {"time_interval": {"start_date_time": "2026-03-09T02:00:00Z", "end_date_time": "2026-03-09T01:00:00Z"}}
    backwards = point("body-weight", "3.0", {"body_weight": {"value": 70, "unit": "kg"}, "effective_time_frame": frame})
    assert _omh(backwards)[0].flags == IMPLAUSIBLE_TIME
    assert _omh(heart_rate(60, "2099-03-09T01:00:00Z"))[0].flags == IMPLAUSIBLE_TIME


def test_apple_units_are_what_apple_means():
    start = "2026-03-09 07:00:00 -0400"
    found = _apple(
        record("HKQuantityTypeIdentifierBloodGlucose", "5.5", "mmol&lt;180.1558800000541&gt;/L", start, source="Contour"),
        record("HKQuantityTypeIdentifierOxygenSaturation", "97", "%", start),
        record("HKQuantityTypeIdentifierBodyMass", "72.50", "kg", start, inner='<MetadataEntry key="HKWasUserEntered" value="1"/>'),
        record("HKQuantityTypeIdentifierBodyMassIndex", "24.1", "count", start),
        record("HKQuantityTypeIdentifierHeight", "5.9", "ft", start),
        record("HKCategoryTypeIdentifierSleepAnalysis", "HKCategoryValueSleepAnalysisNew", "", start),
    )
    assert [(each.metric, str(each.value), each.flags) for each in found[:5]] == [
        ("glucose", "99.09", 0), ("oxygen-saturation", "9700", IMPLAUSIBLE_VALUE), ("body-weight", "72.50", SELF_REPORTED), ("body-mass-index", "24.1", 0), ("body-height", "179.83", 0),
    ]  # fmt: skip
    assert found[5] == Unknown("HKCategoryValueSleepAnalysisNew")


def test_the_device_is_known_without_its_address_or_software():
    def device(address, software):
        return f"&lt;&lt;HKDevice: {address}&gt;, name:Apple Watch, manufacturer:Apple Inc., model:Watch, hardware:Watch6,7, software:{software}&gt;"

    start = "2026-03-09 07:00:00 -0400"
    one, other = _apple(*(record("HKQuantityTypeIdentifierHeartRate", 60, "count/min", start, device=device(*said)) for said in (("0x1", "11.2"), ("0x2", "11.3"))))
    assert one.source == other.source
    assert (one.source.device, one.source.manufacturer, one.source.model) == ("Watch6,7", "Apple Inc.", "Watch")


def test_attributes_of_megabytes_are_not_remembered():
    long, start = 1_000_000, "2026-03-09 07:00:00 -0400"
    tracemalloc.start()
    try:
        for letter in "abcde":
            said = {"source": letter * long, "device": letter * long}
            for value, unit in (("60", "count/min"), (letter * long, "count/min"), ("60", letter * long)):
                assert len(_apple(record("HKQuantityTypeIdentifierHeartRate", value, unit, start, **said))) == 1
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 6 * long  # what this test holds itself


@pytest.mark.parametrize(
    ("xml", "path"),
    [(b"", "line 1, column 1"), (b"<Other/>", "/"), (b"<HealthData><Record></HealthData>", "line 1, column 23"), (b"<HealthData>" + b"<a>" * 100, "line 1"),
     (b'<HealthData><Record type="' + b"x" * 5_000_000, "line 1"), (b"<HealthData>" + b"<Record>" * 100, "line 1"),
     (b'<?xml version="1.0" encoding="utf-7"?><HealthData/>', "line 1"), (b'<?xml version="1.0" encoding="rot13"?><HealthData/>', "line 1")],
)  # fmt: skip
def test_xml_that_is_no_export_ends_with_a_problem(xml, path):
    *_, last = apple_health.read(io.BytesIO(xml), PLAIN)
    assert isinstance(last, Problem)
    assert last.path == path


def test_a_malformed_document_type_of_apple_does_no_harm():
    broken = "<!DOCTYPE HealthData [\n<!ATTLIST Record\n startDate CDATA #REQUIRED\n<!ELEMENT oops>\n]>\n"
    (found,) = _apple(record("HKQuantityTypeIdentifierHeartRate", 60, "count/min", "2026-03-09 07:00:00 -0400"), doctype=broken)
    assert found.value == 60


@pytest.mark.parametrize(
    "prolog",
    [b"<!DOCTYPE HealthData []>" + b"<!---->" * 100_000 + b"x", b"<!DOCTYPE HealthData [" * 40_000, b"<!DOCTYPE HealthData [" + b"]>" * 400_000 + b"x",
     b"<!--" * 200_000, b"<?x" * 300_000, b"<?x?>" * 190_000 + b"y", b"<!DOCTYPE HealthData [" + b"<!-- -->" * 110_000],
)  # fmt: skip
@pytest.mark.conformance("Attacks", "94: a document type declaration that was made to be slow is read as fast as any other")
def test_a_prolog_that_was_made_to_be_slow_is_read_in_time(prolog):
    # A test of growth and not of the clock: what backtracks here does so for hours.
    found = without_doctype(io.BytesIO(prolog + b"<HealthData></HealthData>"))
    assert isinstance(found, bytes)
    assert found.endswith(b"<HealthData></HealthData>")


def test_comments_and_instructions_around_the_document_type_stay_where_they_are():
    around = b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- one -->\n%s\n<!-- two --><?three?>\n<HealthData/>'
    declared = b"<!DOCTYPE HealthData [\n<!-- ]> <!-- -->\n<!ELEMENT HealthData (Me)>\n]\n>"
    assert without_doctype(io.BytesIO(around % declared)) == around % b"\n\n\n\n"


@pytest.mark.parametrize("said", ["1" * 5000, "\N{SUPERSCRIPT TWO}.0", ""])
def test_a_schema_version_that_is_no_number_stops_nothing(said):
    body = {"step_count": 5, "effective_time_frame": {"time_interval": {"start_date_time": "2026-03-09T07:00:00Z", "end_date_time": "2026-03-09T07:10:00Z"}}}
    (found,) = _omh(point("step-count", said, body))
    assert found.value == 5


@pytest.mark.parametrize(
    ("read", "said", "path"),
    [(dexcom.read, {"records": [{"systemTime": "2026-03-09T11:05:00Z", "displayTime": "2026-03-09T11:05:00Z", "value": "?"}]}, "records[0].value"),
     (open_mhealth.read, point("heart-rate", "2.0", {"heart_rate": {"value": "?", "unit": "beats/min"}, **at("2026-03-09T07:00:00Z")}), "body.heart_rate.value")],
)  # fmt: skip
def test_bytes_that_are_no_utf_8_in_a_value_are_a_problem_at_its_place(read, said, path):
    *_, last = read(json.dumps(said).encode().replace(b'"?"', b'"\xff"'), PLAIN)
    assert isinstance(last, Problem)
    assert last.path == path


def test_names_that_vendors_make_up_are_kept_to_a_length():
    (unknown,) = _omh(point("x" * 5_000, "1.0", {}))
    (reading,) = _dexcom(transmitterId="t" * 5_000, trend="u" * 5_000)
    assert max(len(unknown.name), len(reading.source.device), len(reading.detail)) < 300


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [("2026-03-29T02:30:00", "Europe/Berlin", GAP), ("2026-10-25T02:30:00", "Europe/Berlin", FOLD), ("2026-03-29T03:30:00", "Europe/Berlin", Moment(1_774_747_800_000_000, 120)),
     ("2026-10-25T02:30:00+01:00", "Europe/Berlin", Moment(1_792_891_800_000_000, 60)), ("2026-03-09T07:05:00", None, NO_ZONE), ("2026-03-09", "Europe/Berlin", NO_TIME),
     ("2026-02-30T07:05:00Z", None, NO_TIME), ("2026-03-09T07:05:00+25:00", None, NO_TIME), ("0001-01-01T00:00:00Z", None, NO_TIME), ("2026-03-09T07:05:00.123456789Z", None, Moment(1_773_039_900_123_456, 0))],
)  # fmt: skip
def test_a_time_names_one_instant_or_is_refused(text, zone, expected):
    assert moment(text, ZoneInfo(zone) if zone else None) == expected


def test_an_instant_is_written_as_the_subjects_clock_showed_it():
    assert iso(*moment("2026-03-09T07:05:00.250-04:30", None)) == "2026-03-09T07:05:00.250-04:30"
    assert iso(0, 0) == "1970-01-01T00:00:00+00:00"
    assert iso(moment("1000-01-01T00:00:00Z", None).us, -840) == "0999-12-31T10:00:00-14:00"




@pytest.mark.parametrize("unit", ["mg/dL", "unknown", None])
def test_a_dexcom_record_without_a_value_needs_no_unit(unit):
    assert _dexcom(value=None, unit=unit) == [Unknown("egv without a value")]


def test_what_is_told_of_a_correlation_is_not_told_of_its_last_record():
    systolic, diastolic = (
        f'<Record type="HKQuantityTypeIdentifierBloodPressure{name}" sourceName="Omron" unit="mmHg" value="{value}" startDate="2026-03-09 07:05:00 -0400"'
        f' endDate="2026-03-09 07:05:00 -0400" creationDate="2026-03-09 07:06:00 -0400"/>'
        for name, value in (("Systolic", 128), ("Diastolic", 82))
    )
    entered = '<MetadataEntry key="HKWasUserEntered" value="1"/>'
    typed_in = systolic.replace("/>", f"><HeartRateVariabilityMetadataList/>{entered}</Record>").replace("07:05", "07:15")
    found = _apple(f'<Correlation type="HKCorrelationTypeIdentifierBloodPressure">{systolic}{diastolic}{entered}</Correlation>', typed_in)
    assert [(each.metric, each.flags) for each in found] == [("systolic-blood-pressure", 0), ("diastolic-blood-pressure", 0), ("systolic-blood-pressure", SELF_REPORTED)]
