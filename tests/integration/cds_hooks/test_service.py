"""The service answers from stored predictions: from what came along, or through the door under the EHR's token."""

from __future__ import annotations

import json
import logging

import pytest

from cds_hooks.discovery import PREFETCH
from tests.integration.cds_hooks.conftest import EHR_PAGE
from tests.unit.cds_hooks.samples import (
    BASE,
    FHIR,
    LIGHTGBM,
    OUTCOME,
    PREVENT,
    RISK,
    authorization,
    bundle,
    call,
    encoded,
    incomplete,
    learned,
    risk,
)

ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
DOCTOR = [{"reference": "Practitioner/1"}]
PATIENTS = [
    {"resourceType": "Patient", "id": "p1", "gender": "female", "generalPractitioner": DOCTOR},
    {"resourceType": "Patient", "id": "p2", "generalPractitioner": DOCTOR},
]


@pytest.fixture
def chart(world):
    """A patient with a prediction of each model, somebody else's, and an assessment that is not ours."""
    other = risk(id="r9", identifier=None, subject={"reference": "Patient/p2"}, prediction=[{"probabilityDecimal": 0.4}])
    foreign = risk(id="r8", identifier=None, method={"coding": [{"system": "https://vendor.example", "code": "falls"}]})
    world.put(*PATIENTS, RISK, learned(identifier=None), other, foreign)
    return world


def with_token(token, **more):
    return {"prefetch": None, "fhirServer": FHIR, "fhirAuthorization": authorization(token), **more}


def refusal(answer, status):
    assert (answer.status_code, answer.mimetype) == (status, "application/json"), answer.data
    return {issue.get("path", ""): issue["text"] for issue in answer.get_json()["issues"]}


@pytest.mark.conformance("CDS Hooks 2.0", "@4-10, @13: discovery answers GET /cds-services with 200 and describes each service by hook, id, title and description")
@pytest.mark.conformance("HTTP", "CDS Hooks discovery answers any origin")
@pytest.mark.conformance("CDS Hooks 2.0", "@29, @36, @55-59: prefetch templates have keys, and tokens of root-level primitive context fields alone")
def test_discovery_describes_the_service(world):
    answer = world.open("GET", "/cds-services")
    assert (answer.status_code, answer.mimetype, answer.headers["Access-Control-Allow-Origin"]) == (200, "application/json", "*")
    [service] = answer.get_json()["services"]
    assert service.pop("usageRequirements")
    assert service.pop("description")
    model = f"{BASE}/CodeSystem/risk-model"
    assert service == {
        "hook": "patient-view",
        "id": "stroke-risk",
        "title": "Stroke risk",
        "prefetch": {
            "patient": "Patient/{{context.patientId}}",
            "risk": f"RiskAssessment?patient={{{{context.patientId}}}}&method={model}|{PREVENT},{model}|{LIGHTGBM}&_sort=-date&_count=10",
        },
    }


@pytest.mark.conformance("CDS Hooks 2.0", "@58: the templates are searches that this FHIR server answers: the patient's own predictions, newest first")
def test_the_templates_run_against_the_store(chart):
    chart.put(risk(id="r2", identifier=None, occurrenceDateTime="2026-11-21T07:00:00Z"))
    type_, _, query = PREFETCH["risk"].replace("{{context.patientId}}", "p1").partition("?")
    page = chart.repository.search(chart.operator, type_, query)
    assert ([stored.id for stored in page.entries], page.next) == (["r1", "r2"], None)
    assert chart.repository.read(chart.operator, *PREFETCH["patient"].replace("{{context.patientId}}", "p1").split("/")).id == "p1"


@pytest.mark.conformance("CDS Hooks 2.0", "@74: a success is 200 with a cards array")
@pytest.mark.conformance("CDS Hooks 2.0", "@34: predictions come by prefetch or from the FHIR server, and make the same cards")
def test_prefetch_and_store_make_the_same_cards(chart):
    stored = chart.cards(**with_token(chart.token()))
    assert [card["source"]["topic"]["code"] for card in stored] == [LIGHTGBM, PREVENT]
    page = chart.repository.search(chart.operator, "RiskAssessment", PREFETCH["risk"].replace("{{context.patientId}}", "p1").partition("?")[2])
    assert chart.cards(prefetch={"risk": bundle(*(each.json() for each in page.entries))}) == stored


@pytest.mark.parametrize(
    ("prefetch", "cards", "read"),
    [
        (None, 2, True),
        ({}, 2, True),
        ({"patient": PATIENTS[0]}, 2, True),
        ({"risk": OUTCOME}, 2, True),
        ({"risk": bundle(RISK, following=True)}, 2, True),
        ({"risk": bundle(RISK, OUTCOME)}, 2, True),
        ({"risk": None}, 0, False),
        ({"risk": bundle()}, 0, False),
        ({"risk": bundle(RISK)}, 1, False),
        ({"risk": bundle(RISK), "patient": OUTCOME}, 1, False),
        ({"risk": bundle(RISK), "patient": {**PATIENTS[0], "deceasedBoolean": True}}, 0, False),
    ],
)
@pytest.mark.conformance("Card", "missing, null, OperationOutcome and paginated prefetch work")
@pytest.mark.conformance("CDS Hooks 2.0", "@41-52: what prefetch did not satisfy is read from the FHIR server; null and a whole Bundle are final")
def test_what_prefetch_lacks_is_read_through_the_door(chart, prefetch, cards, read):
    assert len(chart.cards(**with_token(chart.token(), prefetch=prefetch))) == cards
    assert [record["interaction"] for record in chart.records()] == (["search"] if read else [])


@pytest.mark.conformance("Attacks", "96: without prefetch or rights it is 412")
@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"prefetch": None}, "prefetch.risk"),
        ({"prefetch": {}}, "prefetch.risk"),
        ({"prefetch": {"risk": OUTCOME}}, "prefetch.risk"),
        ({"prefetch": {"risk": bundle(following=True)}}, "prefetch.risk"),
        ({"prefetch": None, "fhirServer": FHIR}, "prefetch.risk"),
        ({"prefetch": None, "fhirServer": "http://169.254.169.254/fhir", "fhirAuthorization": authorization("t")}, "fhirServer"),
        ({"prefetch": None, "fhirServer": f"{FHIR}.elsewhere.example", "fhirAuthorization": authorization("t")}, "fhirServer"),
        ({"prefetch": None, "fhirServer": FHIR, "fhirAuthorization": authorization("t")}, "fhirAuthorization.access_token"),
    ],
)
@pytest.mark.conformance("CDS Hooks 2.0", "@54: required data that can neither be read nor came along is 412")
@pytest.mark.conformance("Attacks", "60: fhirServer on another host is never called")
@pytest.mark.conformance("Card", "a call without fhirAuthorization has no rights beyond its prefetch")
def test_without_prefetch_or_rights_it_is_412(chart, changes, path):
    assert path in refusal(chart.ask(**changes), 412)
    reads = [record for record in chart.records() if record["outcome"] == "0"]
    assert reads == []


def test_the_first_page_stands_where_the_next_cannot_be_read(chart):
    assert len(chart.cards(prefetch={"risk": bundle(RISK, following=True)})) == 1
    assert len(chart.cards(**with_token("unknown", prefetch={"risk": bundle(RISK, following=True)}))) == 1


@pytest.mark.conformance("CDS Hooks 2.0", "@54, @61: a token that is expired or revoked cannot read: 412 that names it, and an audit record")
def test_an_expired_token_is_412_and_audited(chart, fake_clock):
    token = chart.token(ttl_s=60)
    assert len(chart.cards(**with_token(token))) == 2
    fake_clock.advance(61)
    assert "fhirAuthorization.access_token" in refusal(chart.ask(**with_token(token)), 412)
    read, refused = chart.records()
    assert [(each["subject"]["user"], each["patients"]) for each in chart.shown()] == [("Practitioner/1", ["Patient/p1"])]
    assert (read["outcome"], read["patients"], read["subject"]["user"]) == ("0", ["Patient/p1"], "Practitioner/1")
    assert (refused["outcome"], refused["reason"], refused["subject"]["id"]) == ("4", "unauthenticated", "anonymous")
    assert token not in json.dumps([read, refused])


@pytest.mark.parametrize(
    ("subject", "status"),
    [
        ({"scopes": ("user/Patient.rs",)}, 412),
        ({"scopes": ()}, 412),
        ({"scopes": ("patient/RiskAssessment.rs",), "patient": "Patient/p2"}, 200),
    ],
)
@pytest.mark.conformance("Attacks", "60: a CDS call reads nothing beyond the scopes and the patient of its token")
def test_the_scopes_and_the_patient_of_the_token_hold(chart, subject, status):
    answer = chart.ask(**with_token(chart.token(**subject)))
    assert answer.status_code == status
    if status == 412:
        assert "fhirAuthorization.scope" in refusal(answer, 412)
    else:
        assert answer.get_json() == {"cards": []}


def test_a_token_restricted_to_another_patient_is_a_mistake_of_the_caller(chart):
    changes = with_token(chart.token(), fhirAuthorization=authorization(chart.token(), patient="p2"))
    assert "fhirAuthorization.patient" in refusal(chart.ask(**changes), 400)
    assert chart.records() == []


@pytest.mark.parametrize("role", ["billing-administrator", "researcher"])
@pytest.mark.conformance("Attacks", "60: who may not see RiskAssessments gets no card by asking the service")
def test_who_may_not_see_predictions_gets_no_card(chart, role):
    answer = chart.ask(**with_token(chart.token(role)))
    assert (answer.status_code, b"stroke" in answer.data) == (412, False)


@pytest.mark.conformance("Attacks", "29: a labelled prediction makes no card for who may not see it, and the answer is as if there were none")
def test_a_labelled_prediction_answers_as_if_there_were_none(chart):
    chart.put({**RISK, "meta": {"security": [{"system": ACT, "code": "PSY"}]}}, {**learned(identifier=None), "meta": {"security": [{"system": ACT, "code": "PSY"}]}})
    hidden = chart.ask(**with_token(chart.token()))
    nothing = chart.ask(**with_token(chart.token(), context={"userId": "Practitioner/1", "patientId": "nobody"}))
    assert (hidden.status_code, hidden.data) == (nothing.status_code, nothing.data) == (200, b'{"cards":[]}\n')
    assert len(chart.cards(**with_token(chart.token("psychiatric-clinician")))) == 2


def test_a_prediction_in_the_store_that_cannot_be_read_is_left_out_and_logged_by_place(world, caplog):
    broken = risk(id="r7", identifier=None, occurrenceDateTime=None)
    world.put(*PATIENTS, broken, learned(identifier=None))
    with caplog.at_level(logging.WARNING):
        cards = world.cards(**with_token(world.token()))
    assert [card["source"]["topic"]["code"] for card in cards] == [LIGHTGBM]
    [line] = [record for record in caplog.records if getattr(record, "action", "") == "cds.unreadable"]
    assert (line.place, "p1" in line.getMessage()) == ("RiskAssessment.occurrenceDateTime", False)


@pytest.mark.conformance("Card", "stale or absent: an info card or none, never a wait; nothing is computed")
@pytest.mark.conformance("CDS Hooks 2.0", "@77: without decision support the answer is 200 with an empty array")
def test_absent_stale_and_incomplete_predictions(world, fake_clock):
    world.put(*PATIENTS)
    token = world.token(ttl_s=10**9)
    assert world.cards(**with_token(token)) == []
    world.put(incomplete())
    [card] = world.cards(**with_token(token))
    assert "not recorded: HDL cholesterol, smoking status" in card["summary"]
    world.put(RISK)
    fake_clock.advance(366 * 86_400)
    [card] = world.cards(**with_token(token))
    assert ("too old to be shown" in card["summary"], card["indicator"]) == (True, "info")


@pytest.mark.conformance("Card", "no LightGBM card without a local validation record; its card names the source of its labels")
def test_without_a_local_validation_record_the_learned_model_is_silent(chart):
    chart.validated.clear()
    assert [card["source"]["topic"]["code"] for card in chart.cards(**with_token(chart.token()))] == [PREVENT]


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status"),
    [
        ("POST", "/cds-services/stroke-risk", b"{", {}, 400),
        ("POST", "/cds-services/stroke-risk", b"", {}, 400),
        ("POST", "/cds-services/stroke-risk", call(hook="order-sign"), {}, 400),
        ("POST", "/cds-services/stroke-risk", call(context={"userId": "Practitioner/1", "patientId": "p\x00"}), {}, 400),
        ("POST", "/cds-services/stroke-risk", b" " * 200_001, {}, 413),
        ("POST", "/cds-services/stroke-risk", call(), {"Content-Type": "text/plain"}, 415),
        ("POST", "/cds-services/stroke-risk", call(), {"Content-Encoding": "gzip"}, 415),
        ("POST", "/cds-services/heart-risk", call(), {}, 404),
        ("GET", "/cds-services/heart-risk", None, {}, 404),
        ("POST", "/cds-services/heart-risk/feedback", {"feedback": []}, {}, 404),
        ("GET", "/cds-services/stroke-risk", None, {}, 405),
        ("DELETE", "/cds-services/stroke-risk/feedback", None, {}, 405),
    ],
)
@pytest.mark.conformance("CDS Hooks 2.0", "@1, @16: a service is called with JSON by POST {base}/cds-services/{id}; what is no call is refused in JSON")
def test_what_is_no_call_is_refused_in_json(world, method, path, body, headers, status):
    assert refusal(world.open(method, path, body, **headers), status)


@pytest.mark.conformance("Attacks", "60: a prefetched RiskAssessment of another patient than the one in context is refused with its path")
def test_a_prediction_of_another_patient_is_refused_and_not_quoted(world):
    answer = world.ask(prefetch={"risk": bundle(RISK, risk(id="secret-id", subject={"reference": "Patient/p2"}))})
    assert refusal(answer, 400) == {"prefetch.risk.entry[1].resource.subject.reference": "This is another patient than context.patientId."}
    assert b"p2" not in answer.data
    assert b"secret-id" not in answer.data


@pytest.mark.parametrize("text", ["x" * 150_000, "\u202e\u0007<script>alert(1)</script>\n| a | b |\n", "😀" * 10_000])
def test_text_of_any_size_and_kind_makes_a_small_card(world, text):
    changed = risk(code={"text": text})
    [card] = world.cards(prefetch={"risk": bundle(changed)})
    assert len(card["summary"]) < 140
    assert len(json.dumps(card)) < 6_000
    assert "<script" not in card["detail"]


@pytest.mark.parametrize("path", ["/cds-services", "/cds-services/stroke-risk", "/cds-services/stroke-risk/feedback"])
@pytest.mark.conformance("CDS Hooks 2.0", "@208: pages of registered origins may call the service, others may not")
def test_pages_of_registered_origins_may_call_all_routes(world, path):
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    allowed = world.open("OPTIONS", path, Origin=EHR_PAGE, **asked)
    assert (allowed.status_code, allowed.headers["Access-Control-Allow-Origin"]) == (204, EHR_PAGE)
    foreign = world.open("OPTIONS", path, Origin="https://elsewhere.example", **asked)
    assert "Access-Control-Allow-Origin" not in foreign.headers
    assert world.open("OPTIONS", path).status_code in (200, 204)
    if path == "/cds-services/stroke-risk":
        answer = world.open("POST", path, call(), Origin=EHR_PAGE)
        assert answer.headers.get_all("Access-Control-Allow-Origin") == [EHR_PAGE]


def test_a_failure_of_the_program_answers_500_and_quotes_nothing(world, caplog, monkeypatch):
    monkeypatch.setattr("cds_hooks.stroke_risk.read_prefetch", lambda _: {}["Ada Lovelace"])
    with caplog.at_level(logging.ERROR):
        answer = world.ask()
    assert refusal(answer, 500) == {"": "Something went wrong inside; nothing more is known."}
    assert "Lovelace" not in caplog.text


def test_the_token_and_the_patient_stand_in_no_log(chart, caplog):
    token = chart.token()
    with caplog.at_level(logging.DEBUG):
        chart.cards(**with_token(token))
        chart.open("POST", "/cds-services/stroke-risk", encoded(call(fhirServer="x", fhirAuthorization=authorization(token)))[:-1])
    assert token not in caplog.text
