"""The way over an external OpenID provider and back.

state, nonce and PKCE verifier are keyed hashes of the secret in this browser's cookie: nothing of them is stored, and each login has its own.
"""

from __future__ import annotations

import base64
import hashlib
from hmac import compare_digest
from typing import TYPE_CHECKING

from flask import redirect, request
from werkzeug.wrappers import Response

from chartloop.kernel.errors import ChartloopError, NotFound, Unauthenticated
from smart_apps.people import identities, steps
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
STALE = "This login was begun in another browser, or too long ago. Begin again."
UNKNOWN = "Nobody here is known by that identity. Ask your administrator to register it."


def external_routes(routes: Blueprint, desk: Desk, provider: Provider | None) -> None:
    """Add /login/external and its way back."""

    @routes.get("/login/external")
    def external() -> Response:
        if provider is None:
            raise NotFound
        next_ = local_path(request.args.get("next", ""))
        step = desk.people.database.write(lambda tx: steps.begin(tx, "", steps.EXTERNAL, "", next_))
        asked = _asked(desk, step.secret)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(asked.verifier.encode()).digest()).rstrip(b"=").decode()
        return desk.hold(redirect(provider.address(asked, challenge), 303), step)

    @routes.get(CALLBACK)
    def callback() -> Response:
        if provider is None:
            raise NotFound
        step, asked = _came_back(desk)
        caller = desk.caller(step.next)
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
        return go_on(desk, outcome, step.next)


def _asked(desk: Desk, secret: str) -> Asked:
    seal = desk.people.seal
    return Asked(seal.token("oidc state", secret), seal.token("oidc nonce", secret), seal.token("oidc verifier", secret))


def _came_back(desk: Desk) -> tuple[steps.Step, Asked]:
    """Find the login that this answer is for, and end it: an answer is good once."""
    step = desk.step(steps.EXTERNAL)
    if step is None:
        raise Unauthenticated(STALE)
    asked = _asked(desk, step.secret)
    if not compare_digest(request.args.get("state", "").encode(), asked.state.encode()):
        raise Unauthenticated(STALE)
    if not desk.people.database.write(lambda tx: steps.end(tx, step)):
        raise Unauthenticated(STALE)
    return step, asked


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
