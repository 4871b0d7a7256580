"""The review app's own routes: cookies, headers, and answers to what is not a launch."""

import re

import anyio
import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware

from smart_apps.client.launch import LaunchError
from smart_apps.client.routes import Headers, LaunchRoutes
from smart_apps.client.sessions import AppSession
from smart_apps.coder_app.sessions import store
from smart_apps.coder_app.settings import SESSION_COOKIE, review_app

SETTINGS = review_app("https://app.example", ("https://ehr.example/fhir", "https://ehr.example/other"))
AT_WORK = AppSession("https://ehr.example/fhir", "t0ken", "r", "", "Practitioner/7", "p1", expires=2**62)


class FakeLauncher:
    """A launcher that remembers and refuses on demand."""

    def __init__(self) -> None:
        self.browser = ""
        self.revoked: list[AppSession] = []

    def begin(self, issuer: str, launch: str, browser: str) -> str:
        if issuer != SETTINGS.issuers[0]:
            raise LaunchError("This EHR is not registered <script>.")
        self.browser = browser
        return "https://ehr.example/oauth/authorize?x=1"

    def finish(self, state: str, code: str, browser: str) -> str:
        if (state, code) != ("st", "c0de") or browser != self.browser:
            raise LaunchError("No.")
        return store().open(AT_WORK)

    def revoke(self, session: AppSession) -> None:
        self.revoked.append(session)


class Browser:
    """A browser that keeps cookies and follows nothing."""

    def __init__(self, app: Starlette) -> None:
        self._client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://app.example")
        self.cookies = self._client.cookies

    def get(self, path: str, params: dict[str, str] | None = None) -> httpx.Response:
        async def ask() -> httpx.Response:
            return await self._client.get(path, params=params or {})

        return anyio.run(ask)

    def post(self, path: str, data: dict[str, str] | None = None) -> httpx.Response:
        async def send() -> httpx.Response:
            return await self._client.post(path, data=data or {})

        return anyio.run(send)


@pytest.fixture
def launcher() -> FakeLauncher:
    return FakeLauncher()


@pytest.fixture
def browser(launcher: FakeLauncher) -> Browser:
    routes = LaunchRoutes(SETTINGS, launcher, store()).routes()  # type: ignore[arg-type]
    app = Starlette(routes=routes, middleware=[Middleware(Headers, ancestors=SETTINGS.ancestors)])
    return Browser(app)


@pytest.mark.conformance("SMART App Launch 2.2", "SMART-2.2.0@7: the app keeps no token in a cookie; its cookies are HttpOnly and Secure")
def test_a_launch_sends_the_browser_to_the_ehr_and_back_into_a_session(browser: Browser, launcher: FakeLauncher) -> None:
    there = browser.get("/launch", params={"iss": SETTINGS.issuers[0], "launch": "l"})
    assert (there.status_code, there.headers["location"]) == (302, "https://ehr.example/oauth/authorize?x=1")
    for attribute in ("HttpOnly", "SameSite=lax", "Secure", "Path=/"):
        assert attribute in there.headers["set-cookie"]
    back = browser.get("/callback", params={"state": "st", "code": "c0de"})
    assert (back.status_code, back.headers["location"]) == (303, "/")
    cookies = back.headers.get_list("set-cookie")
    session = next(c for c in cookies if c.startswith(SESSION_COOKIE))
    assert "HttpOnly" in session
    assert "t0ken" not in "".join(cookies)
    assert any(c.startswith(f'{SETTINGS.launch_cookie}=""') for c in cookies)


@pytest.mark.conformance("Attacks", "99: only the registered EHR may frame the app")
def test_only_the_registered_ehr_may_frame_the_app(browser: Browser) -> None:
    answer = browser.post("/leave")
    assert answer.headers["content-security-policy"] == "frame-ancestors 'self' https://ehr.example"
    assert answer.headers["referrer-policy"] == "no-referrer"


@pytest.mark.conformance("SMART App Launch 2.2", "SMART-2.2.0@4: an answer with a wrong code, or to no launch, opens no session")
@pytest.mark.conformance("Attacks", "97: an error description is not echoed as markup")
@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/launch", {"iss": "https://evil.example", "launch": "l"}),
        ("/launch", {}),
        ("/callback", {"state": "st", "code": "wrong"}),
        ("/callback", {"error": "access_denied", "error_description": "<script>alert(1)</script>"}),
        ("/callback", {"error": "access_denied"}),
        ("/callback", {}),
    ],
)
def test_what_is_no_launch_opens_nothing_and_says_so(browser: Browser, path: str, query: dict[str, str]) -> None:
    answer = browser.get(path, params=query)
    assert answer.status_code == 400
    assert SESSION_COOKIE not in answer.headers.get("set-cookie", "")
    assert "was not launched" in answer.text
    assert not re.search("<script>", answer.text)


def test_leaving_ends_the_session_and_revokes_the_token(browser: Browser, launcher: FakeLauncher) -> None:
    secret = store().open(AT_WORK)
    browser.cookies.set(SESSION_COOKIE, secret)
    assert browser.get("/leave").status_code == 405
    assert browser.post("/leave", data={"csrf": "of another session"}).status_code == 403
    assert launcher.revoked == []
    assert store().find(secret) == AT_WORK
    answer = browser.post("/leave", data={"csrf": AT_WORK.csrf})
    assert (answer.status_code, answer.headers["location"]) == (303, "https://ehr.example/ehr/")
    assert launcher.revoked == [AT_WORK]
    assert store().find(secret) is None
