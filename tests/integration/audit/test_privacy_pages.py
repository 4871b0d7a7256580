"""The privacy officer sees who looked at whom, what is unusual about it and what was disclosed; each look is recorded once."""

from __future__ import annotations

import re

import pytest

from chartloop.kernel.audit.record import AuditRecord
from tests.integration.audit.conftest import House


@pytest.fixture(scope="module")
def hospital(house: House, operator: str) -> House:
    """Dr. Adler treats Berta; Dr. Adler also looked at Clara Adler, at a colleague, at herself and, in an emergency, at Emil."""
    for id_, family, given, born in (("7", "Adler", "Anna", "1970-01-01"), ("8", "Braun", "Bert", "1980-02-02")):
        house.put({"resourceType": "Practitioner", "id": id_, "name": [{"family": family, "given": [given]}], "birthDate": born}, operator)
    for id_, family, given, born in (("berta", "Cohn", "Berta", "1950-03-03"), ("clara", "Adler", "Clara", "2001-04-04"), ("braun", "Braun", "Bert", "1980-02-02"), ("self", "Adler", "Anna", "1970-01-01"), ("emil", "Evil<script>alert(1)</script>", "Emil", "1960-05-05")):
        house.put({"resourceType": "Patient", "id": id_, "name": [{"family": family, "given": [given]}], "birthDate": born}, operator)
    encounter = {"resourceType": "Encounter", "id": "e1", "status": "finished", "class": {"code": "AMB"}, "subject": {"reference": "Patient/berta"}, "participant": [{"individual": {"reference": "Practitioner/7"}}]}
    house.put(encounter, operator)
    doctor = house.token("clinician", "Practitioner/7")
    for id_ in ("berta", "clara", "braun", "self"):
        house.ask("GET", f"/fhir/Patient/{id_}", doctor)
    emergency = house.subject("clinician", "Practitioner/7", purpose="BTG")
    house.kernel.audit.access(
        AuditRecord("E", "break-glass", "0", emergency, ("Patient/emil",), ("Patient/emil",), reason="found <b>unconscious</b>"),
        AuditRecord("R", "disclosure", "0", house.subject("claims-engine", purpose="HLEGAL"), ("Claim/1",), ("Patient/berta",), "court"),
    )
    house.sealer.seal()
    return house


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


@pytest.mark.conformance("Audit", "the privacy officer's page says who looked at a patient, what a person looked at, and what is unusual about it, with the rule and why")
def test_the_overview_names_what_is_unusual_and_why(hospital: House) -> None:
    answer = hospital.browser("privacy-officer", "Practitioner/99").get("/privacy")
    assert answer.status_code == 200, answer.text
    rows = [text_of(row).strip() for row in answer.text.split("<tr>") if "chip" in row]
    for rule, whom, why in (
        ("same family name", "Clara Adler", "Both are called Adler."),
        ("colleague", "Bert Braun", "The patient is somebody who works here."),
        ("own record", "Anna Adler", "Name and date of birth are their own."),
        ("break-glass", "Emil Evil", "They said it was an emergency: found &lt;b&gt;unconscious&lt;/b&gt;."),
        ("no care relation", "Clara Adler", "No encounter and no choice of the patient connects the two."),
    ):
        assert any(row.startswith(rule) and "Anna Adler" in row and whom in row and why in row for row in rows), (rule, rows)
    assert not any("Berta" in row and "at night" not in row for row in rows)
    assert "<script>" not in answer.text
    assert "agree" in answer.text


@pytest.mark.conformance("Attacks", "80: the privacy officer looks at a trail, and that look is recorded once")
@pytest.mark.parametrize(
    ("path", "target", "patients", "shown"),
    [
        ("/privacy", "privacy/overview", [], "Who looked at whom"),
        ("/privacy/patient?patient=Patient/berta", "privacy/patient", ["Patient/berta"], "Who looked at Berta Cohn"),
        ("/privacy/patient?patient=berta", "privacy/patient", ["Patient/berta"], "Anna Adler"),
        ("/privacy/person?agent=Practitioner/7", "privacy/person/Practitioner/7", [], "What Anna Adler did"),
        ("/privacy/disclosures?patient=berta", "privacy/disclosures", ["Patient/berta"], "HLEGAL"),
        ("/privacy/patient?patient=nobody", "privacy/patient", ["Patient/nobody"], "Nobody touched this record"),
    ],
)
def test_each_look_is_recorded_once(hospital: House, path: str, target: str, patients: list[str], shown: str) -> None:
    number = f"look-{abs(hash(path))}"
    answer = hospital.browser("privacy-officer", "Practitioner/99").get(path, headers={"X-Request-Id": number})
    assert answer.status_code == 200, answer.text
    assert shown in text_of(answer.text)
    [record] = hospital.records(request=number, interaction="audit-read")
    assert (record["targets"], record["patients"], record["subject"]["user"]) == ([target], patients, "Practitioner/99")
    others = {each["subject"]["id"] for each in hospital.records(request=number) if each["interaction"] != "audit-read"}
    assert others <= {"engine:privacy"}
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")


@pytest.mark.parametrize(("role", "status"), [("clinician", 403), ("operator", 403), ("patient", 403), ("auditor", 200), ("", 401)])
def test_only_readers_of_the_audit_log_are_let_in_and_others_are_recorded(hospital: House, role: str, status: int) -> None:
    number = f"door-{role or 'nobody'}"
    token = hospital.token(role, "Practitioner/5") if role else ""
    answer = hospital.ask("GET", "/privacy/patient?patient=berta", token, number)
    assert answer.status_code == status
    assert ("Anna Adler" in answer.text) == (status == 200)
    kept = [each for each in hospital.records(request=number) if each["subject"]["id"] != "engine:privacy"]
    assert [(each["outcome"], each["subject"]["role"]) for each in kept] == [("0" if status == 200 else "4", role)]


@pytest.mark.parametrize("path", ["/privacy/patient", "/privacy/patient?patient=../x", "/privacy/person?agent=%00", "/privacy/person?agent="])
def test_what_cannot_be_read_is_400(hospital: House, path: str) -> None:
    assert hospital.browser("privacy-officer").get(path).status_code == 400


def test_the_ehr_offers_the_page_to_whom_it_is_for(hospital: House) -> None:
    answer = hospital.browser("privacy-officer").get("/ehr/")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/privacy")
