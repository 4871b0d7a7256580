"""What the pages of people share: who visits, cookies, forms, where to go next, headers."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from hmac import compare_digest
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from flask import make_response, redirect, render_template, request
from werkzeug.wrappers import Response

from chartloop.kernel import clock
from chartloop.kernel.errors import Forbidden, Invalid, Unauthenticated
from chartloop.kernel.ids import request_id
from smart_apps.opaque import new_secret
from smart_apps.people import person, steps
from smart_apps.people.login import Caller, Logins
from smart_apps.people.people import factors
from smart_apps.server import clients
from smart_apps.server.routes import COOKIE

if TYPE_CHECKING:
    from smart_apps.people.login import Outcome
    from smart_apps.people.people import People
    from smart_apps.people.person import Person
    from smart_apps.people.steps import Step
    from smart_apps.sessions import EhrSession

HOME = "/ehr/"
LOGIN_COOKIE, DEVICE_COOKIE = "chartloop_login", "chartloop_device"
DEVICE_TTL_S = 180 * 24 * 3600
FRESH_S = 900
MAX_NEXT = 4000
MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class Visitor:
    """Whoever looks after their own account.

    Attributes:
        person: Who it is.
        csrf: What their forms send back.
        session: Their session; None while they must set up a second factor first.
        step: That half-done login.
        caller: Where the request comes from; a transaction runs in a thread that knows no request.
    """

    person: Person
    csrf: str
    session: EhrSession | None
    step: Step | None
    caller: Caller


class Desk:
    """Helps the routes; holds nothing of a request."""

    def __init__(self, people: People) -> None:
        self.people = people
        self.logins = Logins(people)

    def caller(self, next_: str = "") -> Caller:
        """Say where this request comes from."""
        id_ = request.environ.get("chartloop.request_id") or request_id()
        return Caller(self._address(), request.cookies.get(self._cookie(DEVICE_COOKIE), ""), id_, local_path(next_))

    def _address(self) -> str:
        """Give the caller's address; what proxies say counts only as many hops as the settings trust."""
        hops = self.people.settings.forwarded_hops
        said = [part.strip() for part in request.headers.get("X-Forwarded-For", "").split(",") if part.strip()]
        found = said[-hops] if 0 < hops <= len(said) else request.remote_addr or ""
        try:
            return str(ipaddress.ip_address(found))
        except ValueError:
            return "unknown"

    def session(self) -> EhrSession | None:
        """Find who is signed in."""
        return self.people.sessions.find(request.cookies.get(COOKIE))

    def step(self, stage: str) -> Step | None:
        """Find the half-done login of this browser."""
        found = steps.find(self.people.database, self.login_cookie())
        return found if found is not None and found.stage == stage else None

    def visitor(self, *, fresh: bool = False) -> Visitor:
        """Find whose account this is about.

        Args:
            fresh: Whether the login must have been a moment ago: for what would let somebody else in for good.

        Raises:
            Unauthenticated: Nobody is signed in, or too long ago.
            Forbidden: Somebody entered by a one-time link into the EHR: they have no account.
        """
        session = self.session()
        if session is None:
            return self._half_in()
        who = person.of_subject(self.people.database, session.subject)
        if who is None:
            raise Forbidden("You entered by a one-time link. There is no account to look after.")
        if fresh and not self.is_fresh(session):
            raise Unauthenticated("Sign in again to change how you sign in.")
        return Visitor(who, session.csrf, session, None, self.caller())

    def _half_in(self) -> Visitor:
        """Find who must set up a second factor first, and still has none: a password alone never adds one beside it."""
        step = self.step(steps.ENROL)
        who = self.people.find(step.person) if step is not None else None
        with self.people.database.read() as db:
            if step is None or who is None or not who.active or factors(db, who.id):
                raise Unauthenticated("Sign in to look after your account.")
        return Visitor(who, self.csrf(step.secret), None, step, self.caller(step.next))

    def is_fresh(self, session: EhrSession) -> bool:
        """Whether a session was opened a moment ago."""
        row = self.people.database.one("select opened from ehr_session where id = ?", (session.id,))
        return row is not None and row[0] > clock.now_us() - FRESH_S * MICROSECONDS

    def csrf(self, secret: str) -> str:
        """Give what the forms of a login send back: bound to the cookie of this browser."""
        return self.people.seal.token("csrf", secret)

    def check_csrf(self, expected: str) -> None:
        """Refuse a form that is not of this browser.

        Raises:
            Forbidden: It is not.
        """
        if not expected or not compare_digest(request.form.get("csrf", "").encode(), expected.encode()):
            raise Forbidden("This form is too old, or your browser keeps no cookies. Go back and try again.")

    def check_login_csrf(self) -> None:
        """Refuse a login form that this browser was not given."""
        secret = self.login_cookie()
        self.check_csrf(self.csrf(secret) if secret else "")

    def page(self, template: str, status: int = 200, **facts: Any) -> Response:
        """Render a page of the login; its form is bound to the cookie that goes with it."""
        held = self.login_cookie() or new_secret()
        answer = make_response(render_template(f"people/{template}", csrf=self.csrf(held), **facts), status)
        self._set(answer, LOGIN_COOKIE, held)
        return answer

    def entered(self, outcome: Outcome, next_: str) -> Response:
        """Send somebody on who is in: with a new session, and whatever session this browser had ended."""
        return self.keep(redirect(local_path(next_), 303), outcome.session, outcome.person)

    def keep(self, answer: Response, secret: str, who: Person | None) -> Response:
        """Give an answer the cookies of a session that was just opened."""
        old = request.cookies.get(COOKIE)
        if old:
            self.people.sessions.leave(old, how="somebody signed in anew in the same browser")
        lifetime = int(self.people.sessions.lifetime_s)
        answer.set_cookie(COOKIE, secret, max_age=lifetime, httponly=True, samesite="Lax", secure=self.people.secure, path="/")
        self._delete(answer, LOGIN_COOKIE)
        if who is not None:
            nonce = new_secret()
            self._set(answer, DEVICE_COOKIE, f"{nonce}.{self.people.seal.token('device', who.login, nonce)}", DEVICE_TTL_S)
        return answer

    def hold(self, answer: Response, secret: str) -> Response:
        """Give an answer the cookie of a half-done login."""
        self._set(answer, LOGIN_COOKIE, secret)
        return answer

    def login_cookie(self) -> str:
        """Read what this browser holds of a login that is not done."""
        return request.cookies.get(self._cookie(LOGIN_COOKIE), "")

    def end_session(self, how: str) -> None:
        """End the session of this browser."""
        self.people.sessions.leave(request.cookies.get(COOKIE, ""), how=how)

    def leave(self, answer: Response) -> Response:
        """Take the session's cookie away."""
        answer.delete_cookie(COOKIE, path="/")
        return answer

    def _cookie(self, name: str) -> str:
        """Name a cookie; over TLS so that no other host of the domain can set it."""
        return f"__Host-{name}" if self.people.secure else name

    def _set(self, answer: Response, name: str, value: str, max_age: int | None = None) -> None:
        answer.set_cookie(self._cookie(name), value, max_age=max_age, httponly=True, samesite="Lax", secure=self.people.secure, path="/")

    def _delete(self, answer: Response, name: str) -> None:
        answer.delete_cookie(self._cookie(name), path="/", secure=self.people.secure, httponly=True, samesite="Lax")

    def close(self, answer: Response, next_: str = "") -> Response:
        """Set the headers of a page: no script but our own files, no frame, no cache, no referrer."""
        answer.headers["Content-Security-Policy"] = (
            "default-src 'none'; style-src 'self'; img-src 'self'; script-src 'self'; base-uri 'none'; frame-ancestors 'none'; "
            f"form-action 'self' {self._way_back(next_)}"
        ).strip()
        answer.headers["Cache-Control"] = "no-store"
        answer.headers["Referrer-Policy"] = "no-referrer"
        answer.headers["X-Content-Type-Options"] = "nosniff"
        return answer

    def _way_back(self, next_: str) -> str:
        """Name the app to which an authorization goes on: browsers apply form-action to every redirect that follows a form."""
        parts = urlsplit(next_)
        asked = parse_qs(parts.query)
        uri, client_id = asked.get("redirect_uri", [""])[0], asked.get("client_id", [""])[0]
        if not parts.path.startswith("/oauth/") or not uri:
            return ""
        with self.people.database.read() as db:
            client = clients.find(db, client_id)
        if client is None or not client.check_redirect_uri(uri):
            return ""
        back = urlsplit(uri)
        return f"{back.scheme}://{back.netloc}" if back.scheme in ("http", "https") else f"{back.scheme}:"


def local_path(text: str) -> str:
    """Give a path of this server to go to.

    Raises:
        Invalid: It would lead elsewhere: another host, a scheme, or what a browser would make of backslashes and line ends.
    """
    if not text:
        return HOME
    odd = any(character == "\\" or not character.isprintable() or character.isspace() for character in text)
    if odd or len(text) > MAX_NEXT or not text.startswith("/") or text.startswith("//") or urlsplit(text).netloc:
        raise Invalid("next must be a path of this server.", code="value")
    return text
