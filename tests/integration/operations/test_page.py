"""The operators' page: who sees it, what stands on it, what its forms do; and that no patient is on it."""

from __future__ import annotations

import re

import pytest

from chartloop.kernel.http import PAGE_HEADERS
from tests.integration.operations.conftest import Operated

ROLE = "system-operator"


def text_of(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def csrf_of(page: str) -> str:
    return re.findall(r'name="csrf" value="([^"]+)"', page)[0]


@pytest.mark.conformance("Operations", "the operations page shows lag, oldest age, depth, retries, dead letters, holds, breakers and jobs, to whom the policies let see it")
def test_the_page_shows_how_the_system_is(operated: Operated) -> None:
    operated.give_up("Observation/mrn-4711")
    operated.hold("Observation/held-9")
    answer = operated.browser(ROLE).get("/operations")
    assert answer.status_code == 200, answer.text
    rows = [text_of(row).strip() for row in answer.text.split("<tr>")]
    assert any(re.match(r"predictions 0 0 1 \d+ (\d+ s|–|\d+ min) 7 \d+", row) for row in rows), rows
    for words in ("OSError in 8 attempts", "P2 open", "P1 closed", "P3 half-open", "telemetry every 1 h failed", "OSError, 1 in a row", "claims-drafts every 1 h done", "daily at 03:10 Europe/Berlin"):
        assert any(words in row for row in rows), (words, rows)
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
    assert answer.headers["Cache-Control"] == PAGE_HEADERS["Cache-Control"]
    assert "<script" not in answer.text
    assert "style=" not in answer.text


@pytest.mark.conformance("Operations", "no patient is on the operations page: of a resource its type alone, of a key the start of its hash, of an error its kind")
def test_no_patient_is_on_the_page(operated: Operated) -> None:
    operated.give_up("Patient/mrn-4711")
    answer = operated.browser(ROLE).get("/operations")
    assert "Patient" in text_of(answer.text)
    assert not re.search(r"(?<!\d)4711|held-9|Müller|1980", answer.text)


@pytest.mark.parametrize(
    ("role", "status"),
    [(ROLE, 200), ("operator", 200), ("clinician", 403), ("auditor", 403), ("privacy-officer", 403), ("patient", 403), ("researcher", 403), ("billing-administrator", 403)],
)
def test_only_operators_are_let_in_and_each_look_is_recorded(operated: Operated, role: str, status: int) -> None:
    number = f"look-{role}"
    answer = operated.browser(role).get("/operations", headers={"X-Request-Id": number})
    assert (answer.status_code, "Dead letters" in answer.text) == (status, status == 200)
    [record] = operated.records(request=number)
    assert (record["interaction"], record["outcome"], record["targets"], record["patients"]) == ("operations-read", "0" if status == 200 else "4", ["operations"], [])


def test_who_is_not_signed_in_is_asked_to_enter(operated: Operated) -> None:
    answer = operated.ask("GET", "/operations", number="stranger")
    assert (answer.status_code, "Dead letters" in answer.text) == (401, False)
    assert [record["outcome"] for record in operated.records(request="stranger")] == ["4"]
    assert operated.ask("GET", "/operations", operated.token(ROLE)).status_code == 401, "a page is for people with a session"


@pytest.mark.conformance("Access", "the role that watches the system reads no patient's record")
@pytest.mark.parametrize("type_", ["Patient", "Observation", "Claim", "Task", "AuditEvent", "Provenance", "Encounter", "DocumentReference"])
def test_the_role_reads_no_record(operated: Operated, type_: str) -> None:
    answer = operated.ask("GET", f"/fhir/{type_}", operated.token(ROLE))
    assert answer.status_code == 403 or answer.json["total"] == 0
    assert operated.browser(ROLE).get("/privacy").status_code == 403
    assert operated.browser(ROLE).get("/omop/").status_code in (403, 404)
    assert operated.browser(ROLE).get("/ehr/").headers["Location"] == "/operations"


@pytest.mark.conformance("Operations", "a dead letter is retried or dropped by a button, recorded in the same commit with who did it")
@pytest.mark.parametrize(("decision", "interaction"), [("retry", "dead-letter-retried"), ("drop", "dead-letter-dropped")])
def test_a_dead_letter_is_decided_on(operated: Operated, decision: str, interaction: str) -> None:
    letter, number = operated.give_up(f"Observation/{decision}"), f"decide-{decision}"
    client = operated.browser(ROLE, "Practitioner/77")
    page = client.get("/operations").text
    assert f'action="/operations/{decision}/{letter}"' in page
    answer = client.post(f"/operations/{decision}/{letter}", data={"csrf": csrf_of(page)}, headers={"X-Request-Id": number})
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/operations?done={decision}")
    assert letter not in client.get(answer.headers["Location"]).text
    [record] = operated.records(request=number)
    assert (record["interaction"], record["targets"], record["subject"]["user"]) == (interaction, [f"dead-letter/{letter}"], "Practitioner/77")
    assert client.post(f"/operations/{decision}/{letter}", data={"csrf": csrf_of(page)}).status_code == 404


@pytest.mark.conformance("Operations", "a job is run, paused and resumed by a button, recorded with who did it")
def test_a_job_is_run_paused_and_resumed(operated: Operated) -> None:
    client = operated.browser(ROLE, "Practitioner/77")
    page = client.get("/operations").text
    for decision, interaction, shown in (("pause", "job-paused", "paused"), ("run", "job-asked", "asked for"), ("resume", "job-resumed", "Pause")):
        number = f"job-{decision}"
        assert client.post(f"/operations/{decision}/forget-audit", data={"csrf": csrf_of(page)}, headers={"X-Request-Id": number}).status_code == 303
        assert [(each["interaction"], each["targets"]) for each in operated.records(request=number)] == [(interaction, ["job/forget-audit"])]
        assert shown in next(row for row in client.get("/operations").text.split("<tr>") if "forget-audit" in row)
    assert client.post("/operations/run/no-such-job", data={"csrf": csrf_of(page)}).status_code == 404
    assert client.post("/operations/burn/forget-audit", data={"csrf": csrf_of(page)}).status_code == 404


@pytest.mark.conformance("Operations", "a form that is not of the session, or of who may not decide, does nothing and is recorded")
@pytest.mark.parametrize(("role", "sent"), [(ROLE, ""), (ROLE, "wrong"), ("clinician", "own"), ("privacy-officer", "own")])
def test_a_form_of_somebody_else_does_nothing(operated: Operated, role: str, sent: str) -> None:
    letter, number = operated.give_up(f"Observation/form-{role}-{sent}"), f"form-{role}-{sent}"
    client = operated.browser(role)
    row = operated.kernel.database.one("SELECT csrf FROM ehr_session ORDER BY opened DESC LIMIT 1")
    own = str(row[0]) if sent == "own" and row else sent
    answer = client.post(f"/operations/drop/{letter}", data={"csrf": own}, headers={"X-Request-Id": number})
    assert answer.status_code == 403
    assert operated.kernel.dead_letters.show(letter)
    assert [(each["interaction"], each["outcome"]) for each in operated.records(request=number)] == [("operate", "4")]


def test_nothing_is_done_by_a_link(operated: Operated) -> None:
    letter = operated.give_up("Observation/link")
    assert operated.browser(ROLE).get(f"/operations/drop/{letter}").status_code == 405
    assert operated.kernel.dead_letters.show(letter)


def test_the_page_refreshes_itself_only_where_somebody_wants_that(operated: Operated) -> None:
    client = operated.browser(ROLE)
    assert "http-equiv" not in client.get("/operations").text
    assert '<meta http-equiv="refresh" content="15">' in client.get("/operations?refresh=15").text
    assert "http-equiv" not in client.get("/operations?refresh=0").text
