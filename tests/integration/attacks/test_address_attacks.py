"""Attacks by addresses, methods and headers: another spelling is the same decision, and a header gives no right."""

from __future__ import annotations

import json
import re

import pytest

from chartloop.kernel import even_answers
from chartloop.kernel.db import Database
from fhir_server.store import Store
from tests.integration.attacks.conftest import NOT_HERS, PEOPLE, Door, Json, said

SPELLINGS = [
    "Observation/secret/", "Observation//secret", "//Observation/secret", "./Observation/secret", "Observation/../Observation/secret", "Observation/%2e%2e/Observation/secret", "%4Fbservation/secret",
    "Observation%2Fsecret", "Observation/%73ecret", "Observation/secret%20", "Observation/secret;jsessionid=1", "Observation;v=1/secret", "observation/secret", "OBSERVATION/SECRET", "Observation/secret%00",
    "Observation/secret.json", "Observation/secret?_format=json&_format=xml", "Observation%2e/secret", "Observation/secret/_history/%31", "Observation/secret/_history/1/", "Observation/secret/_History/1",
    "Observation/s%C2%ADecret", "Ｏbservation/secret", "Observation/secret%23", "Observation\\secret", "Observation?%5Fid=secret", "Observation?_ID=secret", "Observation?_id=%73ecret", "Observation?_id:=secret",
    "Observation?%5Fhas:Observation:subject:_id=secret", "Observation?_HAS:Observation:subject:_id=secret", "Observation?_id=secret;", "Observation?_id[]=secret", "?_type=Observation&%5Fid=secret", "Patient?_has:Observation:patient:%5Fid=secret",
    "Patient/p1/Observation?_id=secret", "Patient/p1/../p1/Observation", "Patient/p2/../../Observation/secret",
]  # fmt: skip
NOT_BUILT = ("$graphql", "$export", "$import", "$purge", "$expunge", "$document", "$graph", "$lookup", "$expand", "$convert", "$member-match", "$docref", "$lastn", "$match", "$merge", "$apply", "$evaluate-measure", "$sql", "$process-message")
PURPOSES = ("X_Purpose_Of_Use", "Purpose_Of_Use", "X_Purpose", "X_Chartloop_Purpose", "X_Break_Glass", "X_Security_Context", "X_Role", "X_User", "X_Forwarded_User", "X_Original_Url", "X_Http_Method_Override", "X_Tenant")


@pytest.mark.conformance("Attacks", "19: case, percent signs, Unicode, slashes, dots and semicolons: the same decision, never a hidden row")
@pytest.mark.parametrize("who", ["stranger", "biller", "bert"])
def test_another_spelling_of_an_address_shows_nothing_more(door: Door, who: str) -> None:
    for spelling in SPELLINGS:
        for method in ("GET", "HEAD"):
            answer = door(who, method, spelling)
            assert answer.status_code < 500, spelling
            assert b'"id":"secret"' not in answer.data, spelling
            assert not re.search(rb"(?<![\d.])150", answer.data), spelling


@pytest.mark.conformance("Attacks", "57: operations that are not built answer 404 everywhere and say nothing of what is stored; $validate is decided like what it tries")
def test_an_operation_that_is_not_built_says_nothing(door: Door) -> None:
    for who in ("ada", "biller"):
        for name in NOT_BUILT:
            for method in ("GET", "POST"):
                there, missing = (said(door(who, method, f"Observation/{id_}/{name}", {"resourceType": "Parameters"} if method == "POST" else None)) for id_ in ("secret", "nothing"))
                assert there == missing, name
                assert there[0] in (404, 405), name
    for mode in ("update", "delete", "create"):
        there, missing = (door("ada", "POST", f"Observation/{id_}/$validate?mode={mode}", {"resourceType": "Observation", "id": id_}) for id_ in ("secret", "nowise"))
        assert (there.status_code, there.data) == (missing.status_code, missing.data.replace(b"nowise", b"secret")), mode


@pytest.mark.conformance("Attacks", "69: a purpose of use, a role or an emergency that a header claims counts for nothing, alone or with others")
def test_a_header_changes_no_purpose_and_gives_no_right(door: Door) -> None:
    plain = {who: said(door(who, "GET", "Observation/secret")) for who in NOT_HERS}
    searched = {who: said(door(who, "GET", "DocumentReference?_total=accurate")) for who in NOT_HERS}
    for header in PURPOSES:
        for value in ("TREAT", "BTG", "ETREAT", "HRESCH", "TREAT HRESCH", "TREAT,BTG", "http://terminology.hl7.org/CodeSystem/v3-ActReason|TREAT", "psychiatric-clinician", "Practitioner/kim", ""):
            for who in NOT_HERS:
                assert said(door(who, "GET", "Observation/secret", **{header: value})) == plain[who], (header, value)
        for who in NOT_HERS:
            assert said(door(who, "GET", "DocumentReference?_total=accurate", **{header: "TREAT, BTG"})) == searched[who], header


@pytest.mark.conformance("Attacks", "69: who asks for research stays under what was denied to research, whatever a header or the address claims; a token without a purpose gains nothing")
def test_research_does_not_become_treatment_by_a_header(door: Door) -> None:
    reason = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": "HRESCH"}
    scope = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]}
    denial = {"resourceType": "Consent", "status": "active", "scope": scope, "category": [{"text": "privacy"}], "patient": {"reference": "Patient/p1"}, "performer": [{"reference": "Patient/p1"}],
              "policy": [{"uri": "urn:policy"}], "provision": {"type": "deny", "purpose": [reason]}}  # fmt: skip
    assert door("studying", "GET", "Observation/o1").status_code == 200
    assert door("anna", "POST", "Consent", denial).status_code == 201
    assert door("ada", "GET", "Observation/o1").status_code == 200
    for header in ({}, {"X_Purpose_Of_Use": "TREAT"}, {"Purpose_Of_Use": "TREAT,HRESCH"}, {"X_Purpose": "BTG"}):
        assert door("studying", "GET", "Observation/o1", **header).status_code == 404, header
        assert door("studying", "GET", "Observation?_total=accurate&purpose=TREAT", Prefer="handling=lenient", **header).data.count(b'"id":"o1"') == 0


@pytest.mark.conformance("Attacks", "17: _elements, _summary and _format ask for less or for another shape, never for a hidden element")
def test_no_shape_of_an_answer_shows_a_hidden_element(door: Door) -> None:
    formats = ("json", "xml", "application/fhir%2Bxml", "text/xml", "ndjson", "application/fhir%2Bndjson", "html", "text/html", "ttl", "application/pdf", "json&_pretty=true")
    shapes = ("_elements=description", "_elements=text,description,authenticator", "_summary=text", "_summary=data", "_summary=true", "_summary=false", "_elements=content.attachment.data")
    for place in ("DocumentReference/plain?", "DocumentReference?_id=plain&", "DocumentReference/plain/_history/1?", "DocumentReference/plain/_history?", "Patient/p1/$everything?"):
        for shape in [*shapes, *(f"_format={each}" for each in formats), *(f"{shape}&_format=xml" for shape in shapes)]:
            answer = door("biller", "GET", place + shape)
            assert answer.status_code in (200, 400, 406), (place, shape)
            for word in (b"voices", b"SGUgaGVhcnM", b'"authenticator"', b"<authenticator"):
                assert word not in answer.data, (place, shape)


@pytest.mark.conformance("Attacks", "97: a page that is stored as a Binary leaves as data, never as a page")
def test_an_uploaded_page_is_never_served_as_one(door: Door) -> None:
    page = {"resourceType": "Binary", "id": "page", "contentType": "text/html", "data": "PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg=="}
    door.put({**page, "securityContext": {"reference": "Patient/p1"}})
    for accept in ("text/html", "text/html,*/*", "*/*", "application/fhir+json", ""):
        answer = door("psychiatrist", "GET", "Binary/page", Accept=accept)
        assert answer.status_code in (200, 406), accept
        assert b"<script" not in answer.data
        assert answer.headers["Content-Type"].partition(";")[0] in ("application/fhir+json", "application/fhir+xml"), accept


@pytest.mark.conformance("Attacks", "100: a resource takes no member that R4 does not have: no role, owner, tenant, project or account to assign oneself")
def test_no_member_assigns_a_role_or_an_owner(door: Door) -> None:
    for member in ("role", "owner", "tenant", "project", "compartment", "labels", "_owner", "__proto__", "patient_id"):
        for value in ("operator", {"reference": "Practitioner/jon"}):
            answer = door("operator", "PUT", "Patient/p2", {"resourceType": "Patient", "id": "p2", member: value})
            assert answer.status_code in (400, 422), member
            meta = door("operator", "PUT", "Patient/p2", {"resourceType": "Patient", "id": "p2", "meta": {member: value}})
            assert meta.status_code in (400, 422), member
    assert json.loads(door("operator", "GET", "Patient/p2").data)["meta"]["versionId"] == "1"


@pytest.mark.conformance("Attacks", "41: what is forbidden costs the same statements as what does not exist")
@pytest.mark.parametrize("who", ["ada", "stranger", "anna", "bert"])
def test_what_is_forbidden_asks_the_database_what_is_missing_asks(database: Database, door: Door, monkeypatch: pytest.MonkeyPatch, who: str) -> None:
    asked: list[str] = []
    with database.read() as session:
        kind = type(session)
    for name in ("one", "all", "each", "run", "many"):
        original = getattr(kind, name)

        def noted(self: object, sql: str, *rest: object, _original: object = original) -> object:
            asked.append(sql)
            return _original(self, sql, *rest)  # type: ignore[operator]

        monkeypatch.setattr(kind, name, noted)

    def statements(method: str, path: str, id_: str) -> list[str]:
        asked.clear()
        body = {"resourceType": "Observation", "id": id_, "status": "final", "code": {"text": "x"}} if method == "PUT" else [] if method == "PATCH" else None
        door(who, method, path.format(id_), body, **({"Content_Type": "application/json-patch+json"} if method == "PATCH" else {}))
        return list(asked)

    closed = "o2" if who == "anna" else "secret"
    for method, path in [("GET", "Observation/{}"), ("GET", "Observation/{}/_history/1"), ("GET", "Observation/{}/_history"), ("GET", "Observation?_id={}&_total=accurate"), ("GET", "Patient?_has:Observation:patient:_id={}"),
                         ("GET", "Observation/{}/$meta"), ("PUT", "Observation/{}"), ("PATCH", "Observation/{}"), ("DELETE", "Observation/{}")]:  # fmt: skip
        statements(method, path, "nothing")  # what is asked once and kept is asked now
        assert statements(method, path, closed) == statements(method, path, "nothing"), (method, path)


def reading(count: int, id_: str) -> Json:
    return {"resourceType": "Bundle", "type": "batch", "entry": [{"request": {"method": "GET", "url": f"Observation/{id_}"}}] * count}


@pytest.mark.conformance("Attacks", "41: what is forbidden leaves at the moment at which what does not exist leaves")
@pytest.mark.parametrize("who", ["ada", "stranger"])
def test_what_is_forbidden_leaves_when_what_is_missing_leaves(door: Door, monkeypatch: pytest.MonkeyPatch, who: str) -> None:
    parts: list[int] = []
    monkeypatch.setattr(even_answers, "rest_s", lambda _took_s, number: parts.append(int(number)) or 0.0)

    def held(method: str, path: str, body: object = None, **headers: str) -> list[int]:
        parts.clear()
        door(who, method, path, body, **headers)
        return list(parts)

    for id_ in ("secret", "nothing"):
        gets = [f"Observation/{id_}", f"Observation/{id_}/_history/1", f"Observation/{id_}/_history", f"Observation?_id={id_}", f"Observation?_id={id_}&_summary=count",
                f"?_type=Observation&_id={id_}", f"Patient/p1/Observation?_id={id_}", f"Patient?_has:Observation:patient:_id={id_}", f"Observation/{id_}/$meta"]  # fmt: skip
        assert [held("GET", path) for path in gets] == [[1]] * len(gets), id_
        assert held("PUT", f"Observation/{id_}", {"resourceType": "Observation", "id": id_, "status": "final", "code": {"text": "x"}}) == [1]
        assert held("PATCH", f"Observation/{id_}", [], Content_Type="application/json-patch+json") == [1]
        assert held("DELETE", f"Observation/{id_}") == [1]
        assert held("DELETE", f"Observation?_id={id_}") == [1]
        assert held("POST", "", reading(20, id_)) == [20], "each entry has its step, so that many do not add up to one"


def test_what_shows_something_leaves_at_once(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(even_answers, "rest_s", lambda *_: pytest.fail("it was held back"))
    for path in ("Observation/o1", "Observation?_id=o1", "Observation?_id=o1&_summary=count", "Observation/o1/_history", "Patient?_id=p1&_revinclude=Observation:patient"):
        assert door("ada", "GET", path).status_code == 200
    assert door("ada", "POST", "", reading(2, "o1")).status_code == 200


def test_everybody_of_the_tests_is_somebody(store: Store) -> None:
    assert {PEOPLE[who].role for who in PEOPLE} <= set(store.access.policies.roles)
