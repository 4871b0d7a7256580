"""One trace from an HTTP request over its events to the call of the payer."""

import re

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from werkzeug.test import Client

from chartloop.kernel.errors import Invalid
from chartloop.kernel.events import Event
from chartloop.kernel.otel import OpenTelemetry, open_tracer
from chartloop.kernel.settings_sections import TracingSettings
from chartloop.kernel.tracing import Untold, set_tracer, span
from chartloop.kernel.worker import Later
from chartloop.traced import traced
from fhir_server.http.calls import Gate, Limits
from fhir_server.wsgi import fhir_wsgi
from tests.integration.claims.faults_payer import WirePayer
from tests.integration.claims.world import OPERATOR

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
BASE = "http://127.0.0.1:8080/fhir"


@pytest.fixture
def wire(world):
    payer = WirePayer()
    world.payer(address=payer.address)
    world.people()
    world.charge(1)
    yield payer
    payer.stop()


@pytest.fixture
def spans():
    exporter = InMemorySpanExporter()
    tracer = OpenTelemetry(SimpleSpanProcessor(exporter))
    before = set_tracer(tracer)
    yield exporter
    set_tracer(before)
    tracer.close()


def finish_visit(world, headers):
    """The request that lets a claim go: the encounter is finished."""
    wsgi = traced(fhir_wsgi(Gate(world.repository, lambda _token: OPERATOR, BASE, Limits())))
    encounter = {
        "resourceType": "Encounter", "id": "enc", "status": "finished", "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
        "subject": {"reference": "Patient/pat"}, "period": {"start": "2026-11-20T09:00:00Z", "end": "2026-11-20T11:00:00Z"},
    }  # fmt: skip
    answer = Client(wsgi).put("/fhir/Encounter/enc", json=encounter, content_type="application/fhir+json", headers={"Authorization": "Bearer x", "X-Request-Id": "visit-1", **headers})
    assert answer.status_code == 201, answer.text


@pytest.mark.conformance("Operations", "a trace goes from the HTTP request over its events to the payer, who gets its id as traceparent; the request's id stays with the events")
def test_the_trace_of_a_request_reaches_the_payer(world, wire):
    world.worker.start()
    assert world.worker.idle(20), "what was set up is worked off"
    finish_visit(world, {"traceparent": f"00-{TRACE}-{PARENT}-01"})
    world.until(lambda: wire.received)
    [header] = wire.parents
    assert re.fullmatch(f"00-{TRACE}-[0-9a-f]{{16}}-01", header)
    assert PARENT not in header
    with world.db.read() as session:
        [(kept,)] = session.all("SELECT trace FROM event WHERE subject = 'Encounter/enc'")
    assert re.fullmatch(rf"visit-1 00-{TRACE}-[0-9a-f]{{16}}-01", kept)


@pytest.mark.conformance("Operations", "OpenTelemetry is told of the same trace: http, event, payer, each the parent of the next, with nothing of a patient in it")
def test_opentelemetry_is_told_of_one_trace_without_a_word_of_a_patient(world, wire, spans):
    world.worker.start()
    assert world.worker.idle(20), "what was set up is worked off"
    finish_visit(world, {"traceparent": f"00-{TRACE}-{PARENT}-01"})
    world.until(lambda: wire.received)
    world.worker.stop(5)
    found = {span.context.span_id: span for span in spans.get_finished_spans()}
    ours = [each for each in found.values() if f"{each.context.trace_id:032x}" == TRACE]
    call = next(each for each in ours if each.name == "payer" and each.attributes["http.request.method"] == "POST")
    way = []
    each = call
    while each is not None:
        way.append((each.name, each.kind, each.attributes.get("chartloop.consumer", "")))
        each = found.get(each.parent.span_id) if each.parent else None
    assert way[0] == ("payer", SpanKind.CLIENT, "")
    assert way[1] == ("event", SpanKind.CONSUMER, "claims-sending")
    assert set(way[2:-1]) == {("event", SpanKind.CONSUMER, "claims-assembly")}
    assert way[-1] == ("http", SpanKind.SERVER, "")
    assert wire.parents == [f"00-{TRACE}-{call.context.span_id:016x}-01"]
    server = next(span for span in ours if span.name == "http")
    assert dict(server.attributes) == {"http.request.method": "PUT", "chartloop.interaction": "update", "http.response.status_code": 201}
    assert f"{server.parent.span_id:016x}" == PARENT
    everything = " ".join(each.to_json() for each in found.values())
    assert not re.search(r"Patient|\bpat\b|Müller|Zoë|M123|Encounter/|enc\b|Claim/", everything)


def test_a_failure_is_told_by_its_kind_alone(spans):
    with pytest.raises(ValueError, match="Anna"), span("event"):
        raise ValueError("Müller, Anna")
    [told] = spans.get_finished_spans()
    assert (told.status.status_code, dict(told.attributes), told.events, told.status.description) == (StatusCode.ERROR, {"error.type": "ValueError"}, (), None)


def test_a_payer_that_is_not_there_is_a_span_that_failed(world, spans):
    from claims.interchange_store import add_interchange

    world.payer(address="http://127.0.0.1:1/payers/P1")
    world.db.write(lambda tx: add_interchange(tx, "out", "P1", "000000001", "1", "837P", "queued", "P1/CHARTLOOP-000000001", b"ISA"))
    with pytest.raises(Later):
        world.sending.handle(Event("e1", "InterchangeQueued", "interchange/1", 0, "k", "", 0), lambda _tx: None)
    [told] = [each for each in spans.get_finished_spans() if each.name == "payer"]
    assert (told.attributes["error.type"], told.attributes["server.address"]) == ("NotReached", "127.0.0.1")


def test_a_share_of_the_traces_is_told_and_the_callers_decision_is_kept():
    exporter = InMemorySpanExporter()
    tracer = OpenTelemetry(SimpleSpanProcessor(exporter), share=0.0)
    before = set_tracer(tracer)
    try:
        from chartloop.kernel.tracing import read

        with span("new") as active:
            assert not active.context.sampled
        with span("asked", parent=read(f"00-{TRACE}-{PARENT}-01")) as active:
            assert active.context.sampled
        with span("refused", parent=read(f"00-{TRACE}-{PARENT}-00")) as active:
            assert (active.context.trace, active.context.sampled) == (TRACE, False)
    finally:
        set_tracer(before)
        tracer.close()
    assert [each.name for each in exporter.get_finished_spans()] == ["asked"]


def test_a_collector_without_the_extra_is_refused_with_what_to_do(monkeypatch):
    import sys

    assert isinstance(open_tracer(TracingSettings()), Untold)
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(Invalid, match=r"pip install 'chartloop\[otel\]'"):
        open_tracer(TracingSettings(otlp_url="http://127.0.0.1:4318/v1/traces"))
