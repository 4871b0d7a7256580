"""Whose an external identity is: registered beforehand, or by a claim that the settings name; never by guess.

The first login by a claim binds the provider's `sub`: when the provider gives the same name to somebody else later, they are refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chartloop.kernel import clock
from chartloop.kernel.errors import Conflict, Invalid
from smart_apps.people import person
from smart_apps.people.person import Person
from smart_apps.people.records import people_record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chartloop.kernel.access.subject import Subject
    from chartloop.kernel.audit.journal import Audit
    from chartloop.kernel.db import OneRow, Tx
    from chartloop.kernel.settings_sections import OidcSettings

EMAIL = "email"
MAX_SUB = 255


def link(tx: Tx, issuer: str, sub: str, id_: str) -> None:
    """Register an identity of a person.

    Raises:
        Conflict: It is somebody's already.
    """
    if not sub or len(sub) > MAX_SUB:
        raise Invalid(f"A subject at a provider has 1 to {MAX_SUB} characters.", code="value")
    if owner(tx, issuer, sub) is not None:
        raise Conflict("This identity is somebody's already.")
    tx.run("insert into person_identity (issuer, sub, person, created) values (?, ?, ?, ?)", (issuer, sub, id_, clock.now_us()))


def owner(db: OneRow, issuer: str, sub: str) -> str | None:
    """Find whose identity this is."""
    row = db.one("select person from person_identity where issuer = ? and sub = ?", (issuer, sub))
    return None if row is None else str(row[0])


def whose(tx: Tx, settings: OidcSettings, claims: Mapping[str, Any], audit: Audit, roles: Sequence[str], who: Subject) -> Person | None:
    """Find who came from the provider; None for somebody unknown here.

    Args:
        tx: Transaction in which an identity is bound, and a person added where the settings say so.
        settings: Which provider, and which claim names people.
        claims: Verified claims of the id_token.
        audit: Where a new person is recorded.
        roles: Roles that the policies know.
        who: Subject for that record.
    """
    sub = str(claims["sub"])
    known = owner(tx, settings.issuer, sub)
    if known is not None:
        return person.by_id(tx, known)
    name = claims.get(settings.claim) if settings.claim else None
    if not isinstance(name, str) or not name or (settings.claim == EMAIL and claims.get("email_verified") is not True):
        return None
    found = person.by_login(tx, name)
    if found is None:
        found = _created(tx, settings, name, claims, audit, roles, who)
    elif tx.one("select 1 from person_identity where issuer = ? and person = ?", (settings.issuer, found.id)) is not None:
        return None  # the name belongs to another subject of this provider
    if found is not None:
        link(tx, settings.issuer, sub, found.id)
        audit.change(tx, people_record("user-changed", who, (found.holder,), "bound to an identity of the OpenID provider"))
    return found


def _created(tx: Tx, settings: OidcSettings, name: str, claims: Mapping[str, Any], audit: Audit, roles: Sequence[str], who: Subject) -> Person | None:
    if not settings.create_role:
        return None
    shown = claims.get("name")
    display = shown if isinstance(shown, str) and shown.strip() and shown.isprintable() else name
    try:
        made = person.add(tx, Person("", name, display[: person.MAX_DISPLAY], settings.create_role), roles)
    except Invalid:
        return None
    audit.change(tx, people_record("user-created", who, (made.holder,), "came from the OpenID provider for the first time"))
    return made
