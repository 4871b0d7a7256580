"""Who may send, what is too large or of the wrong kind, and that every refusal is in the audit log."""

from __future__ import annotations

import json
import re

import pytest

from tests.integration.telemetry.payloads import HOUR, export, record


def _refusals(world):
    journal = b"".join(path.read_bytes() for path in sorted((world.data / "audit").rglob("*")) if path.is_file())
    return journal.count(b'"outcome":"4"')


@pytest.mark.parametrize(
    ("role", "status"),
    [("none", 401), ("billing-administrator", 403), ("researcher", 403), ("clinician", 201), ("operator", 201), ("integration-engine", 201)],
)  # fmt: skip
def test_who_may_read_the_patient_and_create_observations_may_send(world, role, status):
    before = _refusals(world)
    assert world.send("dexcom", HOUR, role=role).status_code == status
    assert (_refusals(world) > before) == (status != 201)
    assert bool(world.observations()) == (status == 201)


def test_a_patient_sends_for_oneself_alone(world):
    own = f"patient~{world.patient}"
    assert world.send("dexcom", HOUR, role=own).status_code == 201
    assert world.send("dexcom", HOUR, role=own, subject=f"Patient/{world.other}").status_code == 404
    answer = world.client.post("/fhir/Observation", data=b"{}", content_type="application/fhir+json", headers={"Authorization": f"Bearer {own}"})
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("vendor", "sent", "status", "said"),
    [
        ("fitbit", {}, 404, "apple-health, dexcom, open-mhealth"),
        ("dexcom", {"subject": ""}, 400, "?subject=Patient/123"),
        ("dexcom", {"subject": "Practitioner/1"}, 400, "?subject=Patient/123"),
        ("dexcom", {"subject": "Patient/nobody"}, 404, ""),
        ("dexcom", {"timezone": "../../etc/passwd"}, 400, "Europe/Berlin"),
        ("dexcom", {"timezone": "Europe/Nowhere"}, 400, "Europe/Berlin"),
        ("dexcom", {"timezone": "Europe"}, 400, "Europe/Berlin"),
        ("dexcom", {"content_type": "application/xml"}, 415, "application/json"),
        ("apple-health", {"content_type": "application/json"}, 415, "application/xml or text/xml"),
        ("dexcom", {"Content-Encoding": "gzip"}, 415, "compressed"),
    ],
)
def test_a_request_that_cannot_be_read_is_refused_with_an_outcome(world, vendor, sent, status, said):
    before = _refusals(world)
    answer = world.send(vendor, HOUR, **sent)
    assert (answer.status_code, answer.json["resourceType"]) == (status, "OperationOutcome")
    assert said in answer.json["issue"][0]["diagnostics"]
    assert _refusals(world) > before
    assert not (world.data / "telemetry").exists()


@pytest.mark.conformance("Telemetry", "who sent a payload for whom is in the audit log, also where it brought nothing new")
def test_every_payload_that_was_taken_is_in_the_audit_log(world):
    for _ in range(2):
        sent = world.send("dexcom", HOUR).json
    journal = b"".join(path.read_bytes() for path in sorted((world.data / "audit").rglob("*")) if path.is_file())
    records = [json.loads(found) for found in re.findall(rb'\{"action":"C"[^{]*"interaction":"send-telemetry".*?"targets":\[[^\]]*\]\}', journal)]
    assert [(each["outcome"], each["patients"], each["targets"]) for each in records] == [("0", [f"Patient/{world.patient}"], [f"telemetry/dexcom/{sent['payload']}"])] * 2
    assert records[0]["subject"]["role"] == "clinician"


def test_a_subject_that_is_named_twice_is_nobodys(world):
    query = f"subject=Patient/{world.patient}&subject=Patient/{world.other}"
    answer = world.client.post(f"/intake/telemetry/dexcom?{query}", json=HOUR, headers={"Authorization": "Bearer clinician"})
    assert (answer.status_code, answer.json["issue"][0]["diagnostics"]) == (400, "A parameter may be given once.")
    assert not world.observations()


def test_a_payload_that_is_too_large_is_not_kept(make_world):
    world = make_world(json_max_bytes=100, max_bytes=200)
    for vendor, body in (("dexcom", HOUR), ("apple-health", export("x" * 300))):
        answer = world.send(vendor, body)
        assert (answer.status_code, answer.json["issue"][0]["code"]) == (413, "too-long")
    assert [path for path in (world.data / "telemetry").rglob("*") if path.is_file()] == []


def test_a_body_that_ends_too_early_is_not_kept(world):
    answer = world.client.post(
        "/intake/telemetry/dexcom", query_string={"subject": f"Patient/{world.patient}"}, data=b"{}", content_type="application/json",
        headers={"Authorization": "Bearer clinician"}, environ_overrides={"CONTENT_LENGTH": "10"},
    )  # fmt: skip
    assert (answer.status_code, answer.json["issue"][0]["code"]) == (400, "incomplete")
    assert [path for path in (world.data / "telemetry").rglob("*") if path.is_file()] == []


@pytest.mark.conformance("Attacks", "91: no entity is declared fetched or expanded")
@pytest.mark.parametrize(
    ("doctype", "said"),
    [
        ('<!DOCTYPE HealthData [<!ENTITY x "y">]>', "nothing in a DTD is processed"),
        ('<!DOCTYPE HealthData [<!ENTITY x SYSTEM "file:///etc/passwd">]>', "nothing in a DTD is processed"),
        ('<!DOCTYPE HealthData [<!ENTITY % x SYSTEM "http://127.0.0.1/x.dtd"> %x;]>', "nothing in a DTD is processed"),
        ('<!DOCTYPE HealthData SYSTEM "http://127.0.0.1/x.dtd">', "nothing in a DTD is processed"),
        ("", "no well-formed XML"),
    ],
)
def test_no_entity_is_declared_fetched_or_expanded(world, doctype, said):
    answer = world.send("apple-health", export(record("HKQuantityTypeIdentifierBodyMass", "&x;", "kg", "2026-03-09 07:00:00 -0400"), doctype=doctype))
    assert answer.status_code == 422
    assert said in answer.json["issue"][0]["diagnostics"]
    assert "root:" not in answer.text
    assert world.observations() == []


def test_a_default_in_the_dtd_adds_no_attribute(world):
    answer = world.send("apple-health", export(record("HKQuantityTypeIdentifierBodyMass", 70, "", "2026-03-09 07:00:00 -0400")))
    assert (answer.status_code, answer.json["issue"][0]["expression"]) == (422, ["Record[1]/@unit"])


@pytest.mark.parametrize("cut", ["</HealthData>", '"/>'])
def test_an_export_that_was_cut_off_stores_nothing(world, cut):
    whole = export(*(record("HKQuantityTypeIdentifierBodyMass", 70 + n, "kg", f"2026-03-09 07:{n:02d}:00 -0400") for n in range(9)))
    answer = world.send("apple-health", whole[: whole.rindex("</HealthData>")] if cut == "</HealthData>" else whole[:-40])
    assert answer.status_code == 422
    assert world.observations() == []
    assert world.count("telemetry_spot") == 0


def test_nothing_that_was_measured_is_logged(world, caplog):
    caplog.set_level("DEBUG")
    world.send("apple-health", export(record("HKQuantityTypeIdentifierBodyMass", "71.2345", "kg", "2026-03-09 07:00:00 -0400", source="Annas Scale")))
    world.send("apple-health", export(record("HKQuantityTypeIdentifierBodyMass", "71.2345", "furlong", "2026-03-09 07:00:00 -0400", source="Annas Scale")))
    told = " ".join(f"{entry.getMessage()} {entry.__dict__}" for entry in caplog.records)
    assert "telemetry.stored" in told
    assert not any(word in told for word in ("71.2345", "Annas", "furlong"))
