"""Every answer is counted by interaction, and no path becomes a label."""

import pytest

from chartloop.kernel.metrics import INTERACTIONS, Metrics
from chartloop.measured import interaction_of, measured
from ingest.metrics import MessageCollector


@pytest.mark.parametrize(
    ("method", "path", "interaction"),
    [
        ("GET", "/fhir/Patient/1", "read"),
        ("HEAD", "/fhir/Patient/1", "read"),
        ("GET", "/fhir/Patient/1/_history/2", "vread"),
        ("GET", "/fhir/Patient/1/_history", "history"),
        ("GET", "/fhir/_history", "history"),
        ("GET", "/fhir/Patient", "search"),
        ("POST", "/fhir/Patient/_search", "search"),
        ("POST", "/fhir/Patient", "create"),
        ("PUT", "/fhir/Patient/1", "update"),
        ("DELETE", "/fhir/Patient/1", "delete"),
        ("POST", "/fhir", "bundle"),
        ("POST", "/fhir/", "bundle"),
        ("GET", "/ehr/", "page"),
        ("POST", "/cds-services/stroke-risk", "card"),
        ("GET", "/cds-services", "other"),
        ("POST", "/cds-services/stroke-risk/feedback", "other"),
        ("GET", "/metrics", "other"),
        ("PATCH", "/fhir/Patient/1", "patch"),
        ("OPTIONS", "/fhir/Patient/1", "other"),
    ],
)
def test_a_request_is_counted_as_its_interaction(method, path, interaction):
    assert interaction_of(method, path) == interaction
    assert interaction in INTERACTIONS


def test_an_answer_is_counted_with_its_status():
    metrics = Metrics()

    def app(environ, start_response):
        start_response("404 Not Found", [])
        return [b""]

    measured(app, metrics)({"REQUEST_METHOD": "GET", "PATH_INFO": "/fhir/Patient/secret-name"}, lambda *_: None)
    text = metrics.render().decode()
    assert 'chartloop_http_requests_total{interaction="read",status="404"} 1.0' in text
    assert "secret-name" not in text


def test_messages_are_counted_by_state_zeroes_included(database):
    [family] = MessageCollector(database).collect()
    assert family.name == "chartloop_hl7v2_messages"
    assert family.samples
    assert {sample.value for sample in family.samples} == {0.0}
