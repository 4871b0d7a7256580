"""Pieces of HTTP."""

import io
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from prometheus_client import CollectorRegistry

from chartloop.kernel.broker import Group
from chartloop.kernel.broker_table import TableBus
from chartloop.kernel.db import Database
from chartloop.kernel.errors import TooLarge, Unauthenticated
from chartloop.kernel.gauges import StoreCollector
from chartloop.kernel.health import database_check, health_blueprint
from chartloop.kernel.http import API_HEADERS, bearer_token, cors_headers, read_body, request_id, with_common_headers
from chartloop.kernel.metrics import METRICS, Metrics
from chartloop.kernel.outbox import Outbox


def test_a_bearer_token_is_taken_from_its_header() -> None:
    assert bearer_token({"HTTP_AUTHORIZATION": "Bearer abc.DEF-1_2~3+4/5=="}) == "abc.DEF-1_2~3+4/5=="
    assert bearer_token({"HTTP_AUTHORIZATION": "bearer abc"}) == "abc"


@pytest.mark.parametrize("header", ["", "Basic YTpi", "Bearer", "Bearer a b", "Bearer a,b", "Bearer ü"])
def test_anything_else_is_unauthenticated(header: str) -> None:
    with pytest.raises(Unauthenticated):
        bearer_token({"HTTP_AUTHORIZATION": header})


@pytest.mark.conformance("Attacks", "77: a request id with line ends is replaced")
def test_a_harmless_request_id_is_kept_and_another_is_replaced() -> None:
    assert request_id({"HTTP_X_REQUEST_ID": "abc-1"}) == "abc-1"
    assert len(request_id({"HTTP_X_REQUEST_ID": "a\r\nSet-Cookie: x"})) == 36
    assert len(request_id({})) == 36


def test_a_body_is_read_whole() -> None:
    assert read_body({"CONTENT_LENGTH": "5", "wsgi.input": io.BytesIO(b"hello, more")}, 10) == b"hello"
    assert read_body({"wsgi.input": io.BytesIO(b"chunked")}, 10) == b"chunked"


@pytest.mark.conformance("Attacks", "93: a body that is too large is refused whatever its length says")
@pytest.mark.parametrize("length", ["11", None, "", "x"])
def test_a_body_that_is_too_large_is_refused_whatever_its_length_says(length: str | None) -> None:
    environ = {"CONTENT_LENGTH": length, "wsgi.input": io.BytesIO(b"x" * 11)}
    with pytest.raises(TooLarge, match="larger than 10 bytes"):
        read_body(environ, 10)


@pytest.mark.conformance("SMART App Launch 2.2", "SMART-2.2.0@17: FHIR endpoints answer registered origins only")
def test_only_a_registered_origin_may_read_answers() -> None:
    assert cors_headers("https://evil.example", ["https://app.example"]) == []
    assert cors_headers("", ["https://app.example"]) == []
    assert ("Access-Control-Allow-Origin", "https://app.example") in cors_headers("https://app.example", ["https://app.example"])


def _call(app: Any, **environ: str) -> tuple[str, dict[str, str], bytes]:
    answer: list[Any] = []
    body = b"".join(app({"REQUEST_METHOD": "GET", **environ}, lambda *args: answer.extend(args)))
    return answer[0], dict(answer[1]), body


def test_every_answer_carries_security_headers_and_its_request_id() -> None:
    def app(_environ: Any, start: Any) -> list[bytes]:
        start("200 OK", [("Content-Type", "text/plain"), ("Cache-Control", "private")])
        return [b"body"]

    status, headers, body = _call(with_common_headers(app), HTTP_X_REQUEST_ID="r1")
    assert (status, body) == ("200 OK", b"body")
    assert headers["Content-Security-Policy"] == API_HEADERS["Content-Security-Policy"]
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert (headers["X-Request-Id"], headers["Cache-Control"], headers["X-Content-Type-Options"]) == ("r1", "private", "nosniff")


@pytest.mark.conformance("SMART App Launch 2.2", "SMART-2.2.0@17: FHIR endpoints answer registered origins only")
def test_a_preflight_is_answered_without_the_application() -> None:
    wrapped = with_common_headers(lambda *_: [], origins=["https://app.example"])
    status, headers, _ = _call(
        wrapped, REQUEST_METHOD="OPTIONS", HTTP_ORIGIN="https://app.example", HTTP_ACCESS_CONTROL_REQUEST_METHOD="PUT"
    )
    assert status == "204 No Content"
    assert "PUT" in headers["Access-Control-Allow-Methods"]
    assert "Authorization" in headers["Access-Control-Allow-Headers"]


@pytest.mark.conformance("FHIR R4: interactions", "CORS: a page reads every header of FHIR's answers, those of the asynchronous pattern too, and sends every header of its requests")
def test_a_page_of_a_registered_origin_may_read_and_send_every_header() -> None:
    said = dict(cors_headers("https://app.example", ["https://app.example"], preflight=True))
    exposed, accepted = (said[f"Access-Control-{name}-Headers"].split(", ") for name in ("Expose", "Allow"))
    read = {"ETag", "Location", "Content-Location", "Last-Modified", "X-Request-Id", "WWW-Authenticate", "X-Progress", "Retry-After", "Expires", "Allow", "Accept-Patch"}
    assert read <= set(exposed)
    sent = {"Accept", "Authorization", "Content-Type", "Content-Encoding", "If-Match", "If-Modified-Since", "If-None-Exist", "If-None-Match", "Prefer", "X-Request-Id"}
    assert sent == set(accepted)


@pytest.mark.parametrize("allowed", ["*", "https://app.example"])
def test_an_answer_allows_an_origin_once(allowed: str) -> None:
    def app(_environ: Any, start: Any) -> list[bytes]:
        start("200 OK", [("Access-Control-Allow-Origin", allowed), ("X-Request-Id", "the application's")])
        return []

    answer: list[Any] = []
    wrapped = with_common_headers(app, origins=["https://app.example"])
    wrapped({"REQUEST_METHOD": "GET", "HTTP_ORIGIN": "https://app.example"}, lambda *args: answer.extend(args))
    assert [value for name, value in answer[1] if name == "Access-Control-Allow-Origin"] == [allowed]
    assert [value for name, value in answer[1] if name == "X-Request-Id"] == ["the application's"]


def test_what_varies_by_origin_varies_by_what_the_application_says_too() -> None:
    def app(_environ: Any, start: Any) -> list[bytes]:
        start("200 OK", [("Vary", "Accept")])
        return []

    answer: list[Any] = []
    wrapped = with_common_headers(app, origins=["https://app.example"])
    wrapped({"REQUEST_METHOD": "GET", "HTTP_ORIGIN": "https://app.example"}, lambda *args: answer.extend(args))
    assert [value for name, value in answer[1] if name == "Vary"] == ["Accept", "Origin"]


@pytest.mark.conformance("HTTP", "readiness names what is not ready; every declared metric is there from the start")
def test_health_readiness_and_metrics_answer(database: Database) -> None:
    bus = TableBus(database)
    bus.subscribe(Group("quiet"))
    database.write(lambda tx: Outbox(bus, b"s").publish(tx, "ResourceCreated", "Claim/1", key="Patient/1"))
    bus.lease("me", {"quiet": 0}, 1)
    metrics = Metrics(CollectorRegistry())
    metrics.registry.register(StoreCollector(database, Path()))
    broken = {"on": False}

    def model() -> None:
        if broken["on"]:
            raise OSError("model file /secret/path is gone")

    app = Flask("test")
    app.register_blueprint(health_blueprint({"database": database_check(database), "model": model}, metrics))
    client = app.test_client()
    assert client.get("/healthz").json == {"status": "ok"}
    assert client.get("/readyz").json == {"ready": True, "checks": {"database": True, "model": True}}
    broken["on"] = True
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json) == (503, {"ready": False, "checks": {"database": True, "model": False}})
    text = client.get("/metrics").text
    assert 'chartloop_events_waiting{consumer="quiet",state="ready"} 1.0' in text
    assert 'chartloop_events_waiting{consumer="quiet",state="parked"} 0.0' in text
    assert 'chartloop_dead_letters{consumer="quiet"} 0.0' in text
    assert "chartloop_audit_unsealed 0.0" in text
    assert 'chartloop_events_behind{consumer="quiet"} 0.0' in text
    exposed = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    of_the_kernel = {name for name in METRICS if name != "chartloop_hl7v2_messages" and not name.startswith("chartloop_payer_")}
    assert of_the_kernel <= exposed, "every declared metric is there from the start; intake and claims add their own"
