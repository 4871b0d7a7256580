"""The way over an external OpenID provider and back.

The cookie of this browser holds, sealed, where it goes afterwards; state, nonce and PKCE verifier are keyed hashes of that cookie. Nothing is stored:
whoever is not known yet cannot fill a table.
"""

from __future__ import annotations

from hmac import compare_digest
from typing import TYPE_CHECKING

from authlib.oauth2.rfc7636 import create_s256_code_challenge
from flask import redirect, request
from werkzeug.wrappers import Response

from chartloop.kernel.errors import ChartloopError, Invalid, NotFound, Unauthenticated
from smart_apps.people import identities
from smart_apps.people.desk import local_path
from smart_apps.people.provider import Asked
from smart_apps.people.records import REFUSED, login_record, stranger
from smart_apps.people.routes_login import go_on

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from flask import Blueprint

    from chartloop.kernel.db import Tx
    from smart_apps.people.desk import Desk
    from smart_apps.people.login import Caller, Outcome
    from smart_apps.people.provider import Provider

CALLBACK = "/login/external/callback"
PURPOSE = "external login"
TTL_S = 600
MAX_NEXT = 2500  # a cookie holds 4,096 bytes
STALE = "This login was begun in another browser, or too long ago. Begin again."
UNKNOWN = "Nobody here is known by that identity. Ask your administrator to register it."


def external_routes(routes: Blueprint, desk: Desk, provider: Provider | None) -> None:
    """Add /login/external and its way back."""

    @routes.get("/login/external")
    def external() -> Response:
        if provider is None:
            raise NotFound
        next_ = local_path(request.args.get("next", ""))
        if len(next_) > MAX_NEXT:
            raise Invalid("This address is too long to come back to.", code="too-long")
        cookie = desk.people.seal.hand_out(next_.encode(), PURPOSE, TTL_S)
        asked = _asked(desk, cookie)
        return desk.hold(redirect(provider.address(asked, create_s256_code_challenge(asked.verifier)), 303), cookie)

    @routes.get(CALLBACK)
    def callback() -> Response:
        if provider is None:
            raise NotFound
        next_, asked = _came_back(desk)
        caller = desk.caller(next_)
        code = request.args.get("code", "")
        try:
            if not code:
                raise Unauthenticated("The provider did not let you in.")
            claims = provider.identity(code, request.args.get("iss", ""), asked)
        except ChartloopError as error:
            _refuse(desk, caller, "", "the OpenID provider's answer was refused" if code else "the OpenID provider said no")
            raise error from None
        outcome = _entered(desk, provider, claims, caller)
        if outcome.person is None:
            _refuse(desk, caller, str(claims["sub"]), "nobody has this external identity, or they are disabled")
            raise Unauthenticated(UNKNOWN)
        return go_on(desk, outcome, next_)


def _asked(desk: Desk, secret: str) -> Asked:
    seal = desk.people.seal
    return Asked(seal.token("oidc state", secret), seal.token("oidc nonce", secret), seal.token("oidc verifier", secret))


def _came_back(desk: Desk) -> tuple[str, Asked]:
    """Find the login that this answer is for: where it goes on, and what it asked."""
    cookie = desk.login_cookie()
    asked = _asked(desk, cookie)
    if not cookie or not compare_digest(request.args.get("state", "").encode(), asked.state.encode()):
        raise Unauthenticated(STALE)
    try:
        return desk.people.seal.take_back(cookie, PURPOSE).decode(), asked
    except Invalid:
        raise Unauthenticated(STALE) from None


def _entered(desk: Desk, provider: Provider, claims: Mapping[str, Any], caller: Caller) -> Outcome:
    people = desk.people
    who = stranger(people.seal.mac("external", provider.settings.issuer, str(claims["sub"])))

    def work(tx: Tx) -> Outcome:
        found = identities.whose(tx, provider.settings, claims, people.audit, people.policies.roles, who)
        return desk.logins.go_on(tx, found.id if found else "", "OpenID provider", caller)

    return people.database.write(work)


def _refuse(desk: Desk, caller: Caller, sub: str, why: str) -> None:
    who = stranger(desk.people.seal.mac("external", desk.people.settings.oidc.issuer, sub))
    desk.people.audit.access(login_record("login-failed", who, reason=f"{why}; from {caller.address}", request=caller.request, outcome=REFUSED))
