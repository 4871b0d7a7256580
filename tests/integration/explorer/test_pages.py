"""The FHIR address as a page: what a person sees, what they do not, and that nothing is told twice."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from werkzeug.test import Client

from chartloop.app import Kernel, open_door
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.audit.sealer import Sealer
from chartloop.kernel.keys import signing_key
from tests.integration.explorer.conftest import OPERATOR

AREA = "Explorer"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
ROOT = "http://127.0.0.1:8080"


def look(browser: Client, address: str, accept: str = BROWSER):
    return browser.get(address, base_url=ROOT, headers={"Accept": accept} if accept else {})


def words(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", text))


@pytest.mark.conformance(AREA, "the FHIR URL itself answers `Accept: text/html` with a page under a policy without scripts")
def test_a_browser_gets_a_page_with_the_elements_as_a_tree(as_person: Callable[..., Client]) -> None:
    answer = look(as_person("clinician"), "/fhir/Condition/cond")
    assert answer.status_code == 200
    assert answer.content_type == "text/html; charset=utf-8"
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'self';")
    assert "script-src" not in answer.headers["Content-Security-Policy"]
    assert "ETag" not in answer.headers
    assert "Accept" in answer.headers["Vary"]
    assert "Diabetes mellitus type 2" in answer.text
    assert 'href="/fhir/Patient/p1"' in answer.text
    assert "clinicians-read-the-chart" in answer.text


@pytest.mark.parametrize("accept", ["application/fhir+json", "application/json", "*/*", "", "application/fhir+xml"])
@pytest.mark.conformance(AREA, "who asks for data by name, or for nothing, gets data")
def test_a_program_gets_data(as_person: Callable[..., Client], accept: str) -> None:
    answer = look(as_person("clinician"), "/fhir/Condition/cond", accept)
    assert answer.content_type.startswith("application/fhir+"), answer.text
    assert answer.status_code == 401  # a cookie is no right at the API: only pages are shown for it


def test_a_page_can_be_asked_for_by_format(as_person: Callable[..., Client]) -> None:
    answer = look(as_person("clinician"), "/fhir/Condition?code=44054006&_format=html", "application/fhir+json")
    assert answer.content_type.startswith("text/html")
    assert 'href="/fhir/Condition/cond"' in answer.text
    assert "_format=html" not in answer.text


def test_the_page_s_links_to_json_and_xml_work_for_who_is_signed_in(as_person: Callable[..., Client]) -> None:
    page = look(as_person("clinician"), "/fhir/Condition?code=44054006").text
    for kind in ("json", "xml"):
        link = f"/fhir/Condition?code=44054006&_format={kind}"
        assert f'href="{link.replace("&", "&amp;")}"' in page
        answer = look(as_person("clinician"), link)
        assert (answer.status_code, answer.content_type.partition(";")[0]) == (200, f"application/fhir+{kind}")
        assert "sandbox" in answer.headers["Content-Security-Policy"]
        assert look(as_person(), link).status_code == 401
        assert look(as_person("clinician"), link, "application/fhir+json").status_code == 401


@pytest.mark.conformance("Attacks", "17: the biller sees bars where the note would be and not its words")
@pytest.mark.conformance(AREA, "hidden elements are black bars that name the rule, whether or not anything is stored there")
def test_the_biller_sees_bars_where_the_note_would_be_and_not_its_words(as_person: Callable[..., Client]) -> None:
    page = look(as_person("billing-administrator"), "/fhir/DocumentReference/note-1").text
    assert "Hidden from you" in page
    assert re.search(r'class="name">authenticator</span><span class="black"', page)
    assert "billing-sees-that-notes-exist" in page
    full = look(as_person("clinician"), "/fhir/DocumentReference/note-1").text
    assert "Hidden from you" not in full
    assert "chest" in words(full).lower() or "patient" in words(full).lower()


@pytest.mark.conformance(AREA, "a record that may not be seen and one that does not exist are the same page")
def test_what_is_hidden_looks_like_what_is_not_there(as_person: Callable[..., Client]) -> None:
    browser = as_person("clinician")
    hidden, missing = look(browser, "/fhir/DocumentReference/note-2"), look(browser, "/fhir/DocumentReference/nothing")
    assert (hidden.status_code, missing.status_code) == (404, 404)
    assert hidden.text == missing.text
    assert "note-2" not in look(browser, "/fhir/DocumentReference?patient=p1").text
    assert "note-2" in look(as_person("psychiatric-clinician"), "/fhir/DocumentReference?patient=p1").text


def test_nobody_is_asked_to_sign_in(as_person: Callable[..., Client]) -> None:
    answer = look(as_person(), "/fhir/Patient/p1")
    assert answer.status_code == 401
    assert "Please sign in" in answer.text
    assert 'href="/login?next=%2Ffhir%2FPatient%2Fp1"' in answer.text
    assert "Gęślą" not in answer.text


@pytest.mark.conformance("Attacks", "97: markup in a record is text on the explorer's pages; a narrative loses styles, pictures and links")
def test_markup_in_a_record_is_text(as_person: Callable[..., Client]) -> None:
    page = look(as_person("clinician"), "/fhir/Observation/evil").text
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "Seen <b>well</b>" in page
    assert 'style="' not in page
    assert 'href="https://elsewhere' not in page
    assert 'href="/fhir/Condition/cond"' in page
    assert "first\nsecond" in page


def test_the_history_says_which_elements_changed(as_person: Callable[..., Client], kernel: Kernel) -> None:
    door = open_door(kernel).repository
    body = door.read(Scope(OPERATOR, "read"), "Patient", "q1").json()
    door.update(Scope(OPERATOR, "update"), "Patient", "q1", {**body, "birthDate": "1970-01-01"})
    page = look(as_person("clinician"), "/fhir/Patient/q1/_history").text
    assert 'href="/fhir/Patient/q1/_history/2"' in page
    assert "<td>birthDate</td>" in page
    assert look(as_person("clinician"), "/fhir/Patient/q1/_history/1").status_code == 200


@pytest.mark.conformance(AREA, "pages are audited as the reads they are; the trail of a resource is open to those who read the audit log")
def test_the_trail_of_a_resource_is_for_the_privacy_officer(as_person: Callable[..., Client], kernel: Kernel) -> None:
    look(as_person("clinician"), "/fhir/Condition/cond")
    Sealer(kernel.database, kernel.settings.data, signing_key(kernel.settings.keys)).seal()
    assert "Audit trail" not in look(as_person("clinician"), "/fhir/Condition/cond").text
    trail = look(as_person("privacy-officer"), "/fhir/AuditEvent?entity=Condition/cond").text
    assert "Practitioner/7 (clinician)" in trail
    assert 'href="/fhir/Condition/cond/_history/1"' in trail
    assert look(as_person("clinician"), "/fhir/AuditEvent?entity=Condition/cond").status_code == 403


def test_searches_page_by_links(as_person: Callable[..., Client]) -> None:
    browser = as_person("clinician")
    page = look(browser, "/fhir/Patient?_sort=family&_count=10").text
    following = re.search(r'class="button" href="([^"]+)">Next page', page)
    assert following
    second = look(browser, following[1].replace("&amp;", "&")).text
    assert "Previous page" in second
    assert not set(re.findall(r'href="/fhir/Patient/(\w+)"', page)) & set(re.findall(r'href="/fhir/Patient/(\w+)"', second))


def test_the_first_page_lists_what_may_be_searched(as_person: Callable[..., Client]) -> None:
    page = look(as_person("clinician"), "/fhir").text
    assert 'href="/fhir/Condition"' in page
    assert 'href="/fhir/Condition"' not in look(as_person("billing-administrator"), "/fhir/").text


def test_errors_are_said_in_words(as_person: Callable[..., Client]) -> None:
    answer = look(as_person("clinician"), "/fhir/Patient?colour=red")
    assert answer.status_code == 400
    assert "colour" in words(answer.text)
    assert look(as_person("clinician"), "/fhir/Nonsense/1").status_code == 404
    assert look(as_person("clinician"), "/fhir/metadata").status_code == 200


def test_head_has_no_body(as_person: Callable[..., Client]) -> None:
    answer = as_person("clinician").head("/fhir/Condition/cond", base_url=ROOT, headers={"Accept": BROWSER})
    assert answer.status_code == 200
    assert answer.data == b""
    assert answer.content_type.startswith("text/html")


def test_a_page_cannot_be_asked_to_change_anything(as_person: Callable[..., Client]) -> None:
    answer = as_person("clinician").post("/fhir/Observation", base_url=ROOT, headers={"Accept": BROWSER}, data="{}", content_type="application/fhir+json")
    assert answer.status_code == 401


@pytest.mark.conformance(AREA, "the style sheet is served from the same origin")
def test_the_style_is_served(as_person: Callable[..., Client]) -> None:
    with look(as_person(), "/explorer/explorer.css") as answer:
        assert answer.status_code == 200
        assert answer.content_type.startswith("text/css")
