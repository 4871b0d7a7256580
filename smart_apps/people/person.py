"""A person who may log in, and the rows that remember them."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from chartloop.kernel import clock, ids
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.errors import Conflict, Invalid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chartloop.kernel.db import OneRow, Session, Tx

MAX_LOGIN = 100
MAX_DISPLAY = 200
ACTIVE, DISABLED = "active", "disabled"
_LOGIN = re.compile(r"[\w.@+-]{1,100}")
_REFERENCE = re.compile(r"[A-Z][A-Za-z]{1,63}/[A-Za-z0-9.-]{1,64}")
_COLUMNS = "id, login, display, role, user_ref, patient, password, status, failed, locked, entered, created, changed"


@dataclass(frozen=True, slots=True)
class Person:
    """One person.

    Attributes:
        id: Stable id; the subject of their sessions and tokens is "user:<id>".
        login: What they type, case-folded.
        display: How pages call them.
        role: A role that the policies know.
        user: Reference in the chart: "Practitioner/1".
        patient: Their own record, for a patient: "Patient/1".
        password: argon2id hash; empty until they chose one.
        status: active or disabled.
        failed: Failed tries since the last login.
        locked: Until when tries of strangers' browsers are not looked at, in microseconds.
        entered: The last login; 0 is never.
        created: When they were added.
        changed: When they were last changed.
    """

    id: str
    login: str
    display: str
    role: str
    user: str = ""
    patient: str = ""
    password: str = ""
    status: str = ACTIVE
    failed: int = 0
    locked: int = 0
    entered: int = 0
    created: int = 0
    changed: int = 0

    @property
    def active(self) -> bool:
        """Whether they may log in at all."""
        return self.status == ACTIVE

    @property
    def holder(self) -> str:
        """The id of their subject in sessions, tokens and the audit log."""
        return f"user:{self.id}"

    def subject(self, scopes: Sequence[str]) -> Subject:
        """Give the subject of a session of theirs."""
        return Subject(id=self.holder, role=self.role, user=self.user, patient=self.patient, scopes=tuple(scopes))


NOBODY = Person("", "", "", "")
"""Stands in for a person who is not there, so that the same statements run."""


def fold(login: str) -> str:
    """Write a login as it is compared: without case, and in one way where Unicode has several."""
    return unicodedata.normalize("NFKC", login.strip()).casefold()


def checked(person: Person, roles: Sequence[str]) -> Person:
    """Refuse a person who could not be.

    Raises:
        Invalid: The login, the role or a reference is wrong.
    """
    if not _LOGIN.fullmatch(person.login):
        raise Invalid(f"A login has 1 to {MAX_LOGIN} letters, digits and . @ + - _", code="value")
    if person.role not in roles:
        raise Invalid(f"There is no such role. Roles: {' '.join(roles)}", code="value")
    if any(reference and not _REFERENCE.fullmatch(reference) for reference in (person.user, person.patient)):
        raise Invalid('A reference is a type and an id: "Practitioner/1".', code="value")
    if not person.display.strip() or len(person.display) > MAX_DISPLAY or not person.display.isprintable():
        raise Invalid(f"A name to display has 1 to {MAX_DISPLAY} characters.", code="value")
    return person


def add(tx: Tx, person: Person, roles: Sequence[str]) -> Person:
    """Add a person, without a password; gives them with their id.

    Raises:
        Invalid: The login, the role or a reference is wrong.
        Conflict: The login is taken.
    """
    now = clock.now_us()
    made = checked(replace(person, id=ids.public_id(), login=fold(person.login), password="", created=now, changed=now), roles)  # nosec B106 nobody has one yet
    if by_login(tx, made.login) is not None:
        raise Conflict("This login is taken.")
    tx.run(f"insert into person ({_COLUMNS}) values ({', '.join('?' * 13)})", _row(made))
    return made


def save(tx: Tx, person: Person, roles: Sequence[str]) -> None:
    """Change who a person is: display, role, references, status.

    Raises:
        Invalid: The role or a reference is wrong.
    """
    checked(person, roles)
    tx.run(
        "update person set display = ?, role = ?, user_ref = ?, patient = ?, status = ?, changed = ? where id = ?",
        (person.display, person.role, person.user, person.patient, person.status, clock.now_us(), person.id),
    )


def set_password(tx: Tx, id_: str, hash_: str) -> None:
    """Keep the hash of a new password; an empty one lets nobody in."""
    tx.run("update person set password = ?, changed = ? where id = ?", (hash_, clock.now_us(), id_))


def note_failure(tx: Tx, id_: str, locked: int) -> None:
    """Count a failed try; the same statement runs for a login that nobody has."""
    tx.run("update person set failed = failed + 1, locked = ? where id = ?", (locked, id_))


def note_entry(tx: Tx, id_: str) -> None:
    """Remember a login, and forget the tries before it."""
    tx.run("update person set failed = 0, locked = 0, entered = ? where id = ?", (clock.now_us(), id_))


def by_login(db: OneRow, login: str) -> Person | None:
    """Find who has a login."""
    folded = fold(login)
    return _person(db.one(f"select {_COLUMNS} from person where login = ?", (folded if folded.isprintable() else "",)))  # PostgreSQL takes no NUL


def by_id(db: OneRow, id_: str) -> Person | None:
    """Find a person by id."""
    return _person(db.one(f"select {_COLUMNS} from person where id = ?", (id_,)))


def of_subject(db: OneRow, subject: Subject) -> Person | None:
    """Find whose subject this is; None for engines, tickets and tokens of the command line."""
    return by_id(db, subject.id.removeprefix("user:")) if subject.id.startswith("user:") else None


def everyone(db: Session) -> list[Person]:
    """List all people by login."""
    found = (_person(row) for row in db.all(f"select {_COLUMNS} from person order by login"))
    return [person for person in found if person is not None]


def _person(row: tuple[object, ...] | None) -> Person | None:
    return None if row is None else Person(*row)  # type: ignore[arg-type]


def _row(person: Person) -> tuple[object, ...]:
    who = (person.id, person.login, person.display, person.role, person.user, person.patient)
    return (*who, person.password, person.status, person.failed, person.locked, person.entered, person.created, person.changed)
