"""Which format an answer has, which methods an address takes, and gzip in both directions: literal headers in and out."""

from __future__ import annotations

import gzip
import json
import tracemalloc
import zlib

import pytest

from tests.integration.fhir_server.test_http import PATIENT, Api, api  # noqa: F401  (a fixture)

JSON_ANSWER, XML_ANSWER = "application/fhir+json; charset=utf-8", "application/fhir+xml; charset=utf-8"


@pytest.mark.conformance("FHIR R4: interactions", "Accept with weights and wildcards and _format choose JSON or XML; _format goes first; neither answers 406")
@pytest.mark.parametrize(
    ("accept", "query", "answered"),
    [
        ("", "", JSON_ANSWER),
        ("*/*", "", JSON_ANSWER),
        ("application/*", "", JSON_ANSWER),
        ("application/fhir+xml", "", XML_ANSWER),
        ("application/xml", "", XML_ANSWER),
        ("text/xml", "", XML_ANSWER),
        ("application/json", "", JSON_ANSWER),
        ("application/fhir+xml, application/fhir+json", "", XML_ANSWER),
        ("application/fhir+json, application/fhir+xml", "", JSON_ANSWER),
        ("application/fhir+json;q=0.5, application/fhir+xml;q=0.9", "", XML_ANSWER),
        ("application/fhir+xml; q=0.5, */*", "", JSON_ANSWER),
        ("application/fhir+json;q=0, */*", "", XML_ANSWER),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "", JSON_ANSWER),
        ("application/fhir+json;q=0, application/fhir+xml;q=0", "", ""),
        ("application/fhir+json;q=x", "", ""),
        ("text/html", "", ""),
        ("application/fhir+xml;fhirVersion=4.0", "", "application/fhir+xml; charset=utf-8; fhirVersion=4.0"),
        ("application/fhir+json; fhirVersion=4.0.1", "", "application/fhir+json; charset=utf-8; fhirVersion=4.0.1"),
        ("application/fhir+json; fhirVersion=3.0", "", ""),
        ("application/fhir+json; fhirVersion=5.0, application/fhir+xml; fhirVersion=4.0;q=0.1", "", "application/fhir+xml; charset=utf-8; fhirVersion=4.0"),
        ("application/fhir+json", "_format=xml", XML_ANSWER),
        ("application/fhir+xml", "_format=json", JSON_ANSWER),
        ("text/html", "_format=json", JSON_ANSWER),
        ("", "_format=application/fhir+xml", XML_ANSWER),
        ("", "_format=application/fhir%2Bxml", XML_ANSWER),
        ("", "_format=text/xml", XML_ANSWER),
        ("", "_format=html", ""),
        ("x," * 2000 + "application/fhir+xml", "", XML_ANSWER),
    ],
)  # fmt: skip
def test_the_format_is_the_one_that_is_preferred(api: Api, accept: str, query: str, answered: str) -> None:  # noqa: F811
    headers = {"Accept": accept} if accept else {}
    api("PUT", "/fhir/Patient/p1", {**PATIENT, "id": "p1"})
    for path in ("Patient/p1", "Patient/p1/_history/1", "Patient", "_history", "Patient/none", "metadata", "Patient/p1/$everything", "Patient/p1/$meta"):
        answer = api("GET", f"/fhir/{path}?{query}", **headers)
        assert (answer.status_code == 406) == (not answered), path
        assert answer.headers["Content-Type"] == (answered or JSON_ANSWER), path
        assert answer.headers["Vary"] == "Accept, Accept-Encoding", path
        assert answer.data.startswith(b"<?xml" if "xml" in answered else b"{"), path


@pytest.mark.conformance("FHIR R4: interactions", "_format and _pretty count in the form of POST _search, and page links repeat them")
def test_the_form_of_a_search_chooses_its_format_too(api: Api) -> None:  # noqa: F811
    for number in range(3):
        api("PUT", f"/fhir/Patient/p{number}", {**PATIENT, "id": f"p{number}"})
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    answer = api("POST", "/fhir/Patient/_search", b"_format=xml&_count=2", Accept="application/fhir+json", **form)
    assert answer.headers["Content-Type"] == XML_ANSWER
    assert b"_format=xml" in answer.data
    assert api("POST", "/fhir/Patient/_search", b"_format=ttl", **form).status_code == 406
    assert b'\n  "type"' in api("POST", "/fhir/Patient/_search", b"_pretty=true", **form).data
    assert b"\n  <type " in api("GET", "/fhir/Patient?_format=xml&_pretty=true").data
    page = json.loads(api("GET", "/fhir/Patient?_format=json&_count=2").data)
    following = next(link["url"] for link in page["link"] if link["relation"] == "next").removeprefix("http://127.0.0.1:8080")
    assert api("GET", following).headers["Content-Type"] == JSON_ANSWER
    page = json.loads(api("GET", "/fhir/Patient/_history?_count=2&_pretty=true").data)
    assert "_pretty=true" in page["link"][1]["url"]


@pytest.mark.conformance("FHIR R4: interactions", "405 says in Allow what the address takes, OPTIONS says it too, with Accept-Patch; a 415 of PATCH has Accept-Patch")
def test_a_method_that_is_not_taken_is_answered_with_those_that_are(api: Api) -> None:  # noqa: F811
    instance, patches = "GET, HEAD, PUT, PATCH, DELETE, OPTIONS", "application/json-patch+json, application/fhir+json, application/fhir+xml"
    for method, path, allow in [
        ("POST", "Patient/p1", instance),
        ("PUT", "Patient/p1/_history", "GET, HEAD, OPTIONS"),
        ("DELETE", "Patient/p1/_history/1", "GET, HEAD, OPTIONS"),
        ("DELETE", "Patient", "GET, HEAD, POST, OPTIONS"),
        ("PUT", "Patient", "GET, HEAD, POST, OPTIONS"),
        ("POST", "Patient?name=x", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
        ("POST", "_history", "GET, HEAD, OPTIONS"),
        ("GET", "Patient/_search", "POST, OPTIONS"),
        ("PUT", "", "GET, HEAD, POST, OPTIONS"),
        ("POST", "metadata", "GET, HEAD, OPTIONS"),
    ]:
        answer = api(method, f"/fhir/{path}", *([PATIENT] if method in ("PUT", "POST") else []))
        if answer.status_code != 404 and (method, path) != ("POST", "Patient?name=x"):
            assert (answer.status_code, answer.headers["Allow"]) == (405, allow), path
        asked = api("OPTIONS", f"/fhir/{path}", role="")
        assert (asked.status_code, asked.data) == (204, b"")
        assert ("PATCH" in asked.headers["Allow"]) == ("Accept-Patch" in asked.headers) == (path.partition("?")[0] in ("Patient", "Patient/p1"))
    assert api("OPTIONS", "/fhir/Patient/p1", role="").headers["Allow"] == instance
    assert api("OPTIONS", "/fhir/Patient/p1", role="").headers["Accept-Patch"] == patches
    assert api("OPTIONS", "/fhir/Patient/p1/$meta", role="").headers["Allow"] == "GET, HEAD, POST, OPTIONS"
    refused = api("PATCH", "/fhir/Patient/p1", b"<diff/>", Content_Type="application/xml-patch+xml")
    assert (refused.status_code, refused.headers["Accept-Patch"], refused.headers["Accept-Encoding"]) == (415, patches, "gzip")
    weight = {"resourceType": "Observation", "id": "o1", "status": "final", "code": {"text": "weight"}}
    unmade = api("PUT", "/fhir/Observation/o1", weight, role="clinician")
    assert (unmade.status_code, unmade.headers["Allow"]) == (405, "GET, HEAD, PATCH, DELETE, OPTIONS")


@pytest.mark.conformance("HTTP", "answers of 1,400 bytes and more are gzipped for who takes it; tags are weak, so they stay; Vary says what decides")
def test_large_answers_are_gzipped_for_who_takes_it(api: Api) -> None:  # noqa: F811
    large = {**PATIENT, "id": "p1", "name": [{"text": "Smith " * 400}]}
    api("PUT", "/fhir/Patient/p1", large)
    api("PUT", "/fhir/Patient/small", {**PATIENT, "id": "small"})
    plain = api("GET", "/fhir/Patient/p1")
    for accept in ("application/fhir+json", "application/fhir+xml"):
        whole = api("GET", "/fhir/Patient/p1", Accept=accept)
        packed = api("GET", "/fhir/Patient/p1", Accept=accept, Accept_Encoding="br;q=1.0, gzip;q=0.8")
        assert (packed.headers["Content-Encoding"], gzip.decompress(packed.data)) == ("gzip", whole.data)
        assert (packed.headers["ETag"], packed.headers["Vary"]) == (plain.headers["ETag"], plain.headers["Vary"])
        assert len(packed.data) == int(packed.headers["Content-Length"]) < len(whole.data) / 10
        head = api("HEAD", "/fhir/Patient/p1", Accept=accept, Accept_Encoding="gzip")
        assert (head.data, head.headers["Content-Length"], head.headers["Content-Encoding"]) == (b"", packed.headers["Content-Length"], "gzip")
    for coding in ("identity", "gzip;q=0", "gzip; q=0.000", "br", "*;q=0", "gzip;q=0, *"):
        assert "Content-Encoding" not in api("GET", "/fhir/Patient/p1", Accept_Encoding=coding).headers, coding
    for path in ("Patient/p1", "Patient", "metadata", "_history"):
        answer = api("GET", f"/fhir/{path}", Accept_Encoding="*")
        assert gzip.decompress(answer.data) == api("GET", f"/fhir/{path}").data
    assert "Content-Encoding" not in api("GET", "/fhir/Patient/small", Accept_Encoding="gzip").headers
    unchanged = api("GET", "/fhir/Patient/p1", Accept_Encoding="gzip", If_None_Match=plain.headers["ETag"])
    assert (unchanged.status_code, unchanged.headers["Vary"], "Content-Encoding" in unchanged.headers) == (304, plain.headers["Vary"], False)


BODY = json.dumps(PATIENT).encode()
BOMB = gzip.compress(b" " * 500_000_000, 1)


@pytest.mark.conformance("Attacks", "93: a gzipped body is read within the limit")
@pytest.mark.conformance("HTTP", "a gzipped body is unpacked up to the limit of a plain one: 413 beyond it, 400 where it is broken, 415 for other codings and for two")
@pytest.mark.conformance("Attacks", "gzip bombs answer 413 and take no memory")
@pytest.mark.parametrize(
    ("status", "body", "coding"),
    [
        (201, gzip.compress(BODY), "gzip"),
        (201, gzip.compress(BODY), "X-GZIP"),
        (201, BODY, "identity"),
        (201, gzip.compress(BODY[:20]) + gzip.compress(BODY[20:]), "gzip"),
        (400, BODY, "gzip"),
        (400, b"", "gzip"),
        (400, gzip.compress(BODY)[:-1], "gzip"),
        (400, gzip.compress(BODY)[:12], "gzip"),
        (400, gzip.compress(BODY)[:-8] + b"12345678", "gzip"),
        (400, gzip.compress(BODY) + b"rest", "gzip"),
        (400, zlib.compress(BODY), "gzip"),
        (413, gzip.compress(BODY + b" " * 20_000), "gzip"),
        (413, gzip.compress(b" " * 10_000) * 3, "gzip"),
        (413, BOMB[:19_999], "gzip"),
        (413, BOMB, "gzip"),
        (415, gzip.compress(gzip.compress(BODY)), "gzip, gzip"),
        (415, zlib.compress(BODY), "deflate"),
        (415, BODY, "zstd"),
        (415, BODY, "br, gzip"),
    ],
    ids=range(19),
)
def test_a_gzipped_body_is_read_within_the_limit(api: Api, status: int, body: bytes, coding: str) -> None:  # noqa: F811
    tracemalloc.start()
    answer = api("POST", "/fhir/Patient", body, Content_Encoding=coding)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert answer.status_code == status, answer.data
    assert peak < 10_000_000
    if status != 201:
        assert json.loads(answer.data)["resourceType"] == "OperationOutcome"
    if status == 415:
        assert answer.headers["Accept-Encoding"] == "gzip"


@pytest.mark.conformance("FHIR R4: interactions", "a body says its format, charset and FHIR version: another charset or version answers 415")
@pytest.mark.parametrize(
    ("status", "said"),
    [
        (201, "application/fhir+json"), (201, "application/json; charset=UTF-8"), (201, 'text/json; charset="utf-8"; fhirVersion=4.0'), (201, "APPLICATION/FHIR+JSON;fhirversion=4.0.1"),
        (415, "application/fhir+json; fhirVersion=3.0"), (415, "application/fhir+json; charset=utf-16"), (415, "text/plain"), (415, "multipart/form-data"), (415, ""),
    ],
)  # fmt: skip
def test_a_body_is_taken_by_its_content_type(api: Api, status: int, said: str) -> None:  # noqa: F811
    assert api("POST", "/fhir/Patient", BODY, Content_Type=said).status_code == status


@pytest.mark.conformance("HTTP", "gzip and XML together: a gzipped XML body is stored, and its answer is gzipped XML")
def test_gzip_and_xml_work_together(api: Api) -> None:  # noqa: F811
    body = f'<Patient xmlns="http://hl7.org/fhir"><name><text value="{"Smith " * 400}"/></name></Patient>'.encode()
    made = api("POST", "/fhir/Patient", gzip.compress(body), Content_Encoding="gzip", Content_Type="application/fhir+xml", Accept="application/fhir+xml", Accept_Encoding="gzip")
    assert (made.status_code, made.headers["Content-Encoding"]) == (201, "gzip")
    assert b"<text value=" in gzip.decompress(made.data)
