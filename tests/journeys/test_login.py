"""People in a real browser on a real server: the first password, an authenticator app, a passkey, and the way out."""

import base64
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from chartloop.demo.processes import Parts, command
from chartloop.kernel.clock import now_us
from tests.journeys.pages import expect, picture

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

PASSWORD = "seven quiet herons"
AUTHENTICATOR = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True, "isUserVerified": True}


@dataclass(frozen=True)
class Server:
    """A server that runs, at a host name that browsers know passkeys at."""

    root: str
    data: Path

    def link(self, login: str) -> str:
        """Add somebody; gives the link by which they choose a password."""
        arguments = ["auth", "users", "add", login, "--role", "clinician", "--display", "Ada Łoś", "--user", "Practitioner/1", "--json"]
        made = json.loads(command([*arguments, "--data", str(self.data)]))
        return str(made["link"]).replace("http://127.0.0.1:8080", self.root)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`chartloop serve` on free ports."""
    data = tmp_path_factory.mktemp("people")
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        port, mllp = one.getsockname()[1], two.getsockname()[1]
    root = f"http://localhost:{port}"
    said = {"CHARTLOOP_SERVER__BASE_URL": root, "CHARTLOOP_SERVER__PORT": str(port), "CHARTLOOP_MLLP__PORT": str(mllp), "CHARTLOOP_DATA": str(data)}
    with Parts(data) as parts:
        parts.start("serve", ["chartloop", "serve"], said, ready=f"http://127.0.0.1:{port}/readyz")
        yield Server(root, data)


@pytest.fixture
def page(browser: "Browser") -> Iterator["Page"]:
    """A page whose console stays silent: a strict policy refuses nothing of ours."""
    context = browser.new_context(viewport={"width": 1200, "height": 820})
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" and "Failed to load resource" not in said.text else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    context.close()
    assert complaints == []


def chosen(page: "Page", server: Server, login: str) -> None:
    """Choose a password by the link that the command printed."""
    page.goto(server.link(login))
    page.fill("[name=password]", PASSWORD)
    page.fill("[name=repeated]", PASSWORD)
    page.click("button:has-text('Keep it')")
    page.wait_for_url("**/account/")


def typed(page: "Page", server: Server, login: str, next_: str) -> None:
    """Open a page of the EHR, be offered the login, and type login and password."""
    page.goto(f"{server.root}{next_}")
    page.click("main a:has-text('Sign in')")
    page.fill("[name=login]", login)
    page.fill("[name=password]", PASSWORD)
    picture(page, "login")
    page.click("main button:has-text('Sign in')")
    page.wait_for_url("**/login/second")


def left(page: "Page", server: Server) -> None:
    page.goto(f"{server.root}/logout")
    page.click("main button:has-text('Sign out')")
    page.wait_for_selector("text=You are signed out.")


@pytest.mark.conformance("People", "a person logs in with password and authenticator code in a browser")
def test_a_person_sets_up_an_authenticator_app_and_logs_in_with_it(page: "Page", server: Server) -> None:
    chosen(page, server, "ada")
    page.click("a:has-text('Set up')")
    page.click("summary")
    secret = base64.b32decode(page.inner_text(".other p").replace(" ", ""))
    app = TOTP(secret, 6, SHA1(), 30)
    picture(page, "authenticator")
    page.fill("[name=code]", app.generate(now_us() // 1_000_000 - 30).decode())
    page.click("button:has-text('Keep it')")
    page.wait_for_selector("text=I have kept them")
    codes = page.locator(".codes li").all_inner_texts()
    left(page, server)
    typed(page, server, "ada", "/ehr/patients")
    page.fill(".code-field", app.generate(now_us() // 1_000_000 + 30).decode())
    page.click("button:has-text('Go on')")
    page.wait_for_url("**/ehr/patients")
    expect(page.locator(".who a")).to_have_text("Ada Łoś")
    left(page, server)
    typed(page, server, "ada", "/ehr/patients")
    page.click("summary")
    page.fill(".other input[name=answer]", codes[0])
    page.click(".other button")
    page.wait_for_url("**/ehr/patients")


@pytest.mark.conformance("People", "a person logs in with password and passkey in a browser (WebAuthn)")
def test_a_person_adds_a_passkey_and_logs_in_with_it(page: "Page", server: Server) -> None:
    devices = page.context.new_cdp_session(page)
    devices.send("WebAuthn.enable")
    made = devices.send("WebAuthn.addVirtualAuthenticator", {"options": {**AUTHENTICATOR, "automaticPresenceSimulation": True}})
    chosen(page, server, "bo")
    page.click("a[href='/account/passkey']")
    page.fill("[name=name]", "Ward laptop")
    page.click("button:has-text('Add it')")
    page.click("text=I have kept them")
    page.wait_for_url("**/account/")
    picture(page, "account", full=True)
    expect(page.locator("main")).to_contain_text("Ward laptop")
    left(page, server)
    typed(page, server, "bo", "/ehr/claims")
    picture(page, "second-step")
    page.click("button:has-text('Use your passkey')")
    page.wait_for_url("**/ehr/claims")
    left(page, server)
    devices.send("WebAuthn.clearCredentials", {"authenticatorId": made["authenticatorId"]})
    typed(page, server, "bo", "/ehr/claims")
    page.click("button:has-text('Use your passkey')")
    page.wait_for_selector("text=Nothing was shown. Try again.")
    expect(page).to_have_url(f"{server.root}/login/second")


def test_a_passkey_can_be_asked_for_as_soon_as_its_script_is_there_and_not_before(page: "Page", server: Server) -> None:
    chosen(page, server, "di")
    page.route("**/passkey.js", lambda route: route.abort())
    page.goto(f"{server.root}/account/passkey")
    button = page.get_by_role("button", name="Add it")
    expect(button).to_be_disabled()
    page.unroute("**/passkey.js")
    page.reload()
    expect(button).to_be_enabled()


def test_where_a_login_comes_from_is_in_the_audit_log(page: "Page", server: Server) -> None:
    chosen(page, server, "cy")
    token = command(["token", "--role", "auditor", "--data", str(server.data)]).strip()
    found: list[str] = []
    for _ in range(40):
        answer = page.request.get(f"{server.root}/fhir/AuditEvent", headers={"Authorization": f"Bearer {token}"})
        found = [entry["resource"].get("outcomeDesc", "") for entry in answer.json().get("entry", [])]
        if any(said.startswith("one-time link; from ") for said in found):
            break
        page.wait_for_timeout(250)
    assert "one-time link; from 127.0.0.1" in found
