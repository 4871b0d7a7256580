"""Whatever stands in the headers and in the query of a request, it is answered or refused: no 500, and an answer of the format it says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conformance.opened import opened
from tests.integration.fhir_server.test_http import PATIENT, Api

WORDS = st.sampled_from([
    "application/fhir+json", "application/fhir+xml", "application/json", "text/xml", "*/*", "application/*", "text/html", "xml", "json", "ttl", ";", ",", "q=", "0.5", "1", "=", '"',
    " ", "fhirVersion=4.0", "fhirVersion=5.0", "charset=utf-8", "charset=latin-1", "return=minimal", "handling=lenient", "respond-async", "gzip", "br", "W/", '"1"', "*", "é", "\t",
])  # fmt: skip
TEXT = st.lists(WORDS | st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=5), max_size=8).map("".join)
NAMES = ("Accept", "Content_Type", "Prefer", "Accept_Encoding", "Content_Encoding", "If_Match", "If_None_Match", "If_Modified_Since", "If_None_Exist", "X_Request_Id", "Origin")
QUERIES = st.builds(
    "{}={}".format, st.sampled_from(["_format", "_filter", "near", "_sort", "_count", "_elements", "_include", "_has:Provenance:target:agent", "family", "_lastUpdated", "_pretty"]), TEXT.map(quote),
)  # fmt: skip
BODIES = st.one_of(st.just(json.dumps(PATIENT).encode()), st.just(b'<Patient xmlns="http://hl7.org/fhir"/>'), st.binary(max_size=40))


@pytest.fixture(scope="module")
def api(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A store with one patient; what is tested stands before the database."""
    with opened(request, "sqlite", tmp_path_factory.mktemp("headers")) as store:
        api = Api(store)
        api("PUT", "/fhir/Patient/p", {**PATIENT, "id": "p"})
        yield api


@pytest.mark.conformance("Attacks", "any Accept, Content-Type, Prefer, precondition, _format, _filter or near is answered or refused in a format that the answer names; never 500")
@settings(max_examples=120, deadline=None)
@given(
    headers=st.dictionaries(st.sampled_from(NAMES), TEXT, max_size=4), query=QUERIES | st.just(""), body=BODIES,
    place=st.sampled_from([("GET", "Patient"), ("GET", "Patient/p"), ("GET", "Location"), ("POST", "Patient"), ("POST", "Patient/_search"), ("PATCH", "Patient/p"), ("POST", ""), ("GET", "metadata"), ("OPTIONS", "Patient")]),
)  # fmt: skip
def test_any_header_is_answered(api: Api, headers: dict[str, str], query: str, body: bytes, place: tuple[str, str]) -> None:
    method, path = place
    answer = api(method, f"/fhir/{path}?{query}" if query else f"/fhir/{path}", body if method in ("POST", "PATCH") else None, **headers)
    assert answer.status_code < 500, (answer.status_code, answer.data[:300])
    if not answer.data or answer.headers.get("Content-Encoding"):
        return
    kind = answer.headers["Content-Type"]
    assert answer.data.startswith(b"<?xml" if "xml" in kind else b"{"), kind
    if "json" in kind:
        json.loads(answer.data)
