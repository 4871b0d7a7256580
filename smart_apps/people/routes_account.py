"""The pages on which people look after how they log in: password, authenticator app, passkeys, recovery codes, sessions."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from flask import make_response, redirect, render_template, request
from werkzeug.wrappers import Response

from chartloop.kernel import clock
from chartloop.kernel.clock import iso
from chartloop.kernel.errors import Forbidden, NotFound, Unauthenticated
from smart_apps.endings import end_session, end_sessions_of
from smart_apps.people import passkeys, person, recovery, steps, totp
from smart_apps.people.login import Outcome
from smart_apps.people.passwords import hashed, matches
from smart_apps.people.people import factors
from smart_apps.people.records import REFUSED, login_record
from smart_apps.people.routes_login import password_problem, waiting

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Blueprint

    from chartloop.kernel.db import Tx
    from smart_apps.people.desk import Desk, Visitor

FORM_TTL_S = 600
CHALLENGE_BYTES = 32


def account_routes(routes: Blueprint, desk: Desk) -> None:
    """Add /account and what is under it."""
    _overview(routes, desk)
    _password(routes, desk)
    _authenticator(routes, desk)
    _passkey(routes, desk)
    _removal(routes, desk)


def _page(desk: Desk, visitor: Visitor, template: str, status: int = 200, **facts: object) -> Response:
    text = render_template(f"people/{template}", who=visitor.person, session=visitor.session, step=visitor.step, csrf=visitor.csrf, **facts)
    return desk.close(make_response(text, status), visitor.step.next if visitor.step else "")


def _overview(routes: Blueprint, desk: Desk) -> None:
    @routes.get("/account/")
    def account() -> Response:
        visitor, people = desk.visitor(), desk.people
        with people.database.read() as db:
            have, held = factors(db, visitor.person.id), passkeys.of(db, visitor.person.id)
            rows = db.all("select id, opened, seen from ehr_session where holder = ? and expires > ? order by opened desc", (visitor.person.holder, clock.now_us()))
        own = visitor.session.id if visitor.session else ""
        opened = [{"id": row[0], "own": row[0] == own, "opened": _minute(row[1]), "seen": _minute(row[2])} for row in rows]
        shown = [{"id": key.id.hex(), "name": key.name, "created": _minute(key.created), "used": _minute(key.used) if key.used else "never"} for key in held]
        fresh = visitor.session is None or desk.is_fresh(visitor.session)
        return _page(desk, visitor, "account.html", have=have, keys=shown, sessions=opened, fresh=fresh, usable=people.site.usable)

    @routes.post("/account/sessions")
    def end_others() -> Response:
        visitor = _posted(desk)
        if visitor.session is None:
            raise Forbidden
        keep, one = visitor.session.id, request.form.get("id", "")

        def work(tx: Tx) -> None:
            row = tx.one("select id from ehr_session where id = ? and holder = ?", (one, visitor.person.holder)) if one.isalnum() else None
            if one and row is None:
                raise NotFound
            if row is not None:
                end_session(tx, row[0])
            else:
                end_sessions_of(tx, visitor.person.holder, keep=keep)
            _note(tx, desk, visitor, "ended a session of their own" if one else "ended their other sessions")

        desk.people.database.write(work)
        return redirect("/account/", 303)


def _minute(us: int) -> str:
    return iso(us)[:16].replace("T", " ")


def _posted(desk: Desk, *, fresh: bool = False) -> Visitor:
    visitor = desk.visitor(fresh=fresh)
    desk.check_csrf(visitor.csrf)
    return visitor


def _note(tx: Tx, desk: Desk, visitor: Visitor, what: str) -> None:
    caller = visitor.caller
    record = login_record("user-changed", visitor.person.subject(()), reason=f"{what}; from {caller.address}", request=caller.request)
    desk.people.audit.change(tx, record)


def _password(routes: Blueprint, desk: Desk) -> None:
    @routes.get("/account/password")
    def password() -> Response:
        visitor = _with_password(desk.visitor())
        return _page(desk, visitor, "password.html", problem="")

    @routes.post("/account/password")
    def change_password() -> Response:
        visitor, people = _with_password(_posted(desk)), desk.people
        who = visitor.person
        buckets = people.throttle.known(f"change {who.id}")
        wait_s = people.database.write(lambda tx: people.throttle.take(tx, buckets))
        if wait_s or not matches(who.password, request.form.get("current", "")):
            record = login_record("login-failed", who.subject(()), reason="wrong password at a change of it", outcome=REFUSED)
            people.audit.access(record)
            problem = waiting(Outcome(wait_s=wait_s)) or "The present password is wrong."
            return _page(desk, visitor, "password.html", 429 if wait_s else 401, problem=problem)
        problem = password_problem(who)
        hash_ = "" if problem else hashed(request.form["password"])

        def work(tx: Tx) -> None:
            people.throttle.succeed(tx, buckets)
            if hash_:
                person.set_password(tx, who.id, hash_)
                steps.end_all(tx, who.id)
                end_sessions_of(tx, who.holder, keep=visitor.session.id if visitor.session else "")
                _note(tx, desk, visitor, "changed the password")

        people.database.write(work)
        return _page(desk, visitor, "password.html", 400, problem=problem) if problem else redirect("/account/", 303)


def _with_password(visitor: Visitor) -> Visitor:
    if visitor.session is None or not visitor.person.password:
        raise Forbidden("There is no password of yours to change here.")
    return visitor


def _authenticator(routes: Blueprint, desk: Desk) -> None:
    @routes.get("/account/authenticator")
    def authenticator() -> Response:
        return _offer(desk, desk.visitor(fresh=True), totp.new_secret())

    @routes.post("/account/authenticator")
    def confirm() -> Response:
        visitor, people = _posted(desk, fresh=True), desk.people
        id_ = visitor.person.id
        secret = people.seal.take_back(request.form.get("kept", ""), f"new totp {id_}")
        step = totp.step_of(secret, request.form.get("code", ""))
        if step is None:
            return _offer(desk, visitor, secret, "That is not the code of this moment. Look at the clock of your device, and try the next code.", 400)
        return _enrolled(desk, visitor, lambda tx: totp.enrol(tx, people.seal, id_, secret, step, clock.now_us()), "set up an authenticator app")


def _offer(desk: Desk, visitor: Visitor, secret: bytes, problem: str = "", status: int = 200) -> Response:
    kept = desk.people.seal.hand_out(secret, f"new totp {visitor.person.id}", FORM_TTL_S)
    picture = totp.drawing(totp.uri(secret, visitor.person.login, "Chartloop"))
    return _page(desk, visitor, "authenticator.html", status, kept=kept, picture=picture, words=totp.base32(secret), problem=problem)


def _passkey(routes: Blueprint, desk: Desk) -> None:
    @routes.get("/account/passkey")
    def passkey() -> Response:
        visitor, people = desk.visitor(fresh=True), desk.people
        if not people.site.usable:
            raise Forbidden("Browsers know passkeys at a host name and over TLS only.")
        challenge = os.urandom(CHALLENGE_BYTES)
        with people.database.read() as db:
            options = passkeys.asked_to_make(people.site, visitor.person, challenge, passkeys.of(db, visitor.person.id))
        kept = people.seal.hand_out(challenge, f"new passkey {visitor.person.id}", FORM_TTL_S)
        return _page(desk, visitor, "passkey.html", kept=kept, options=options)

    @routes.post("/account/passkey")
    def add_passkey() -> Response:
        visitor, people = _posted(desk, fresh=True), desk.people
        id_ = visitor.person.id
        challenge = people.seal.take_back(request.form.get("kept", ""), f"new passkey {id_}")
        made = passkeys.made(people.site, challenge, request.form.get("answer", ""))
        name = request.form.get("name", "")
        return _enrolled(desk, visitor, lambda tx: passkeys.add(tx, id_, made, name), "added a passkey")


def _enrolled(desk: Desk, visitor: Visitor, keep: Callable[[Tx], None], what: str) -> Response:
    """Keep a new second factor; with the first one come recovery codes, and for somebody half in, the session."""
    who, people = visitor.person, desk.people

    def work(tx: Tx) -> tuple[list[str], str]:
        first = not factors(tx, who.id)
        if visitor.step is not None and not (first and steps.end(tx, visitor.step)):
            raise Unauthenticated("A second factor was set up meanwhile. Sign in with it.")
        keep(tx)
        codes = recovery.renew(tx, who.id) if first else []
        _note(tx, desk, visitor, what)
        steps.end_all(tx, who.id)
        if visitor.step is None:
            return codes, ""
        return codes, desk.logins.enter(tx, who, f"{visitor.step.how}; {what}", visitor.caller)

    codes, secret = people.database.write(work)
    next_ = visitor.caller.next if secret else "/account/"
    answer = _page(desk, visitor, "codes.html", codes=codes, next=next_) if codes else redirect(next_, 303)
    return desk.keep(answer, secret, who) if secret else answer


def _removal(routes: Blueprint, desk: Desk) -> None:
    @routes.post("/account/codes")
    def codes() -> Response:
        visitor = _posted(desk, fresh=True)

        def work(tx: Tx) -> list[str]:
            if not factors(tx, visitor.person.id):
                raise Forbidden("Recovery codes stand in for a second factor. Set one up first.")
            _note(tx, desk, visitor, "made new recovery codes")
            return recovery.renew(tx, visitor.person.id)

        return _page(desk, visitor, "codes.html", codes=desk.people.database.write(work), next="/account/")

    @routes.post("/account/remove")
    def remove() -> Response:
        visitor = _posted(desk, fresh=True)
        if visitor.session is None:
            raise Forbidden
        id_ = request.form.get("id", "")
        desk.people.database.write(lambda tx: _remove(tx, desk, visitor, id_))
        return redirect("/account/", 303)


def _remove(tx: Tx, desk: Desk, visitor: Visitor, id_: str) -> None:
    who = visitor.person
    if id_ == "authenticator":
        gone, what = tx.run("delete from person_totp where person = ?", (who.id,)), "removed the authenticator app"
    else:
        try:
            credential = bytes.fromhex(id_)
        except ValueError:
            raise NotFound from None
        gone, what = tx.run("delete from person_passkey where id = ? and person = ?", (credential, who.id)), "removed a passkey"
    if not gone:
        raise NotFound
    if not factors(tx, who.id):
        tx.run("delete from person_recovery where person = ?", (who.id,))
        if not desk.people.may_go_on(tx, who):
            raise Forbidden("Your role needs a second factor. Add another one before you remove this one.")
    _note(tx, desk, visitor, what)
