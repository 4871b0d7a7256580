"""Breaking the glass in the EHR: a closed chart says that it is closed and no more, opens with a reason for minutes, and closes when asked to."""

from __future__ import annotations

import re
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from tests.integration.audit.conftest import House, house, operator

__all__ = ["house", "operator"]

ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
SAID = {"code": "ETREAT", "reason": "Found <b>unconscious</b> in the hall."}


def chart(of: str, *, full: bool) -> list[dict[str, Any]]:
    """A patient whom Practitioner/ada treats; with a pulse, a note and a psychiatric one, or with nothing."""
    subject = {"subject": {"reference": f"Patient/{of}"}}
    visit = {"resourceType": "Encounter", "id": f"e-{of}", "status": "in-progress", "class": {"system": ACT, "code": "AMB"}, **subject, "participant": [{"individual": {"reference": "Practitioner/ada"}}]}
    notes = [
        {
            "resourceType": "DocumentReference", "id": f"{id_}-{of}", "status": "current", **subject, "type": {"coding": [{"system": "http://loinc.org", "code": loinc}]},
            "content": [{"attachment": {"contentType": "text/plain", "data": "Q291Z2ggYXQgbmlnaHQ=", "title": title}}],
        }
        for id_, loinc, title in (("n", "34878-9", "Emergency note"), ("psy", "34788-0", "Psychiatry note"))
    ]  # fmt: skip
    patient = {"resourceType": "Patient", "id": of, "name": [{"family": "Doe", "given": ["Anna"]}], "birthDate": "1970-01-01"}
    return [patient, visit, *notes] if full else [patient]


@pytest.fixture(scope="module")
def hospital(house: House, operator: str) -> House:
    for resource in (*chart("full", full=True), *chart("empty", full=False)):
        house.put(resource, operator)
    return house


def page(client: Client, path: str, status: int = 200) -> str:
    answer = client.get(path)
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "<script" not in answer.text
    assert " style=" not in answer.text
    return answer.text


def csrf(text: str) -> str:
    return re.findall(r'name="csrf" value="([^"]+)"', text)[0]


def opened(client: Client, of: str = "full", **form: str) -> TestResponse:
    token = csrf(page(client, f"/ehr/patients/{of}/emergency"))
    return client.post(f"/ehr/patients/{of}/emergency", data={"csrf": token, **SAID, **form})


@pytest.mark.conformance("Access", "break-glass page: who does not treat sees that a chart is closed, and the same whatever is in it")
def test_a_closed_chart_says_that_it_is_closed_and_nothing_of_what_is_in_it(hospital: House) -> None:
    jon = hospital.browser("clinician", "Practitioner/jon")
    full, empty = (re.sub(r"full|empty|[\w-]{43}", "", page(jon, f"/ehr/patients/{of}")) for of in ("full", "empty"))
    assert full == empty
    assert "This chart is closed to you" in full
    assert "Open it in an emergency" in full
    assert not [word for word in ("note", "Encounters", "iframe", "No condition to see") if word in full]
    own = page(hospital.browser("clinician", "Practitioner/ada"), "/ehr/patients/full")
    assert "Emergency note" in own
    assert "closed to you" not in own
    assert 'href="/ehr/patients/full/emergency"' in own


@pytest.mark.conformance("Access", "break-glass page: with a reason the chart opens for minutes, every page says so, and it closes when asked to")
def test_with_a_reason_the_chart_opens_and_closes_again(hospital: House) -> None:
    jon = hospital.browser("clinician", "Practitioner/jon")
    answer = opened(jon)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/ehr/patients/full")
    text = page(jon, "/ehr/patients/full")
    assert "Emergency note" in text
    assert "Psychiatry note" in text
    assert re.search(r"This chart is open to you for 15 min more, until \d\d:\d\d UTC", text)
    assert '<meta http-equiv="refresh" content="90' in text
    assert "Emergency access" in page(jon, "/ehr/patients")
    assert "closed to you" in page(jon, "/ehr/patients/empty")
    other = hospital.browser("clinician", "Practitioner/jon")
    assert "closed to you" in page(other, "/ehr/patients/full")
    assert "Emergency access" not in page(other, "/ehr/patients")
    ended = jon.post("/ehr/patients/full/emergency/end", data={"csrf": csrf(text)})
    assert (ended.status_code, ended.headers["Location"]) == (303, "/ehr/patients/full")
    assert "closed to you" in page(jon, "/ehr/patients/full")
    assert "Emergency access" not in page(jon, "/ehr/patients")


@pytest.mark.conformance("Access", "break-glass page: it is recorded with its reason, what is read follows as an emergency, and the privacy officer finds it with the words")
def test_the_privacy_officer_finds_it_with_the_reason(hospital: House) -> None:
    kim = hospital.browser("clinician", "Practitioner/kim")
    assert opened(kim, code="PUBHLTH").status_code == 303
    page(kim, "/ehr/patients/full")
    (record,) = hospital.records(interaction="break-glass", outcome="0", reason=f"PUBHLTH: {SAID['reason']}")
    assert (record["patients"], record["subject"]["user"], record["subject"]["purpose"]) == (["Patient/full"], "Practitioner/kim", "BTG")
    assert [each for each in hospital.records(interaction="read") if each["subject"]["user"] == "Practitioner/kim" and each["subject"]["purpose"] == "BTG"]
    found = hospital.browser("privacy-officer", "Practitioner/officer").get("/privacy").text
    rows = [row for row in found.split("<tr>") if "Practitioner/kim" in row and "break-glass" in row]
    assert len(rows) == 1
    assert "PUBHLTH: Found &lt;b&gt;unconscious&lt;/b&gt; in the hall." in rows[0]


@pytest.mark.conformance("Attacks", "61: no reason, a blank reason or an unlisted code opens nothing on the page either, and a form of another session neither")
def test_without_a_reason_or_the_own_form_nothing_opens(hospital: House) -> None:
    jon = hospital.browser("clinician", "Practitioner/jon")
    for wrong in ({"code": "HRESCH"}, {"code": ""}, {"reason": "  "}, {"reason": "x" * 501}):
        answer = opened(jon, **wrong)
        assert answer.status_code == 400
        assert 'role="alert"' in answer.text
    kept = opened(jon, reason="<i>words</i>", code="HRESCH").text
    assert "&lt;i&gt;words&lt;/i&gt;</textarea>" in kept
    for path in ("/ehr/patients/full/emergency", "/ehr/patients/full/emergency/end"):
        assert jon.post(path, data=SAID).status_code == 403
        assert jon.post(path, data={"csrf": "x", **SAID}).status_code == 403
        assert Client(hospital.wsgi).post(path, data=SAID).status_code == 401
    assert jon.get("/ehr/patients/full/emergency/end").status_code == 405
    assert "closed to you" in page(jon, "/ehr/patients/full")
    assert opened(jon, "full", code="TREAT").status_code == 303
    assert jon.get("/ehr/patients/nobody/emergency").status_code == 404


@pytest.mark.conformance("Attacks", "64: who does not treat finds no such page, and is recorded")
@pytest.mark.parametrize("role", ["billing-administrator", "coder", "privacy-officer", "researcher"])
def test_who_does_not_treat_finds_no_such_page(hospital: House, role: str) -> None:
    somebody = hospital.browser(role, f"Practitioner/{role}")
    for of in ("full", "nobody"):
        assert somebody.get(f"/ehr/patients/{of}/emergency").status_code == 403
    assert "In an emergency" not in somebody.get("/ehr/patients/full").text
    found = [each for each in hospital.records(outcome="4") if each["subject"]["role"] == role]
    assert len(found) >= 2
