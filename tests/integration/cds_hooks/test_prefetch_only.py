"""A call without fhirAuthorization is a subject with no rights beyond its prefetch: whatever is in the store, it learns nothing of it."""

from __future__ import annotations

import json

import pytest

from cds_hooks.prefetch import read_prefetch
from cds_hooks.request import decode
from tests.integration.cds_hooks.conftest import EHR_PAGE
from tests.integration.cds_hooks.test_service import ACT, PATIENTS, refusal
from tests.unit.cds_hooks.samples import FHIR, RISK, authorization, bundle, call, learned, risk

PSY = {"security": [{"system": ACT, "code": "PSY"}]}
CALLS = [
    {"prefetch": None}, {"prefetch": {}}, {"prefetch": {"patient": PATIENTS[0]}}, {"prefetch": {"patient": None, "risk": None}}, {"prefetch": {"risk": bundle()}}, {"prefetch": {"risk": bundle(RISK)}},
    {"prefetch": {"risk": bundle(RISK, following=True)}}, {"prefetch": {"risk": bundle(risk(id="r2"))}}, {"prefetch": {"risk": bundle(following=True)}}, {"prefetch": {"risk": {"resourceType": "OperationOutcome"}}},
    {"prefetch": None, "fhirServer": FHIR}, {"prefetch": {"risk": bundle(RISK)}, "fhirServer": FHIR}, {"prefetch": {"risk": {"resourceType": "Bundle", "link": [{"relation": "next", "url": f"{FHIR}/RiskAssessment"}], "entry": []}}},
    {"prefetch": {"risk": bundle(risk(basis=[{"reference": f"{FHIR}/Observation/o1"}, {"reference": "DocumentReference/secret"}], contained=[{"resourceType": "Observation", "id": "c"}]))}},
    {"prefetch": {"other": {"resourceType": "Patient", "id": "p1"}, "risk": f"{FHIR}/RiskAssessment"}}, {"prefetch": {"risk": {"reference": "RiskAssessment/r1"}}},
    {"prefetch": None, "context": {"userId": "Practitioner/1", "patientId": "p1", "encounterId": "e1", "selections": ["RiskAssessment/r1"]}}, {"prefetch": None, "extension": {"access_token": "x", "user": "Practitioner/1"}},
]  # fmt: skip
"""Changes of a call that carries no token: whole prefetches, parts, lies and links."""


def _heard(world, changes, **headers):
    answer = world.open("POST", "/cds-services/stroke-risk", call(**changes), **headers)
    return answer.status_code, answer.data, sorted(each for each in answer.headers if each[0] not in ("X-Request-Id", "Date"))


@pytest.mark.conformance("CDS Hooks 2.0", "@54, @61: without fhirAuthorization the answer follows from the call alone: with a full store and with an empty one it is the same")
@pytest.mark.conformance("Attacks", "60: a call without a token learns nothing of what is stored, whatever its prefetch, its headers and its cookies claim")
def test_the_answer_to_a_call_without_a_token_does_not_depend_on_the_store(world):
    before = [_heard(world, changes) for changes in CALLS]
    world.put(*PATIENTS, RISK, learned(identifier=None), {**risk(id="r3", identifier=None), "meta": PSY})
    token = world.token()
    claims = ({}, {"Authorization": f"Bearer {token}"}, {"Cookie": f"session={token}; token={token}"}, {"X_User": "Practitioner/1", "X_Access_Token": token}, {"Origin": EHR_PAGE})
    assert [_heard(world, changes) for changes in CALLS] == before
    for headers in claims[1:4]:
        assert [_heard(world, changes, **headers) for changes in CALLS] == before, headers
    assert {status for status, *_ in before} <= {200, 400, 412}
    assert [record for record in world.records() if record["outcome"] == "0"] == []


@pytest.mark.conformance("CDS Hooks 2.0", "@54: of a patient who is not stored, of one who is and of one who is closed, a call without a token hears the same")
def test_no_patient_can_be_told_from_another_without_a_token(world):
    world.put(*PATIENTS, RISK, {"resourceType": "Patient", "id": "p3", "meta": PSY})
    heard = {json.dumps(refusal(world.ask(prefetch=None, context={"userId": user, "patientId": patient}), 412)) for user in ("Practitioner/1", "Practitioner/none") for patient in ("p1", "p2", "p3", "nobody")}
    assert len(heard) == 1


def test_a_card_shows_what_came_along_and_not_what_is_stored(world):
    world.put(*PATIENTS, RISK)
    said = risk(prediction=[{**RISK["prediction"][0], "probabilityDecimal": 0.123}])
    [card] = world.cards(prefetch={"risk": bundle(said)})
    assert "12.3 %" in json.dumps(card)
    assert "5.4 %" not in json.dumps(card)


@pytest.mark.conformance("CDS Hooks 2.0", "@61: a token is good as long, as far and for whom it was given out, and only in fhirAuthorization beside our own fhirServer")
@pytest.mark.parametrize("changes", [
    {"fhirAuthorization": authorization("")}, {"fhirAuthorization": authorization("x" * 5000)}, {"fhirAuthorization": authorization("none")}, {"fhirAuthorization": authorization("' OR 1=1 --")},
    {"fhirAuthorization": authorization("\u00e9")}, {"fhirServer": "http://127.0.0.1:8080/fhir/../fhir"}, {"fhirServer": "http://127.0.0.1:8080.elsewhere.example/fhir"}, {"fhirServer": "http://localhost:8080/fhir"},
    {"fhirServer": "https://127.0.0.1:8080/fhir"}, {"fhirServer": "HTTP://127.0.0.1:8080/FHIR"},
])  # fmt: skip
def test_a_token_that_is_none_and_a_server_that_is_another_open_nothing(world, changes):
    world.put(*PATIENTS, RISK)
    given = {"prefetch": None, "fhirServer": FHIR, "fhirAuthorization": authorization(world.token()), **changes}
    answer = world.open("POST", "/cds-services/stroke-risk", call(**given))
    assert answer.status_code in (400, 412)
    assert b"cards" not in answer.data
    assert [record for record in world.records() if record["outcome"] == "0"] == []


@pytest.mark.conformance("CDS Hooks 2.0", "@5: discovery is the same for everybody and names no key, token, address or person")
def test_discovery_tells_everybody_the_same_and_no_secret(world):
    plain = world.open("GET", "/cds-services").data
    world.put(*PATIENTS, RISK)
    token = world.token()
    for headers in ({}, {"Authorization": f"Bearer {token}"}, {"Origin": "null"}, {"Origin": "https://evil.example"}, {"Cookie": f"session={token}"}):
        answer = world.open("GET", "/cds-services?token=1&patient=p1", **headers)
        assert answer.data == plain
        assert "Access-Control-Allow-Credentials" not in answer.headers
    for word in (b"secret", b"password", b"127.0.0.1", b"Practitioner", b"key=", b"Bearer", b"sqlite", b"postgres"):
        assert word not in plain, word


@pytest.mark.conformance("CDS Hooks 2.0", "@208: a page of an origin that is not registered, null among them, may not call the service")
@pytest.mark.parametrize("origin", ["null", "https://evil.example", f"{EHR_PAGE}.evil.example", f"{EHR_PAGE}:8443", "http://ehr.example", "https://EHR.example.", ""])
def test_no_other_origin_may_call_the_service(world, origin):
    asked = {"Origin": origin, "Access_Control_Request_Method": "POST", "Access_Control_Request_Headers": "content-type"}
    for answer in (world.open("OPTIONS", "/cds-services/stroke-risk", **asked), world.open("POST", "/cds-services/stroke-risk", call(), Origin=origin)):
        assert answer.headers.get("Access-Control-Allow-Origin", "") in ("", EHR_PAGE)
        assert origin not in answer.headers.getlist("Access-Control-Allow-Origin") or not origin
        assert "Access-Control-Allow-Credentials" not in answer.headers


def test_what_a_prefetch_says_of_rights_is_read_over():
    said = call(prefetch={"risk": bundle(RISK), "user": {"role": "operator"}, "scope": "system/*.cruds", "fhirAuthorization": authorization("t")})
    read = read_prefetch(decode(json.dumps(said).encode(), "patient-view"))
    assert [each[1]["id"] for each in read.assessments] == ["r1"]
