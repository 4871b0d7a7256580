"""Standalone launch: a person signs in, chooses a patient, and allows what they want to allow."""

import re
from dataclasses import replace
from typing import Any

import pytest

from smart_apps.server.clients import register
from smart_apps.server.scope_words import scope_words
from tests.integration.smart_apps.oauth_world import ANNA, CALLBACK, NARROW, OWN, PUBLIC, ROOT, World, back, code_of, world

__all__ = ["world"]

SMART = "SMART 2.2.0"


@pytest.mark.conformance(SMART, "353: standalone launch is supported")
@pytest.mark.conformance(SMART, "363: a patient is chosen in a standalone launch with launch/patient")
@pytest.mark.conformance(SMART, "364: an encounter is chosen in a standalone launch with launch/encounter")
@pytest.mark.conformance(SMART, "149: context scopes say which parameters the token answer carries")
def test_a_standalone_launch_lets_the_person_choose_patient_and_visit_through_the_door(world: World) -> None:
    world.sign_in()
    text, request, csrf = world.page(world.authorize(OWN, scope="launch/patient launch/encounter patient/*.rs"))
    assert "Anna" in text
    assert "Berta" in text
    only = world.browser.get(f"/oauth/consent?request={request}&name=berta", base_url=ROOT).get_data(as_text=True)
    assert "Anna" not in only
    visits, request, csrf = world.page(world.answer(request, csrf, id="anna"))
    assert "2026-11-20" in visits
    assert world.answer(request, csrf, id="visit-berta").status_code == 404
    token = world.exchange(code_of(world.answer(request, csrf, id="visit-anna"))).get_json()
    assert (token["patient"], token["encounter"]) == ("anna", "visit-anna")
    subject = world.subject(token["access_token"])
    assert subject is not None
    assert subject.patient == "Patient/anna"
    assert world.fhir("Patient/anna", token["access_token"]).status_code == 200
    assert world.fhir("Patient/berta", token["access_token"]).status_code == 404


def test_a_visit_need_not_be_chosen(world: World) -> None:
    world.sign_in()
    _, request, csrf = world.page(world.authorize(OWN, scope="launch/patient launch/encounter patient/*.rs"))
    _, request, csrf = world.page(world.answer(request, csrf, id="anna"))
    assert "encounter" not in world.exchange(code_of(world.answer(request, csrf, id=""))).get_json()


@pytest.mark.conformance(SMART, "164: a granted patient scope brings a patient into context")
def test_patient_scopes_alone_let_a_patient_be_chosen(world: World) -> None:
    world.sign_in()
    text, _, _ = world.page(world.authorize(OWN, scope="patient/Observation.rs"))
    assert "Which patient" in text


@pytest.mark.conformance(SMART, "136: patient scopes give data of one patient")
def test_a_patient_gets_the_own_record_and_chooses_nobody(world: World) -> None:
    world.sign_in(ANNA, "Anna")
    token = world.exchange(code_of(world.authorize(OWN, scope="launch/patient openid fhirUser patient/*.rs"))).get_json()
    assert token["patient"] == "anna"
    assert world.fhir("Observation/lab-anna", token["access_token"]).status_code == 200
    assert world.fhir("Observation/lab-berta", token["access_token"]).status_code == 404


def test_a_patient_who_is_not_visible_cannot_be_chosen(world: World) -> None:
    world.sign_in()
    _, request, csrf = world.page(world.authorize(OWN))
    assert world.answer(request, csrf, id="nobody").status_code == 404
    assert world.answer(request, csrf, id="../Practitioner/7").status_code == 404


@pytest.mark.conformance(SMART, "53: granting is said by a code")
@pytest.mark.conformance(SMART, "56: the browser is sent to the redirect address")
@pytest.mark.conformance(SMART, "78: the answer says the scope that was granted, which may differ from the request")
def test_a_person_unticks_scopes_and_the_app_gets_the_rest(world: World) -> None:
    text, request, csrf = world.page(world.launched(PUBLIC, scope="launch openid fhirUser offline_access patient/Patient.rs patient/Observation.rs user/Condition.c"))
    for words in ("See measurements and results of this patient", "Add diagnoses and problems that you may see", "changes the record", "Anna, A", "Growth chart"):
        assert words in text
    token = world.exchange(code_of(world.answer(request, csrf, decision="allow", scope=["openid", "patient/Observation.rs"])), PUBLIC).get_json()
    assert token["scope"] == "launch openid patient/Observation.rs"
    assert "refresh_token" not in token
    assert world.fhir("Observation/lab-anna", token["access_token"]).status_code == 200
    assert world.fhir("Patient/anna", token["access_token"]).status_code == 403


KIND = "patient/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|"


@pytest.mark.conformance(SMART, "370: a person keeps a kind of entries of a type, and the token reaches these alone")
def test_a_person_leaves_out_kinds_of_entries_and_the_app_gets_the_others(world: World) -> None:
    text, request, csrf = world.page(world.launched(PUBLIC, scope="launch patient/Observation.rs"))
    for words in ("Leave out a part", "See laboratory results of this patient", "See vital signs, such as blood pressure and weight of this patient"):
        assert words in text
    answer = world.answer(request, csrf, decision="allow", scope=["patient/Observation.rs"], parts=["patient/Observation.rs"], part=[f"{KIND}laboratory", "user/*.cruds"])
    token = world.exchange(code_of(answer), PUBLIC).get_json()
    assert token["scope"] == f"launch {KIND}laboratory"
    assert world.fhir("Observation/lab-anna", token["access_token"]).status_code == 200
    assert world.fhir("Observation/vital-anna", token["access_token"]).status_code == 404


@pytest.mark.conformance(SMART, "78: of everything an app asked for a person keeps the types they want to share")
def test_a_person_leaves_out_types_of_everything(world: World) -> None:
    text, request, csrf = world.page(world.launched(PUBLIC, scope="launch patient/*.rs"))
    assert "See vaccinations of this patient" in text
    answer = world.answer(request, csrf, decision="allow", scope=["patient/*.rs"], parts=["patient/*.rs"], part=["patient/Patient.rs", "patient/Observation.rs"])
    token = world.exchange(code_of(answer), PUBLIC).get_json()
    assert token["scope"] == "launch patient/Observation.rs patient/Patient.rs"
    assert world.fhir("Condition?patient=anna", token["access_token"]).status_code == 403


@pytest.mark.parametrize(
    ("form", "granted"),
    [
        ({"scope": ["patient/Condition.rs"], "parts": ["patient/Condition.rs"], "part": "all"}, "launch patient/Condition.rs"),
        ({"scope": ["patient/Condition.rs"], "parts": ["patient/Condition.rs"], "part": []}, ""),
        ({"scope": [], "parts": ["patient/Condition.rs"], "part": "all"}, ""),
    ],
)
def test_all_parts_are_the_scope_itself_and_no_part_is_nothing(world: World, form: dict[str, Any], granted: str) -> None:
    text, request, csrf = world.page(world.launched(PUBLIC, scope="launch patient/Condition.rs"))
    every = re.findall(r'name="part" value="([^"]+)"', text)
    assert len(every) == 3
    answer = world.answer(request, csrf, decision="allow", **{**form, "part": every if form["part"] == "all" else form["part"]})
    if granted:
        assert world.exchange(code_of(answer), PUBLIC).get_json()["scope"] == granted
    else:
        assert back(answer)["error"] == "access_denied"


@pytest.mark.parametrize(
    ("scope", "words"),
    [
        ("patient/Observation.rs?category=laboratory", "See laboratory results of this patient"),
        ("patient/Observation.r?category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory,vital-signs", "See laboratory results or vital signs, such as blood pressure and weight of this patient"),
        ("user/Condition.rs?category=health-concern&clinical-status=active", "See health concerns that you may see, only those that are active"),
        ("patient/Observation.rs?code=http://loinc.org|2339-0", "See measurements and results of this patient, only those with the code 2339-0"),
        ("patient/Observation.rs?category=made-up", "See measurements and results of this patient, only those of the kind made-up"),
        ("patient/MedicationRequest.rs?intent=order", "See prescriptions of this patient, only those with intent order"),
    ],
)
def test_a_scope_with_search_parameters_is_said_in_words(scope: str, words: str) -> None:
    assert scope_words(scope) == words


def test_a_form_cannot_grant_what_was_not_asked_for(world: World) -> None:
    _, request, csrf = world.page(world.launched(PUBLIC, scope="launch patient/Patient.rs"))
    token = world.exchange(code_of(world.answer(request, csrf, decision="allow", scope=["patient/Patient.rs", "user/*.cruds", "offline_access"])), PUBLIC)
    assert token.get_json()["scope"] == "launch patient/Patient.rs"


@pytest.mark.conformance(SMART, "54: a denial goes back as an error")
@pytest.mark.parametrize("form", [{"decision": "deny", "scope": ["patient/*.rs"]}, {"decision": "allow"}, {}, {"decision": "allow", "scope": ["launch"]}])
def test_a_denial_or_nothing_ticked_is_access_denied(world: World, form: dict[str, object]) -> None:
    _, request, csrf = world.page(world.launched(PUBLIC))
    found = back(world.answer(request, csrf, **form))
    assert (found["error"], found["state"], found["iss"]) == ("access_denied", "st4te", ROOT)
    assert "code" not in found
    assert world.answer(request, csrf, decision="allow", scope=["patient/*.rs"]).status_code == 404
    assert any(each["interaction"] == "consent-page" and each["outcome"] == "4" for each in world.audited())


@pytest.mark.conformance("Real clients", "an app that asks for more than it was registered for is told invalid_scope, and nobody is asked for what cannot be granted")
def test_nobody_is_asked_when_nothing_but_the_context_could_be_granted(world: World) -> None:
    narrow = replace(NARROW, first_party=False, client_id="narrow-third-party")
    world.database.write(lambda tx: register(tx, narrow))
    world.sign_in()
    found = back(world.authorize(narrow, scope="launch/patient patient/*.read"))
    assert (found["error"], found["error_description"]) == ("invalid_scope", "None of the scopes can be granted.")
    assert world.authorize(narrow, scope="launch/patient patient/*.read patient/Patient.read").headers["Location"].startswith("/oauth/consent?request=")


@pytest.mark.conformance("Attacks", "99: consent needs the form of the own session")
def test_consent_needs_the_csrf_token_and_the_session_that_asked(world: World) -> None:
    _, request, csrf = world.page(world.launched(PUBLIC))
    for wrong in ("", "guessed"):
        assert world.answer(request, wrong, decision="allow", scope=["patient/*.rs"]).status_code == 403
    world.sign_in()
    assert world.browser.get(f"/oauth/consent?request={request}", base_url=ROOT).status_code == 404
    assert world.answer(request, csrf, decision="allow", scope=["patient/*.rs"]).status_code == 403
    world.browser.delete_cookie("chartloop_ehr", domain="ehr.example")
    assert world.browser.get(f"/oauth/consent?request={request}", base_url=ROOT).headers["Location"].startswith("/login?next=%2Foauth%2Fconsent")


@pytest.mark.conformance("Attacks", "99: the consent page cannot be framed, and runs no script")
def test_the_pages_are_closed_to_frames_scripts_caches_and_referrers(world: World) -> None:
    answer = world.launched(PUBLIC)
    shown = world.browser.get(answer.headers["Location"], base_url=ROOT)
    policy = shown.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in policy
    assert "form-action 'self' https://app.example" in policy
    assert "script" not in policy
    assert shown.headers["Cache-Control"] == "no-store"
    assert shown.headers["Referrer-Policy"] == "no-referrer"
    text = shown.get_data(as_text=True)
    assert "<script" not in text
    assert " style=" not in text
    with world.browser.get("/oauth/static/smart.css", base_url=ROOT) as sheet:
        assert sheet.status_code == 200


@pytest.mark.conformance(SMART, "197: without a person in the chart there is no fhirUser")
def test_scopes_that_a_person_cannot_grant_are_dropped_and_the_answer_says_so(world: World) -> None:
    token = world.granted(OWN, scope="launch openid fhirUser system/*.rs patient/Patient.rs patient/*.rs?category=laboratory patient/Observation.rs?date=gt2020")
    assert token["scope"] == "launch openid fhirUser patient/Patient.rs"


def test_a_person_sees_and_ends_the_access_of_an_app(world: World) -> None:
    token = world.granted(OWN)
    text = world.browser.get("/oauth/apps", base_url=ROOT).get_data(as_text=True)
    assert "Own app" in text
    assert "See everything of this patient" in text
    session = world.side.sessions.find(world.browser.get_cookie("chartloop_ehr", domain="ehr.example").value)  # type: ignore[union-attr]
    assert session is not None
    with world.database.read() as db:
        (id_,) = db.one("select family from smart_token order by expires desc limit 1") or ("",)
    assert world.browser.post("/oauth/apps", data={"id": id_}, base_url=ROOT).status_code == 403
    assert world.browser.post("/oauth/apps", data={"id": "x", "csrf": session.csrf}, base_url=ROOT).status_code == 404
    listed = [line.split('value="')[1].split('"')[0] for line in text.split("<input") if 'name="id"' in line]
    for each in listed:
        assert world.browser.post("/oauth/apps", data={"id": each, "csrf": session.csrf}, base_url=ROOT).status_code == 303
    assert world.subject(token["access_token"]) is None
    assert world.refresh(token["refresh_token"]).get_json()["error"] == "invalid_grant"
    assert "No app has access" in world.browser.get("/oauth/apps", base_url=ROOT).get_data(as_text=True)


def test_the_redirect_keeps_the_query_of_the_app(world: World) -> None:
    answer = world.launched(OWN)
    assert answer.headers["Location"].startswith(f"{CALLBACK}?code=")
    assert back(answer)["iss"] == ROOT
