"""Every address, with every method, leaves a record of every request, or stands in the list of those that need none."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

import pytest
from werkzeug.routing import Rule
from werkzeug.test import Client

from chartloop.audited import PUBLIC, needs_none
from chartloop.kernel.metrics import Metrics
from chartloop.web import build_routes
from smart_apps.explainer.routes import explainer_routes
from smart_apps.explainer.settings import explainer
from tests.integration.audit.conftest import HOME, House

METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")
PARTS = {"type_": "Patient", "id_": "p1", "version": "1", "wanted": "Observation", "job": "x", "path": "Nonsense/x", "service": "stroke-risk", "model": "none", "vendor": "shimmer", "name": "person", "filename": "ehr.css"}
SEVERAL = re.compile(r"^/ehr/|^/intake/|^/fhir/?$|^/cds-services/")
"""Where one request is made of several interactions: a page of the chart, a Bundle, a card, readings of a device."""


def _address(rule: Rule) -> str:
    return re.sub(r"<(?:[a-z]+:)?(\w+)>", lambda part: PARTS.get(part[1], "x"), rule.rule)


def _addresses(house: House) -> list[str]:
    app, _, _ = build_routes(house.kernel, house.door.repository, Metrics())
    return sorted({_address(rule) for rule in app.url_map.iter_rules()} | {"/nowhere", "/fhir/Patient/p1/_history/x", "/ehr"})


@pytest.mark.long
@pytest.mark.conformance("Audit", "every address with every method leaves a record of the request, or is listed with the reason why it needs none")
@pytest.mark.conformance("Attacks", "76: HEAD, OPTIONS, 304, 404, denied and malformed requests are all recorded")
@pytest.mark.parametrize("role", ["", "operator"])
def test_every_address_leaves_a_record_or_needs_none(house: House, role: str) -> None:
    token = house.token(role) if role else ""
    asked: dict[str, tuple[str, str, int]] = {}
    for at, path in enumerate(_addresses(house)):
        for method in METHODS:
            number = f"walk-{role}-{at}-{method}"
            answer = house.ask(method, path, token, number)
            asked[number] = (method, path, answer.status_code)
            assert answer.status_code != 500, (method, path)
    left = Counter(record["request"] for record in house.records())
    for number, (method, path, status) in asked.items():
        if needs_none(method, path, status):
            assert left[number] == 0, (method, path, status)
        else:
            assert left[number] == 1 or (left[number] > 1 and SEVERAL.search(path)), (method, path, status, left[number])


@pytest.mark.conformance("Audit", "an address that needs no record says why, and holds nothing of anybody")
def test_an_address_that_needs_no_record_says_why() -> None:
    assert all(len(reason) > 10 for reason in PUBLIC.values())
    assert needs_none("GET", "/fhir/metadata", 200)
    for method, path, status in (("POST", "/fhir/metadata", 200), ("GET", "/fhir/metadata", 404), ("GET", "/fhir/Patient", 200), ("GET", "/fhir/metadata/../Patient/1", 200), ("GET", "/ehr/patients", 200)):
        assert not needs_none(method, path, status)


@pytest.mark.conformance("Attacks", "76: HEAD, OPTIONS, 304, 404, denied and malformed requests are all recorded")
@pytest.mark.parametrize(
    ("method", "path", "more", "status", "said"),
    [
        ("HEAD", "/fhir/Patient/p1", {}, 200, ("read", "0", "")),
        ("GET", "/fhir/Patient/p1", {"headers": {"If-None-Match": 'W/"1"'}}, 304, ("read", "0", "")),
        ("GET", "/fhir/Patient/absent", {}, 404, ("read", "4", "not-found")),
        ("GET", "/fhir/Patient?nonsense=1", {}, 400, ("search", "4", "invalid")),
        ("POST", "/fhir/Patient", {"data": b"{", "content_type": "application/fhir+json"}, 400, ("create", "4", "invalid")),
        ("OPTIONS", "/fhir/Patient", {}, 204, ("request", "0", "")),
        ("OPTIONS", "/fhir/Patient", {"headers": {"Origin": "https://x.example", "Access-Control-Request-Method": "GET"}}, 204, ("request", "0", "")),
        ("PUT", "/fhir/Patient", {"data": b"{}", "content_type": "application/fhir+json"}, 405, ("read", "4", "method-not-allowed")),
        ("GET", "/omop/tables/nonsense", {}, 403, ("omop-read", "4", "forbidden")),
        ("GET", "/nowhere", {}, 404, ("request", "4", "HTTP 404")),
    ],
)
def test_what_gets_little_or_nothing_is_recorded_once(house: House, operator: str, method: str, path: str, more: dict[str, Any], status: int, said: tuple[str, str, str]) -> None:
    house.put({"resourceType": "Patient", "id": "p1", "active": True}, operator)
    number = f"once-{method}-{status}-{len(more.get('headers', {}))}-{len(path)}"
    answer = house.ask(method, path, operator, number, **more)
    assert answer.status_code == status
    [record] = house.records(request=number)
    assert (record["interaction"], record["outcome"], record["reason"]) == said
    assert record["origin"] == HOME


@pytest.mark.conformance("Audit", "an anonymous call of a CDS service that is refused is recorded")
@pytest.mark.parametrize(("path", "body", "status"), [("/cds-services/stroke-risk", b"{", 400), ("/cds-services/none", b"{}", 404), ("/cds-services/stroke-risk/feedback", b"{}", 400), ("/oauth/token", b"grant_type=nonsense", 401), ("/ehr/patients", b"", 405)])
def test_an_anonymous_refusal_is_recorded(house: House, path: str, body: bytes, status: int) -> None:
    number = f"anonymous-{path.strip('/').replace('/', '-')}"
    answer = house.ask("POST", path, number=number, data=body, content_type="application/json")
    assert answer.status_code // 100 == status // 100 == 4
    [record] = house.records(request=number)
    assert (record["interaction"], record["outcome"], record["subject"]["id"]) == ("request", "4", "anonymous")
    assert record["targets"] == [f"POST {path}"]


def test_a_record_holds_no_ticket_code_or_token(house: House) -> None:
    house.ask("GET", "/ehr/enter?ticket=very-secret-ticket", number="ticket")
    house.ask("GET", "/oauth/authorize?code=very-secret-code&launch=very-secret-launch", number="code")
    assert "very-secret" not in json.dumps([*house.records(request="ticket"), *house.records(request="code")])


def test_a_page_that_is_refused_names_who_was_signed_in(house: House) -> None:
    house.browser("clinician", "Practitioner/9").post("/ehr/leave", data={"csrf": "wrong"}, headers={"X-Request-Id": "csrf"})
    [record] = house.records(request="csrf")
    assert (record["outcome"], record["subject"]["user"]) == ("4", "Practitioner/9")


def test_a_number_that_is_in_flight_already_is_not_taken_over(house: House, operator: str) -> None:
    requests = house.kernel.audit.requests
    assert requests.begin("twin", HOME) == "twin"
    try:
        answer = house.ask("GET", "/nowhere", operator, "twin")
    finally:
        requests.end("twin")
    assert answer.headers["X-Request-Id"] != "twin"
    assert len(house.records(request=answer.headers["X-Request-Id"])) == 1


@pytest.mark.conformance("Attacks", "77: line breaks, zeros, text that runs backwards and an endless user agent put no line into the audit log")
@pytest.mark.parametrize("path", ["/fhir/Patient/%0d%0aX", "/fhir/Nonsense%00x/y", "/%e2%80%ae/x", "/" + "a" * 5000, "/ehr/%1b[2J"])
def test_an_address_cannot_write_into_the_log(house: House, operator: str, path: str) -> None:
    number = f"inject-{abs(hash(path))}"
    house.ask("GET", path, operator, number, headers={"User-Agent": "Mozilla\u00a0" + "x" * 1_000_000})
    [record] = house.records(request=number)
    assert all(len(target) <= 210 for target in record["targets"])
    house.sealer.seal()
    with house.kernel.database.read() as session:
        assert session.one("SELECT count(*) FROM audit_head") is not None


@pytest.mark.conformance("Attacks", "76: a client that goes away has its record: it was durable before the first byte")
def test_a_client_that_goes_away_has_its_record(house: House, operator: str) -> None:
    client = Client(house.wsgi)
    answer = client.get("/fhir/Patient", headers={"Authorization": f"Bearer {operator}", "X-Request-Id": "gone-away"}, buffered=False)
    answer.close()  # nothing of the body was read
    assert len(house.records(request="gone-away")) == 1


PAGES_OF_APPS = {"/explain/launch", "/explain/callback", "/explain/leave", "/explain/", "/explain/style.css", "/explain"}


def test_the_apps_are_fhir_clients_whose_reading_is_recorded_at_the_server() -> None:
    routes = explainer_routes(explainer("http://127.0.0.1:8501/explain", ("http://127.0.0.1:8080/fhir",)))
    assert {getattr(route, "path", "") for route in routes} == PAGES_OF_APPS
