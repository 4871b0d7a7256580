"""JavaScript `fhirclient` 2.6, unmodified, in a real browser at another origin: the programs of docs/howto/use-client-libraries.md."""

import json
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.journeys.app_server import app_server
from tests.journeys.browser import BrowserUnavailableError
from tests.journeys.client_world import PASSWORD, ClientWorld
from tests.journeys.js_library import VERSION, js_library
from tests.journeys.pages import picture
from tests.journeys.snippets import printed

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

APPS = ("growth-chart", "signed-chart")
PAGES = ("launch.html", "standalone.html", "index.html", "signed.html")
CLIENT = "FHIR.oauth2.ready().then((client) => "


@pytest.fixture(scope="module")
def world(served: ClientWorld) -> ClientWorld:
    """The server, and an app whose pages are those of the documentation."""
    try:
        library = js_library().read_bytes()
    except BrowserUnavailableError as error:
        if os.environ.get("CI"):
            pytest.fail(f"CI needs fhirclient {VERSION}: {error}")
        pytest.skip(f"no fhirclient {VERSION} from npm: {error}")
    served.app.files |= {"fhir-client.min.js": library} | {name: printed(name, **served.addresses).encode() for name in PAGES}
    return served


@pytest.fixture
def page(browser: "Browser") -> Iterator["Page"]:
    """A browser that nobody used before."""
    context = browser.new_context(viewport={"width": 1200, "height": 820})
    context.set_default_timeout(20_000)
    yield context.new_page()
    context.close()


def signed_in(page: "Page") -> None:
    """Type login and password of the clinician."""
    page.fill("[name=login]", "ada")
    page.fill("[name=password]", PASSWORD)
    page.click("main button:has-text('Sign in')")


def opened_from_the_chart(page: "Page", world: ClientWorld) -> None:
    """Sign in to the EHR, open the patient and launch the app from there."""
    page.goto(f"{world.root}/login?next=/ehr/patients/anna")
    signed_in(page)
    page.wait_for_selector("text=Open in")
    picture(page, "chart-with-apps")
    page.click(".banner button:has-text('Growth chart')")
    page.wait_for_selector("text=Allow “Growth chart”?")
    page.click("button[value=allow]")
    shown(page)


def shown(page: "Page") -> list[str]:
    """Wait until the app shows the patient, and give its lines."""
    page.wait_for_url("**/index.html**")
    page.wait_for_selector("h1:has-text('Nowak')")
    return page.locator("li").all_inner_texts()


def asked(page: "Page", code: str) -> Any:
    """Do something with the client of the page; an error is what it says."""
    return page.evaluate(f"{CLIENT}{code}).catch((error) => ({{status: error.status, said: error.message}}))")


@pytest.mark.conformance("Real clients", "JavaScript fhirclient 2.6 in Chromium at another origin: EHR launch from the chart, Patient, Observations over pages")
@pytest.mark.conformance("SMART 2.2.0", "17: pages of registered origins read the token endpoint and the FHIR API")
def test_an_app_is_launched_from_the_chart_and_reads_it(page: "Page", world: ClientWorld) -> None:
    opened_from_the_chart(page, world)
    assert shown(page) == [f"2026-11-0{day}: 9{day} mg/dL" for day in (5, 4, 3, 2, 1)]
    assert asked(page, "client.user.fhirUser") == "Practitioner/7"
    assert asked(page, "client.user.read().then((user) => user.name[0].family)") == "Łoś"
    assert asked(page, "client.state.tokenResponse.need_patient_banner") is True
    assert asked(page, "client.request('Patient/berta')")["status"] == 404
    refused = asked(page, "client.request('Condition?patient=anna')")
    assert refused["status"] == 403
    assert "Forbidden" in refused["said"]
    value = {"resourceType": "Observation", "status": "final", "code": {"text": "weight"}, "subject": {"reference": "Patient/anna"}}
    made = asked(page, f"client.create({json.dumps(value)}, {{includeResponse: true}}).then((made) => [made.response.status, made.response.headers.get('ETag'), made.body.id])")
    assert made[:2] == [201, 'W/"1"']
    assert asked(page, f"client.request('Observation/{made[2]}').then((read) => read.code.text)") == "weight"


@pytest.mark.conformance("Real clients", "JavaScript fhirclient 2.6: standalone launch with login, choice of the patient and consent, where scopes can be unticked")
def test_somebody_begins_in_the_app_signs_in_chooses_and_allows_a_part(page: "Page", world: ClientWorld) -> None:
    page.goto(f"{world.app.origin}/standalone.html")
    page.wait_for_url("**/login?next=*")
    signed_in(page)
    page.click("button[aria-label*='Nowak']")
    page.uncheck("input[value='offline_access']")
    picture(page, "consent")
    page.click("button[value=allow]")
    assert len(shown(page)) == 5
    assert "offline_access" not in asked(page, "client.state.tokenResponse.scope").split()
    assert asked(page, "client.state.tokenResponse.refresh_token") is None


@pytest.mark.conformance("Real clients", "JavaScript fhirclient 2.6: who does not allow sends the app an error that it can show")
def test_who_does_not_allow_sends_the_app_an_error_that_it_shows(page: "Page", world: ClientWorld) -> None:
    page.goto(f"{world.app.origin}/standalone.html")
    page.wait_for_url("**/login?next=*")
    signed_in(page)
    page.click("button[aria-label*='Nowak']")
    page.click("button[value=deny]")
    page.wait_for_selector("text=access_denied: The person did not allow it.")


@pytest.mark.conformance("Real clients", "JavaScript fhirclient 2.6: refresh with rotation, by itself and by refresh(); a second use ends all of it")
def test_tokens_are_refreshed_by_the_library_and_rotate(page: "Page", world: ClientWorld) -> None:
    opened_from_the_chart(page, world)
    first = asked(page, "client.state.tokenResponse")
    second = asked(page, "client.refresh().then((state) => state.tokenResponse)")
    assert second["patient"] == "anna"
    read = "Promise.all([1, 2, 3].map(() => client.request('Patient/anna'))).then((all) => all.length)"
    assert asked(page, f"(client.state.expiresAt = 1, {read})") == 3  # the library refreshes once for the three
    third = asked(page, "client.state.tokenResponse")
    for name in ("access_token", "refresh_token"):
        assert len({first[name], second[name], third[name]}) == 3
    assert world.fhir(third["access_token"], "Patient/anna").status_code == 200
    stolen = asked(page, f"(client.state.tokenResponse.refresh_token = {json.dumps(first['refresh_token'])}, client.refresh())")
    assert stolen["status"] == 400
    assert "The refresh token is not valid any more. Ask the person again." in stolen["said"]
    ended = asked(page, "client.request('Patient/anna')")
    assert ended["status"] == 401
    assert world.fhir(third["access_token"], "Patient/anna").status_code == 401


@pytest.mark.conformance("Real clients", "JavaScript fhirclient 2.6: asymmetric client (clientPrivateJwk) with RS384 and ES384")
@pytest.mark.parametrize("alg", ["RS384", "ES384"])
def test_an_app_proves_itself_with_a_key(page: "Page", world: ClientWorld, alg: str) -> None:
    world.app.files["private-key.json"] = json.dumps(world.keys[alg].as_dict(private=True)).encode()
    page.goto(f"{world.app.origin}/signed.html")
    page.wait_for_url("**/login?next=*")
    signed_in(page)
    page.click("button[aria-label*='Nowak']")
    assert len(shown(page)) == 5


@pytest.mark.conformance("Real clients", "JavaScript fhirclient 2.6 with a key: it sends no assertion with a refresh, so the refresh is refused as invalid_client")
def test_a_refresh_without_a_proof_is_refused_to_an_app_with_a_key(page: "Page", world: ClientWorld) -> None:
    world.app.files["private-key.json"] = json.dumps(world.keys["ES384"].as_dict(private=True)).encode()
    world.app.files["offline.html"] = world.app.files["signed.html"].replace(b"openid", b"openid offline_access")
    page.goto(f"{world.app.origin}/offline.html")
    page.wait_for_url("**/login?next=*")
    signed_in(page)
    page.click("button[aria-label*='Nowak']")
    shown(page)
    refused = asked(page, "client.refresh()")
    assert refused["status"] == 400
    assert "invalid_client" in refused["said"]


@pytest.mark.conformance("Real clients", "a page of an origin that nobody registered reads neither tokens nor resources, and public descriptions alone")
def test_a_page_of_an_origin_that_nobody_registered_reads_nothing(page: "Page", world: ClientWorld) -> None:
    opened_from_the_chart(page, world)
    token = asked(page, "client.state.tokenResponse.access_token")
    with app_server() as stranger:
        stranger.files["index.html"] = b"<!doctype html><p>stranger"
        page.goto(f"{stranger.origin}/index.html")
        fetched = "([url, init]) => fetch(url, init).then((answer) => answer.status, (error) => error.name)"
        bearer = {"headers": {"Authorization": f"Bearer {token}"}}
        assert page.evaluate(fetched, [f"{world.root}/fhir/Patient/anna", bearer]) == "TypeError"
        form = {"method": "POST", "headers": {"Content-Type": "application/x-www-form-urlencoded"}, "body": "grant_type=refresh_token"}
        assert page.evaluate(fetched, [f"{world.root}/oauth/token", form]) == "TypeError"
        for public in ("/fhir/.well-known/smart-configuration", "/fhir/metadata"):
            assert page.evaluate(fetched, [f"{world.root}{public}", {}]) == 200
