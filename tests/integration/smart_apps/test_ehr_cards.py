"""The demo EHR as a CDS client: over real HTTP to a service that answers well, late, wrongly or not at all."""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from flask import Flask, Response
from flask.testing import FlaskClient

from chartloop.kernel import auth
from chartloop.kernel.access.engine import Access
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.audit.journal import Audit
from chartloop.kernel.broker_table import TableBus
from chartloop.kernel.db import Database
from chartloop.kernel.errors import Unauthenticated
from chartloop.kernel.outbox import Outbox
from claims import tables as claims_tables  # noqa: F401  (declares what the database fixture makes)
from fhir_server import tables  # noqa: F401  (declares what the database fixture makes)
from fhir_server.labels.service import LabelService
from fhir_server.opening import open_store
from fhir_server.repository import Repository
from smart_apps.assembly import SmartSide, register_explainer, register_review_app, smart_side
from tests.integration.smart_apps.test_ehr import CODER, OPERATOR, csrf, page
from tests.journeys import risk_chart
from tests.journeys.cds_double import CARD_ID, CdsDouble, card, running

ROOT = "http://127.0.0.1:8080"
EXPLAINER = "http://127.0.0.1:8501/explain/launch"
CLINICIAN = replace(CODER, id="user:9", role="clinician", user="Practitioner/9")
CARDS = "/ehr/patients/anna/cards"
PSYCHIATRIC = {
    "resourceType": "Observation",
    "id": "phq9",
    "meta": {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PSY"}]},
    "status": "final",
    "code": risk_chart.concept("http://loinc.org", "44261-6", "PHQ-9 total score"),
    "subject": risk_chart.PATIENT,
    "effectiveDateTime": "2026-11-19T08:00:00Z",
    "valueInteger": 21,
}
OTHER = {"resourceType": "Patient", "id": "bert", "name": [{"family": "Other", "given": ["Bert"]}]}


class Tags(HTMLParser):
    """Which tags and attributes a page really has."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


@pytest.fixture
def database_url(tmp_path: Path) -> str:
    """SQLite alone: what is stored how is not what these tests are about."""
    return f"sqlite:///{tmp_path / 'chartloop.sqlite3'}"


@pytest.fixture
def double() -> Iterator[CdsDouble]:
    with running(CdsDouble()) as served:
        served.launch_url = EXPLAINER
        yield served


Build = Callable[..., SmartSide]


@pytest.fixture
def build(database: Database, tmp_path: Path, double: CdsDouble) -> Build:
    """Put an EHR together over a chart, asking these services."""
    access = Access()
    store = open_store(database, access, Audit(tmp_path), Outbox(TableBus(database), b"s" * 32), LabelService(), secret=b"k" * 32, base=f"{ROOT}/fhir")
    repository = Repository(store)
    written = [*risk_chart.resources(), OTHER, PSYCHIATRIC, risk_chart.versions()[-1]]
    entries = [{"resource": r, "request": {"method": "PUT", "url": f"{r['resourceType']}/{r['id']}"}} for r in written]
    repository.transaction(Scope(OPERATOR, "transaction"), json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries}).encode())
    register_review_app(database, ["http://127.0.0.1:8501"], f"{ROOT}/fhir")
    register_explainer(database, [EXPLAINER], f"{ROOT}/fhir")

    def side(*services: str, deadline_s: float = 5.0) -> SmartSide:
        asked = services or (double.base,)
        return smart_side(database, repository, access, lambda text, limit: [], Audit(tmp_path), base_url=ROOT, keys=tmp_path / "keys", cds_services=asked, cds_deadline_s=deadline_s)

    return side


def entered(side: SmartSide, person: Subject = CLINICIAN) -> FlaskClient:
    app = Flask(__name__)
    for part in side.blueprints:
        app.register_blueprint(part)
    browser = app.test_client()
    answer = browser.get("/ehr/enter", query_string={"ticket": side.sessions.mint_ticket(person, "Ada")})
    assert answer.status_code == 303
    return browser


@pytest.mark.conformance("CDS client", "the EHR shows chart and cards beside it, each in its own request")
def test_the_chart_holds_a_frame_for_the_cards_and_asks_nobody_itself(build: Build, double: CdsDouble) -> None:
    browser = entered(build())
    text = page(browser, "/ehr/patients/anna")
    assert f'src="{CARDS}"' in text
    assert "frame-src 'self'" in browser.get("/ehr/patients/anna").headers["Content-Security-Policy"]
    for shown in ("158/92 mmHg", "1 earlier", "231 mg/dL", "Diabetes mellitus type 2", "amlodipine 5 MG Oral Tablet", "One tablet each morning"):
        assert shown in text, shown
    assert double.calls == []
    assert double.discoveries == 0


@pytest.mark.conformance("CDS client", "a card is shown with summary, detail, source, links and reasons; traffic beside it, the token blanked")
def test_a_card_is_shown_with_its_traffic(build: Build, double: CdsDouble) -> None:
    browser = entered(build())
    text = page(browser, CARDS)
    for shown in ("10-year risk of stroke 5.7 %, beside a baseline of 2.8 %", "<td>Diabetes</td>", "Source: Chartloop stroke risk", "Already addressed", "HTTP 200", "bytes"):
        assert shown in text, shown
    assert re.search(r'<a class="button" href="http://[^"]+/cds-services/models/prevent-stroke-10y" target="_blank" rel="noopener noreferrer">Model label</a>', text)
    token = double.calls[0]["fhirAuthorization"]["access_token"]
    assert len(token) > 30
    assert token not in text
    assert "••••" in text
    policy = browser.get(CARDS).headers["Content-Security-Policy"]
    assert "frame-ancestors 'self'" in policy
    assert "form-action 'self' http://127.0.0.1:8501" in policy


@pytest.mark.conformance("CDS client", "the request holds hook, hookInstance, context, prefetch and a short-lived narrow token of one patient")
def test_the_request_is_what_cds_hooks_wants(build: Build, double: CdsDouble, database: Database) -> None:
    browser = entered(build())
    page(browser, CARDS)
    page(browser, CARDS)
    first, second = double.calls
    assert first["hook"] == "patient-view"
    assert UUID(first["hookInstance"]) != UUID(second["hookInstance"])
    assert first["fhirServer"] == f"{ROOT}/fhir"
    assert first["context"] == {"userId": "Practitioner/9", "patientId": "anna"}
    granted = first["fhirAuthorization"]
    token = granted.pop("access_token")
    assert granted == {"token_type": "Bearer", "expires_in": 120, "scope": "patient/Patient.rs patient/RiskAssessment.rs", "subject": "stroke-risk", "patient": "anna"}
    assert first["prefetch"]["patient"]["id"] == "anna"
    assert first["prefetch"]["risk"]["type"] == "searchset"
    assert [e["resource"]["id"] for e in first["prefetch"]["risk"]["entry"]] == ["anna-stroke"]
    with database.read() as db:
        subject = auth.authenticate(db, token)
    assert (subject.role, subject.patient, subject.scopes) == ("clinician", "Patient/anna", ("patient/Patient.rs", "patient/RiskAssessment.rs"))
    assert double.discoveries == 1  # a minute's cache


@pytest.mark.conformance("Attacks", "60: prefetch gives no more than the person and the one patient")
@pytest.mark.conformance("CDS client", "prefetch gives a service nothing of another patient, nothing labelled, no notes, whatever it asks for")
def test_prefetch_gives_no_more_than_the_person_and_the_one_patient(build: Build, double: CdsDouble) -> None:
    asked = {
        "everybody": "Patient?_count=100",
        "other": "Patient/bert",
        "observations": "Observation?_count=100",
        "psychiatric": "Observation/phq9",
        "notes": "DocumentReference?patient={{context.patientId}}",
        "claims": "Claim?patient={{context.patientId}}",
        "broken": "Observation?nonsense=1",
        "encounter": "Encounter/{{context.encounterId}}",
    }
    double.services = {"services": [{"hook": "patient-view", "id": "stroke-risk", "description": "x", "prefetch": asked}, {"hook": "order-sign", "id": "y", "description": "z"}]}
    page(entered(build()), CARDS)
    (call,) = double.calls
    found = call["prefetch"]
    assert [e["resource"]["id"] for e in found["everybody"]["entry"]] == ["anna"]
    assert found["other"] is None
    assert found["psychiatric"] is None
    assert {e["resource"]["id"] for e in found["observations"]["entry"]} == {"bp-1", "bp-2", "pulse", "chol", "egfr"}
    assert set(found) == {"everybody", "other", "psychiatric", "observations"}
    assert call["fhirAuthorization"]["scope"] == "patient/Encounter.rs patient/Observation.rs patient/Patient.rs"


def _text(body: str, status: int = 200, kind: str = "application/json") -> Response:
    return Response(body, status, content_type=kind)


@pytest.mark.conformance("CDS client", "a slow, failing or lying service shows one sentence and never breaks the chart")
@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (lambda call: _text("no", 500), "It answered with HTTP 500."),
        (lambda call: _text("no", 401), "It answered with HTTP 401."),
        (lambda call: _text("", 302, "text/html"), "It answered with HTTP 302."),
        (lambda call: _text("<html>"), "Its answer is no JSON."),
        (lambda call: _text("[" * 100_000), "Its answer is no JSON."),
        (lambda call: _text(" " * 300_000), "It answered with more than 256 kB."),
        (lambda call: {"cards": "many"}, "The answer holds no list of cards."),
        (lambda call: {"cards": []}, "no card for this patient"),
        (lambda call: {"cards": [card(EXPLAINER, "r", "https://c.example") | {"summary": "x" * 200}]}, "its summary is longer than 139 characters."),
    ],
)
def test_a_service_that_misbehaves_is_a_sentence(build: Build, double: CdsDouble, answer: Any, sentence: str) -> None:
    double.answer = answer
    browser = entered(build())
    text = page(browser, CARDS)
    assert sentence in text
    assert text.count('class="empty"') == 1
    assert "158/92" in page(browser, "/ehr/patients/anna")


@pytest.mark.conformance("CDS client", "a service that hangs is given up at the deadline; the cards of others are shown")
def test_a_service_that_hangs_holds_up_neither_the_chart_nor_the_cards_of_others(build: Build, double: CdsDouble) -> None:
    with running(CdsDouble()) as slow:
        slow.wait_s = 3
        browser = entered(build(slow.base, double.base, deadline_s=1.0))
        text = page(browser, CARDS)
        assert "Stroke risk: It did not answer within 1 s. The chart is complete without it." in text or "It was too slow." in text
        assert "10-year risk of stroke 5.7 %" in text
        assert "no answer" in text
        slow.wait_s = 0


def test_a_service_that_is_not_there_is_a_sentence(build: Build) -> None:
    text = page(entered(build("http://127.0.0.1:9", "not a url")), CARDS)
    assert text.count("It could not be reached.") == 2


def test_a_discovery_that_lies_is_a_sentence(build: Build, double: CdsDouble) -> None:
    double.services = {"services": "all"}
    browser = entered(build())
    assert "Its discovery holds no list of services." in page(browser, CARDS)
    double.services = {"services": [{"hook": "patient-view", "id": "../evil"}, {"hook": "patient-view", "id": "x" * 65}, 7, {"hook": "patient-view", "id": "stroke-risk", "prefetch": {"a": 7}}]}
    page(browser, CARDS)
    assert [call["prefetch"] for call in double.calls] == [{}]
    assert "fhirAuthorization" not in double.calls[0]  # who declares nothing gets no token


@pytest.mark.conformance("Attacks", "97: markup in a card stays text or is cleaned away")
def test_markup_in_a_card_can_do_nothing(build: Build, double: CdsDouble) -> None:
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    bad = card(EXPLAINER, "r", "https://c.example") | {"summary": f"{evil}"[:130], "detail": f"{evil}\n\n[x](javascript:alert(1)) ![p](https://e.example/p.png)"}
    bad["source"]["label"] = evil
    bad["overrideReasons"] = [{"code": evil, "display": evil}]
    double.answer = lambda call: {"cards": [bad]}
    text = page(entered(build()), CARDS)
    found = Tags()
    found.feed(text)
    assert not {"script", "img", "svg"} & found.tags
    assert not {name for name in found.attributes if name.startswith("on") or name == "style"}
    assert 'href="javascript' not in text


@pytest.mark.conformance("CDS client", "a smart link launches the app with iss and launch; the app gets appContext with its token")
def test_a_smart_link_launches_the_app_with_its_context(build: Build, double: CdsDouble, database: Database) -> None:
    browser = entered(build())
    text = page(browser, CARDS)
    form = {"csrf": csrf(text), "app": "chartloop-explainer", "patient": "anna", "app_context": '{"riskAssessment": "anna-stroke"}'}
    for name, value in form.items():
        assert f'name="{name}" value="{value}"'.replace('"riskAssessment": "anna-stroke"', "&#34;riskAssessment&#34;: &#34;anna-stroke&#34;") in text
    assert 'target="_top"' in text
    answer = browser.post("/ehr/launch", data=form)
    assert answer.status_code == 303
    assert answer.headers["Location"].startswith(f"{EXPLAINER}?iss=http%3A%2F%2F127.0.0.1%3A8080%2Ffhir&launch=")
    with database.read() as db:
        (context,) = db.all("select context from smart_launch")
    kept = {name: value for name, value in json.loads(context[0]).items() if value}
    assert kept == {"patient": "anna", "app_context": '{"riskAssessment": "anna-stroke"}', "need_patient_banner": True}
    assert browser.post("/ehr/launch", data={**form, "csrf": "guessed"}).status_code == 403
    assert browser.post("/ehr/launch", data={**form, "patient": "unknown"}).status_code == 404
    assert browser.post("/ehr/launch", data={**form, "app_context": "x" * 2001}).status_code == 400


@pytest.mark.conformance("CDS client", "a card that is set aside sends feedback with the reason")
def test_a_card_that_is_set_aside_sends_feedback(build: Build, double: CdsDouble) -> None:
    browser = entered(build())
    text = page(browser, CARDS)
    form = {"csrf": csrf(text), "base": double.base, "service": "stroke-risk", "card": CARD_ID, "patient": "anna", "code": "wrong-data", "system": "s", "display": "Wrong data"}
    answer = browser.post("/ehr/cards/feedback", data=form)
    assert answer.status_code == 200
    assert "The service was told: Wrong data." in answer.get_data(as_text=True)
    assert "frame-ancestors 'self'" in answer.headers["Content-Security-Policy"]
    (sent,) = double.feedback[0]["feedback"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", sent.pop("outcomeTimestamp"))
    assert sent == {"card": CARD_ID, "outcome": "overridden", "overrideReason": {"reason": {"code": "wrong-data", "system": "s", "display": "Wrong data"}}}
    assert browser.post("/ehr/cards/feedback", data={**form, "csrf": "guessed"}).status_code == 403
    assert browser.post("/ehr/cards/feedback", data={**form, "base": "https://evil.example"}).status_code == 404
    assert browser.post("/ehr/cards/feedback", data={**form, "service": "other"}).status_code == 404
    assert browser.post("/ehr/cards/feedback", data={**form, "code": ""}).status_code == 400
    assert len(double.feedback) == 1
    double.feedback_status = 500
    refused = browser.post("/ehr/cards/feedback", data=form).get_data(as_text=True)
    assert "Your reason was not taken." in refused
    assert "It answered with HTTP 500." in refused


@pytest.mark.conformance("CDS client", "who sees cards follows from rights: who reads estimates and writes observations")
@pytest.mark.parametrize(("role", "sees"), [("clinician", True), ("psychiatric-clinician", True), ("coder", False), ("billing-administrator", False), ("researcher", False)])
def test_who_sees_cards_follows_from_rights(build: Build, double: CdsDouble, role: str, sees: bool) -> None:
    browser = entered(build(), replace(CLINICIAN, role=role))
    chart = browser.get("/ehr/patients/anna")
    assert (b"iframe" in chart.data) is sees
    assert browser.get(CARDS).status_code == (200 if sees else 403)
    assert bool(double.calls) is sees


def test_cards_want_a_session_a_person_and_a_patient_who_is_there(build: Build, double: CdsDouble) -> None:
    side = build()
    browser = entered(side)
    assert page(browser, "/ehr/patients/unknown/cards", 404)
    assert entered(side, replace(CLINICIAN, user="")).get(CARDS).status_code == 403
    browser.delete_cookie("chartloop_ehr")
    answer = browser.get(CARDS)
    assert answer.status_code == 401
    assert "frame-ancestors 'self'" in answer.headers["Content-Security-Policy"]
    assert double.calls == []


def test_leaving_the_ehr_ends_the_tokens_of_services(build: Build, double: CdsDouble, database: Database) -> None:
    browser = entered(build())
    text = page(browser, CARDS)
    assert browser.post("/ehr/leave", data={"csrf": csrf(text)}).status_code == 200
    with database.read() as db, pytest.raises(Unauthenticated):
        auth.authenticate(db, double.calls[0]["fhirAuthorization"]["access_token"])
