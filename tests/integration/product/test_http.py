"""What a user, a careless client or an attacker sends over HTTP: a clear answer, nothing stored, nothing given away."""

import gzip
import json

import httpx
import pytest

from chartloop.demo.fhir_client import FhirClient

PATIENT = {"resourceType": "Patient", "name": [{"family": "Hardening", "given": ["Probe"]}], "gender": "female"}
JSON = {"Content-Type": "application/fhir+json"}


@pytest.fixture
def operator(shared_clinic) -> FhirClient:
    return shared_clinic.as_role("operator")


@pytest.fixture
def anonymous(shared_clinic) -> FhirClient:
    return FhirClient(shared_clinic.demo.fhir_base, "")


def issues(response: httpx.Response) -> list[dict]:
    """Issues of an OperationOutcome; nothing else is an answer to what went wrong."""
    assert response.headers["Content-Type"] == "application/fhir+json; charset=utf-8"
    assert "Traceback" not in response.text
    body = response.json()
    assert body["resourceType"] == "OperationOutcome"
    return body["issue"]


def told(response: httpx.Response) -> str:
    return json.dumps(issues(response))


@pytest.mark.conformance("The loop", "6 Access: no token answers 401")
@pytest.mark.parametrize("path", ["Patient", "Patient/1", "Patient/1/_history/1", "Patient/_history", "_history", "Nonsense/1", "Patient/1/$everything", ""])
@pytest.mark.conformance("SMART 2.2.0", "247: a token is needed for every request of FHIR but for the public descriptions")
@pytest.mark.conformance("HTTP", "without a token every path but metadata and health answers 401 with WWW-Authenticate")
def test_no_token_is_401_on_every_path(anonymous, path):
    response = anonymous.request("GET", path)
    assert (response.status_code, response.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert issues(response)[0]["code"] == "login"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_no_token_is_401_for_every_method(anonymous, method):
    assert anonymous.request(method, "Patient/1", body=b"{}").status_code == 401


@pytest.mark.conformance("HTTP", "a wrong or malformed token answers 401")
@pytest.mark.parametrize("value", ["Bearer nonsense", "Bearer", "bearer x", "Basic dXNlcjpwYXNz", "Bearer a b", "Bearer ' OR 1=1 --", "Bearer é"])
def test_a_wrong_token_is_401(shared_clinic, value):
    response = httpx.get(f"{shared_clinic.demo.fhir_base}/Patient", headers={"Authorization": value.encode()}, trust_env=False)
    assert (response.status_code, response.headers["WWW-Authenticate"]) == (401, "Bearer")


@pytest.mark.conformance("HTTP", "a token in the address is no token")
def test_a_token_in_the_address_is_no_token(shared_clinic, operator):
    response = httpx.get(f"{shared_clinic.demo.fhir_base}/Patient", params={"access_token": operator.token}, trust_env=False)
    assert response.status_code == 401


@pytest.mark.conformance("Command line", "serve answers FHIR at /fhir, CDS Hooks at /cds-services, SMART configuration, /healthz, /readyz and /metrics")
@pytest.mark.conformance("SMART App Launch 2.2", "SMART-2.2.0@372: the configuration is served below the FHIR base address")
@pytest.mark.conformance("HTTP", "metadata, health and metrics answer without a token and hold nothing about patients")
@pytest.mark.parametrize("path", ["fhir/metadata", "healthz", "readyz", "metrics", ".well-known/smart-configuration", "fhir/.well-known/smart-configuration", "cds-services"])
def test_what_is_public_answers_without_a_token(shared_clinic, path):
    response = httpx.get(f"{shared_clinic.demo.server}/{path}", trust_env=False)
    assert response.status_code == 200
    assert not any(person.family in response.text for person in shared_clinic.population.people[:3])


@pytest.mark.conformance("HTTP", "readiness says what was checked: database, schema, writes, disk, keys, bus, worker, terminology, models")
def test_health_and_readiness_say_what_was_checked(shared_clinic):
    ready = httpx.get(f"{shared_clinic.demo.server}/readyz", trust_env=False).json()
    checked = ("stopping", "database", "schema", "writable", "disk", "keys", "bus", "worker", "terminology", "models")
    assert ready == {"ready": True, "checks": dict.fromkeys(checked, True)}
    assert "chartloop" in httpx.get(f"{shared_clinic.demo.server}/metrics", trust_env=False).text


@pytest.mark.conformance("HTTP", "answers carry security headers and the caller's request id")
def test_answers_carry_security_headers_and_the_callers_request_id(operator):
    response = operator.request("GET", "Patient?_count=1", headers={"X-Request-Id": "probe-1"})
    assert response.headers["X-Request-Id"] == "probe-1"
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert operator.request("GET", "Patient?_count=1", headers={"X-Request-Id": "a b\tc"}).headers["X-Request-Id"] != "a b\tc"


@pytest.mark.conformance("Attacks", "100: a foreign or null origin gets no CORS permission")
@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
@pytest.mark.parametrize("path", ["fhir/Patient?_count=1", "fhir/Patient/absent", "fhir/Nonsense", "fhir/_history", "healthz", "metrics", "ehr", "oauth/token"])
def test_a_page_of_a_foreign_origin_gets_no_permission(shared_clinic, operator, origin, path):
    headers = {"Origin": origin, "Authorization": f"Bearer {operator.token}"}
    for method in ("GET", "OPTIONS"):
        asked = {"Access-Control-Request-Method": "GET"} if method == "OPTIONS" else {}
        response = httpx.request(method, f"{shared_clinic.demo.server}/{path}", headers={**headers, **asked}, trust_env=False)
        assert "Access-Control-Allow-Origin" not in response.headers


@pytest.mark.conformance("SMART App Launch 2.2", "SMART-2.2.0@16: metadata and smart-configuration are readable from any origin")
@pytest.mark.parametrize("path", ["fhir/metadata", "fhir/.well-known/smart-configuration", ".well-known/smart-configuration"])
def test_what_every_app_must_know_is_readable_from_any_origin(shared_clinic, path):
    response = httpx.get(f"{shared_clinic.demo.server}/{path}", headers={"Origin": "https://anything.example"}, trust_env=False)
    assert (response.status_code, response.headers.get_list("Access-Control-Allow-Origin")) == (200, ["*"])
    assert "Access-Control-Allow-Credentials" not in response.headers


@pytest.mark.parametrize("content_type", ["", "text/plain", "text/turtle", "application/xml; charset=utf-16", "application/x-www-form-urlencoded", "application/fhir+json; charset=iso-8859-1"])
def test_a_body_of_another_type_is_415(operator, content_type):
    response = operator.request("POST", "Patient", headers={"Content-Type": content_type}, body=None)
    assert response.status_code == 415
    assert "fhir+json" in told(response)


def test_a_client_that_accepts_neither_json_nor_xml_is_406(operator):
    assert operator.request("GET", "Patient", headers={"Accept": "text/turtle"}).status_code == 406


@pytest.mark.conformance("FHIR R4: XML", "the running server takes gzipped XML and answers with gzipped XML")
def test_xml_goes_in_and_comes_out_compressed(operator):
    body = f'<Patient xmlns="http://hl7.org/fhir"><name><text value="{"Meyer " * 500}"/></name></Patient>'.encode()
    said = {"Content-Type": "application/fhir+xml", "Content-Encoding": "gzip", "Accept": "application/fhir+xml", "Accept-Encoding": "gzip"}
    made = httpx.post(f"{operator.base}/Patient", content=gzip.compress(body), headers={**said, "Authorization": f"Bearer {operator.token}"}, trust_env=False)
    assert (made.status_code, made.headers["Content-Encoding"]) == (201, "gzip")
    assert made.content.startswith(b'<?xml version="1.0" encoding="UTF-8"?><Patient xmlns="http://hl7.org/fhir"><id value=')
    assert body.partition(b"<name>")[2] in made.content


@pytest.mark.conformance("What must be real underneath", "FHIR: bad JSON answers 400 and nothing is stored")
@pytest.mark.conformance("HTTP", "bad JSON answers 400 with the place where it breaks")
@pytest.mark.parametrize("body", [b'{"resourceType":"Patient",}', b"{", b"", b"[]", b"null", b'"x"', b'{"resourceType":"Patient"} x', b"\xff\xfe{}", b'{"resourceType":"Patient","id":"a","id":"b"}'])
def test_bad_json_is_400_and_nothing_is_stored(operator, body):
    before = operator.total("Patient")
    response = operator.request("POST", "Patient", body=body, headers=JSON)
    assert response.status_code == 400
    assert issues(response)
    assert operator.total("Patient") == before


def test_bad_json_names_its_position(operator):
    assert "byte 19" in told(operator.request("POST", "Patient", body=b'{"resourceType":   x}'))


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"favouriteColour": "blue"}, "favouriteColour"),
        ({"name": [{"famly": "X"}]}, "famly"),
        ({"active": "yes"}, "active"),
        ({"birthDate": "1999-02-31"}, "birthDate"),
        ({"gender": "robot"}, "gender"),
        ({"name": {"family": "not a list"}}, "name"),
        ({"contact": [{}]}, "contact"),
        ({"multipleBirthBoolean": True, "multipleBirthInteger": 2}, "multipleBirth"),
    ],
)
@pytest.mark.conformance("HTTP", "an invalid resource answers 400 or 422 with an OperationOutcome that names the element, and nothing is stored")
def test_an_invalid_resource_names_the_element_and_is_not_stored(operator, change, place):
    before = operator.total("Patient")
    response = operator.request("POST", "Patient", body={**PATIENT, **change})
    assert response.status_code in (400, 422)
    assert any(place in str(issue.get("expression")) for issue in issues(response)), response.text
    assert operator.total("Patient") == before


def test_a_resource_of_another_type_or_id_than_its_address_is_refused(operator):
    assert operator.request("POST", "Observation", body=PATIENT).status_code in (400, 422)
    assert operator.request("PUT", "Patient/one", body={**PATIENT, "id": "two"}).status_code == 400


@pytest.mark.conformance("Attacks", "92: 500,000 levels of JSON are refused and the server lives")
@pytest.mark.parametrize("depth", [200, 20_000, 500_000])
@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}"), (b'{"extension":[', b"]}")])
def test_a_depth_bomb_is_refused_and_the_server_lives(operator, depth, opening, closing):
    body = b'{"resourceType":"Patient","contact":' + opening * depth + b"1" + closing * depth + b"}"
    response = operator.request("POST", "Patient", body=body[:4_900_000])
    assert response.status_code in (400, 422)
    assert issues(response)
    assert operator.request("GET", "Patient?_count=1").status_code == 200


@pytest.mark.conformance("HTTP", "a body that is too large answers 413, also when its length is not announced")
def test_a_body_that_is_too_large_is_413(operator, shared_clinic):
    clinician = shared_clinic.as_role("clinician")
    body = b'{"resourceType":"Patient","name":[{"text":"' + b"x" * 5_100_000 + b'"}]}'
    assert clinician.request("POST", "Observation", body=body).status_code == 413
    headers = {"Authorization": f"Bearer {clinician.token}", **JSON}
    chunks = (body[start : start + 65_536] for start in range(0, len(body), 65_536))
    response = httpx.post(f"{clinician.base}/Observation", content=chunks, headers=headers, timeout=60, trust_env=False)
    assert response.status_code == 413
    assert operator.request("GET", "Patient?_count=1").status_code == 200


@pytest.mark.conformance("HTTP", "search parameters that are not built are refused with 400 and named")
@pytest.mark.parametrize("query", ["nonsense=1", "name:nonsense=x", "birthdate=yesterday", "_count=many", "_sort=nonsense", "_include=nonsense", "_has:Observation:nonsense:code=1", "_security=|", "_filter=name zz x", "birthdate=xx2000", "_cursor=forged"])
def test_a_search_that_is_not_understood_is_400(operator, query):
    response = operator.request("GET", f"Patient?{query}")
    assert response.status_code == 400
    assert issues(response)


@pytest.mark.parametrize("value", ["'", "'; DROP TABLE resource; --", "%", "_", "\\", "%00", "%F0%9F%98%80", "a" * 2000])
def test_a_strange_value_finds_nothing_and_breaks_nothing(operator, value):
    response = operator.request("GET", f"Patient?family={value}&_total=accurate")
    assert response.status_code == (400 if value == "%00" or len(value) == 2000 else 200)
    if response.status_code == 200:
        assert (response.json()["total"], response.json().get("entry", [])) == (0, [])
    assert operator.total("Patient") > 0


@pytest.mark.conformance("Attacks", "19: paths with .., %00 or unknown operations answer 404")
@pytest.mark.parametrize(
    ("path", "status"),
    [("Nonsense", 404), ("Nonsense/1", 404), ("Patient/absent", 404), ("Patient/absent/_history/1", 404), ("Patient/../../etc/passwd", 404), ("Patient/1/$everything", 404), ("$export", 404), ("Patient/%00", 404)],
)
def test_an_address_that_leads_nowhere_is_404(operator, path, status):
    response = operator.request("GET", path)
    assert response.status_code == status
    assert "passwd" not in response.headers["Content-Type"]


def test_a_method_that_is_not_built_is_405_or_404(operator):
    assert operator.request("PATCH", "Patient", body=b"[]").status_code == 405
    assert operator.request("DELETE", "Patient").status_code == 405


@pytest.mark.conformance("FHIR R4: interactions", "If-Match: a stale or unreadable tag changes nothing")
def test_a_stale_or_unreadable_if_match_changes_nothing(operator):
    made = operator.request("POST", "Basic", body={"resourceType": "Basic", "code": {"text": "probe"}})
    assert made.status_code == 201
    stored = made.json()
    for tag in ('W/"9"', 'W/"0"', "nonsense", 'W/"99999999999999999999"'):
        assert operator.request("PUT", f"Basic/{stored['id']}", body={**stored, "code": {"text": "changed"}}, headers={"If-Match": tag}).status_code in (400, 412)
    assert operator.get(f"Basic/{stored['id']}")["meta"]["versionId"] == "1"


@pytest.mark.conformance("FHIR R4: transactions", "over HTTP one bad entry of a transaction is named and none is stored")
def test_a_transaction_with_one_bad_entry_stores_none(operator):
    before = operator.total("Basic")
    good = {"resource": {"resourceType": "Basic", "code": {"text": "good"}}, "request": {"method": "POST", "url": "Basic"}}
    bad = {"resource": {"resourceType": "Basic", "kode": {"text": "bad"}}, "request": {"method": "POST", "url": "Basic"}}
    response = operator.request("POST", "", body={"resourceType": "Bundle", "type": "transaction", "entry": [good, bad]})
    assert response.status_code in (400, 422)
    assert "Bundle.entry[1]" in told(response)
    assert operator.total("Basic") == before


@pytest.mark.long
@pytest.mark.conformance("The loop", "6 Access: for the psychiatric note read and vread answer 404, and search answers 200 without it")
@pytest.mark.conformance("Access", "the billing administrator cannot tell a psychiatric note from one that does not exist")
def test_what_may_not_be_seen_looks_like_what_is_not_there(operator, shared_clinic):
    billing = shared_clinic.as_role("billing-administrator")
    patient = next(operator.each("Patient"))
    subject = {"reference": f"Patient/{patient['id']}"}
    note = {
        "resourceType": "DocumentReference", "status": "current", "subject": subject,
        "type": {"coding": [{"system": "http://loinc.org", "code": "34788-0"}]},
        "content": [{"attachment": {"contentType": "text/plain", "data": "c2VjcmV0"}}],
        "author": [{"reference": shared_clinic.demo.user_of("psychiatric-clinician")}],
    }  # fmt: skip
    made = operator.request("POST", "DocumentReference", body=note)
    assert made.status_code == 201, made.text
    id_ = made.headers["Location"].split("/DocumentReference/")[1].split("/")[0]
    for path in (f"DocumentReference/{id_}", f"DocumentReference/{id_}/_history/1"):
        hidden, absent = billing.request("GET", path), billing.request("GET", path.replace(id_, "absent"))
        assert hidden.status_code == absent.status_code == 404
        assert hidden.json() == absent.json()
    for query in (f"_id={id_}", f"subject=Patient/{patient['id']}", "type=34788-0", f"_id={id_}&_summary=count"):
        answer = billing.request("GET", f"DocumentReference?{query}")
        assert answer.status_code == 200
        assert answer.json().get("total", 0) == 0
        assert "entry" not in answer.json()
    assert shared_clinic.as_role("psychiatric-clinician").request("GET", f"DocumentReference/{id_}").status_code == 200


@pytest.mark.conformance("Access", "a role that may not write gets 403 and nothing is stored")
def test_a_role_that_may_not_write_is_403_and_nothing_is_stored(operator, shared_clinic):
    before = operator.total("Patient")
    response = shared_clinic.as_role("billing-administrator").request("POST", "Patient", body=PATIENT)
    assert response.status_code == 403
    assert operator.total("Patient") == before
