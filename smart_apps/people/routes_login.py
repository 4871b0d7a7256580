"""The pages on which people log in and out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import make_response, redirect, render_template, request
from werkzeug.wrappers import Response

from chartloop.kernel.errors import Forbidden, Unauthenticated
from smart_apps.people import links, passkeys, person, steps
from smart_apps.people.desk import HOME, local_path
from smart_apps.people.passwords import check_strength, hashed
from smart_apps.people.people import factors, shut_out
from smart_apps.people.records import login_record

if TYPE_CHECKING:
    from flask import Blueprint

    from chartloop.kernel.db import Tx
    from smart_apps.people.desk import Desk
    from smart_apps.people.login import Outcome
    from smart_apps.people.person import Person
    from smart_apps.people.steps import Step
    from smart_apps.sessions import EhrSession

WRONG = "The login or the password is wrong."
SECOND_WRONG = "That did not work. Try again; an authenticator code works once."
OVER = "Too many answers, or too late. Begin again with your password."
ACCOUNT = "/account/"


def login_routes(routes: Blueprint, desk: Desk) -> None:
    """Add /login, /login/second, /login/link and /logout."""
    _password(routes, desk)
    _second(routes, desk)
    _link(routes, desk)
    _logout(routes, desk)


def _password(routes: Blueprint, desk: Desk) -> None:
    @routes.get("/login")
    def login() -> Response:
        next_ = local_path(request.args.get("next", ""))
        if desk.session() is not None and "again" not in request.args:
            return redirect(next_, 303)
        return _form(desk, next_)

    @routes.post("/login")
    def try_login() -> Response:
        caller = desk.caller(request.form.get("next", ""))
        desk.check_login_csrf()
        typed = request.form.get("login", "")
        outcome = desk.logins.password(typed[: person.MAX_LOGIN + 1], request.form.get("password", ""), caller)
        if outcome.session or outcome.step:
            return go_on(desk, outcome, caller.next)
        return _form(desk, caller.next, waiting(outcome) or WRONG, 429 if outcome.wait_s else 401)


def _form(desk: Desk, next_: str, problem: str = "", status: int = 200) -> Response:
    oidc = desk.people.settings.oidc
    return desk.close(desk.page("login.html", status, next=next_, problem=problem, external=oidc.label if oidc.issuer else ""), next_)


def go_on(desk: Desk, outcome: Outcome, next_: str) -> Response:
    """Lead on to what comes next: a second factor, setting one up, or in."""
    if outcome.step is None:
        return desk.entered(outcome, next_)
    return desk.hold(redirect("/login/second" if outcome.step.stage == steps.SECOND else ACCOUNT, 303), outcome.step.secret)


def waiting(outcome: Outcome) -> str:
    """Say how long somebody waits after too many tries."""
    if not outcome.wait_s:
        return ""
    time = f"{outcome.wait_s} seconds" if outcome.wait_s < 120 else f"{-(-outcome.wait_s // 60)} minutes"
    return f"Too many tries. The next one is looked at in {time}."


def _second(routes: Blueprint, desk: Desk) -> None:
    @routes.get("/login/second")
    def second() -> Response:
        return _ask(desk, _half(desk))

    @routes.post("/login/second")
    def try_second() -> Response:
        step = _half(desk)
        desk.check_login_csrf()
        outcome = desk.logins.second(step, request.form.get("kind", ""), request.form.get("answer", ""), desk.caller(step.next))
        if outcome.session:
            return desk.entered(outcome, step.next)
        now = None if outcome.over else desk.step(steps.SECOND)
        if now is None:
            return _form(desk, step.next, OVER, 401)
        return _ask(desk, now, waiting(outcome) or SECOND_WRONG, 429 if outcome.wait_s else 401)


def _half(desk: Desk) -> Step:
    step = desk.step(steps.SECOND)
    if step is None:
        raise Unauthenticated(OVER)
    return step


def _ask(desk: Desk, step: Step, problem: str = "", status: int = 200) -> Response:
    people = desk.people
    with people.database.read() as db:
        have, held = factors(db, step.person), passkeys.of(db, step.person)
    options = passkeys.asked_to_show(people.site, desk.logins.challenge(step), held) if held and people.site.usable else ""
    return desk.close(desk.page("second.html", status, have=have, options=options, problem=problem), step.next)


def _link(routes: Blueprint, desk: Desk) -> None:
    @routes.get("/login/link")
    def link() -> Response:
        secret = request.args.get("key", "")
        return desk.close(desk.page("link.html", who=_whose(desk, secret), key=secret, problem=""))

    @routes.post("/login/link")
    def choose() -> Response:
        secret = request.form.get("key", "")
        who = _whose(desk, secret)
        desk.check_login_csrf()
        problem = password_problem(who)
        if problem:
            return desk.close(desk.page("link.html", 400, who=who, key=secret, problem=problem))
        hash_, caller = hashed(request.form["password"]), desk.caller()

        def work(tx: Tx) -> Outcome:
            if not links.spend(tx, secret):
                raise Unauthenticated("This link was used already or is too old. Ask your administrator for a new one.")
            person.set_password(tx, who.id, hash_)
            shut_out(tx, who)
            record = login_record("user-changed", who.subject(()), reason=f"password chosen by one-time link; from {caller.address}", request=caller.request)
            desk.people.audit.change(tx, record)
            return desk.logins.go_on(tx, who.id, "one-time link", caller)

        return go_on(desk, desk.people.database.write(work), ACCOUNT)


def password_problem(who: Person) -> str:
    """Say what is wrong with the new password of a form; empty when it is good."""
    chosen = request.form.get("password", "")
    if chosen != request.form.get("repeated", ""):
        return "The two passwords differ."
    return check_strength(chosen, who.login, who.display)


def _whose(desk: Desk, secret: str) -> Person:
    who = desk.people.find(links.whose(desk.people.database, secret))
    if who is None or not who.active:
        raise Unauthenticated("This link was used already or is too old. Ask your administrator for a new one.")
    return who


def _logout(routes: Blueprint, desk: Desk) -> None:
    @routes.get("/logout")
    def ask() -> Response:
        session = desk.session()
        if session is None:
            return redirect("/login", 303)
        return desk.close(make_response(render_template("people/logout.html", session=session, home=HOME)))

    @routes.post("/logout")
    def logout() -> Response:
        session: EhrSession | None = desk.session()
        if session is None:
            raise Forbidden("Nobody is signed in.")
        desk.check_csrf(session.csrf)
        desk.end_session("left")
        answer = make_response(render_template("people/message.html", title="Goodbye", text="You are signed out.", link="/login", words="Sign in"))
        return desk.close(desk.leave(answer))
