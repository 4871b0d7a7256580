"""Logging in: a password, then a second factor where there is one, then a session.

An unknown login, a wrong password and somebody disabled get the same answer after the same work: argon2id is always computed and the same rows
are counted. A try is counted before it is looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from chartloop.kernel import clock
from smart_apps.people import passkeys, person, recovery, steps, totp
from smart_apps.people.passwords import hashed, matches, outdated
from smart_apps.people.people import factors
from smart_apps.people.person import NOBODY
from smart_apps.people.records import REFUSED, login_record, stranger

if TYPE_CHECKING:
    from chartloop.kernel.access.subject import Subject
    from chartloop.kernel.audit.record import AuditRecord
    from chartloop.kernel.db import Tx
    from smart_apps.people.people import People
    from smart_apps.people.person import Person
    from smart_apps.people.steps import Step
    from smart_apps.people.throttle import Bucket

MOST_TRIES = 5  # answers to one question for a second factor
WORDS = {"totp": "authenticator code", "passkey": "passkey", "recovery": "recovery code"}


@dataclass(frozen=True, slots=True)
class Caller:
    """Where a request comes from.

    Attributes:
        address: Network address.
        device: What the cookie of a browser holds that somebody logged in with before.
        request: Id of the request.
        next: Local path to go to afterwards.
    """

    address: str
    device: str
    request: str
    next: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a try.

    Attributes:
        session: Secret of the session, when it is done.
        step: What comes next, when a second factor is missing.
        wait_s: How long to wait, when there were too many tries.
        person: Who it is, once something was proved.
        over: The half-done login has ended: begin again.
    """

    session: str = ""
    step: Step | None = None
    wait_s: int = 0
    person: Person | None = None
    over: bool = False


WRONG = Outcome()


class Logins:
    """Logs people in."""

    def __init__(self, people: People) -> None:
        self._people = people

    def password(self, login: str, password: str, caller: Caller) -> Outcome:
        """Try a login and a password."""
        people, folded = self._people, person.fold(login)
        known = known_device(people, folded, caller.device)
        buckets = people.throttle.known(known) if known else people.throttle.strangers(folded, caller.address)
        wait_s = people.database.write(lambda tx: people.throttle.take(tx, buckets))
        who = person.by_login(people.database, folded) or NOBODY
        subject = who.subject(()) if who.id else stranger(people.seal.mac("typed", folded))
        if wait_s:
            people.audit.access(_refused(subject, "too many tries", caller))
            return Outcome(wait_s=wait_s)
        if not matches(who.password, password) or not who.active:
            why = "nobody has this login" if not who.id else "disabled" if not who.active else "wrong password"
            people.database.write(lambda tx: self._failed(tx, who, buckets, _refused(subject, why, caller)))
            return WRONG
        renewed = hashed(password) if outdated(who.password) else ""

        def work(tx: Tx) -> Outcome:
            people.throttle.succeed(tx, buckets)
            if renewed:
                person.set_password(tx, who.id, renewed)
            return self.go_on(tx, who.id, "password", caller)

        return people.database.write(work)

    def go_on(self, tx: Tx, id_: str, how: str, caller: Caller) -> Outcome:
        """Go on with somebody whose first factor was right: to the second one, to setting one up, or in."""
        who = person.by_id(tx, id_)
        if who is None or not who.active:
            return WRONG
        if factors(tx, who.id):
            return Outcome(step=steps.begin(tx, who.id, steps.SECOND, how, caller.next), person=who)
        if not self._people.may_go_on(tx, who):
            return Outcome(step=steps.begin(tx, who.id, steps.ENROL, how, caller.next), person=who)
        return Outcome(session=self.enter(tx, who, how, caller), person=who)

    def enter(self, tx: Tx, who: Person, how: str, caller: Caller) -> str:
        """Open the session of somebody who proved enough; gives its secret."""
        person.note_entry(tx, who.id)
        subject = who.subject(self._people.policies.scopes["default"])
        return self._people.sessions.open(tx, subject, who.display, how=f"{how}; from {caller.address}", request=caller.request)

    def second(self, step: Step, kind: str, answer: str, caller: Caller) -> Outcome:
        """Try a second factor: totp, passkey or recovery."""
        people = self._people

        def work(tx: Tx) -> Outcome:
            who = person.by_id(tx, step.person)
            if who is None or not who.active or step.stage != steps.SECOND or step.tries >= MOST_TRIES or not steps.count(tx, step):
                steps.end(tx, step)
                return Outcome(over=True)
            known = known_device(people, who.login, caller.device)
            buckets = people.throttle.known(f"second {known}") if known else people.throttle.strangers(f"second {who.id}", caller.address)
            wait_s = people.throttle.take(tx, buckets)
            if wait_s:
                people.audit.change(tx, _refused(who.subject(()), "too many tries of a second factor", caller))
                return Outcome(wait_s=wait_s, person=who)
            if not self._proves(tx, step, who, kind, answer):
                self._failed(tx, who, buckets, _refused(who.subject(()), f"wrong {WORDS.get(kind, 'second factor')}", caller))
                return Outcome(person=who)
            people.throttle.succeed(tx, buckets)
            steps.end(tx, step)
            return Outcome(session=self.enter(tx, who, f"{step.how} and {WORDS[kind]}", caller), person=who)

        return people.database.write(work)

    def challenge(self, step: Step) -> bytes:
        """Give the challenge of a half-done login: another one after each answer, so that none is good twice."""
        return self._people.seal.mac("challenge", step.secret, str(step.tries))

    def _proves(self, tx: Tx, step: Step, who: Person, kind: str, answer: str) -> bool:
        if kind == "totp":
            return totp.spend(tx, self._people.seal, who.id, answer)
        if kind == "recovery":
            return recovery.spend(tx, who.id, answer)
        return kind == "passkey" and passkeys.shown(tx, self._people.site, who.id, self.challenge(step), answer)

    def _failed(self, tx: Tx, who: Person, buckets: list[Bucket], record: AuditRecord) -> None:
        until = self._people.throttle.until(tx, buckets)
        locked = until > clock.now_us()
        person.note_failure(tx, who.id, until if locked else 0)
        self._people.audit.change(tx, record)
        if locked:
            self._people.audit.change(tx, login_record("lockout", record.subject, reason=record.reason, request=record.request, outcome=REFUSED))


def known_device(people: People, login: str, device: str) -> str:
    """Read the cookie of a browser with which this login was used before; empty when it is none."""
    nonce, _, mac = device.partition(".")
    return nonce if nonce and mac == people.seal.token("device", login, nonce) else ""


def _refused(who: Subject, why: str, caller: Caller) -> AuditRecord:
    return login_record("login-failed", who, reason=f"{why}; from {caller.address}", request=caller.request, outcome=REFUSED)
