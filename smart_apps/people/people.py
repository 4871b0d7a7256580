"""What everything about people is made from, and whether somebody needs a second factor."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from chartloop.kernel import clock
from smart_apps.endings import end_sessions_of
from smart_apps.people import links, passkeys, person, recovery, steps, totp
from smart_apps.people.passkeys import Site, site
from smart_apps.people.sealing import Seal
from smart_apps.people.throttle import Throttle

if TYPE_CHECKING:
    from pathlib import Path

    from chartloop.kernel.access.policy_set import PolicySet
    from chartloop.kernel.audit.journal import Audit
    from chartloop.kernel.db import Database, Session, Tx
    from chartloop.kernel.settings_sections import AuthSettings
    from smart_apps.people.person import Person
    from smart_apps.sessions import Sessions

MICROSECONDS = 1_000_000
EVERY_ROLE = "*"


@dataclass(frozen=True, slots=True)
class Factors:
    """Which second factors somebody has."""

    totp: bool
    passkeys: int
    codes: int

    def __bool__(self) -> bool:
        return self.totp or self.passkeys > 0


@dataclass(frozen=True, slots=True)
class People:
    """The people of one server."""

    database: Database
    audit: Audit
    policies: PolicySet
    sessions: Sessions
    settings: AuthSettings
    seal: Seal
    root: str
    throttle: Throttle = field(init=False)
    site: Site = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "throttle", Throttle(self.seal, self.settings.lockout_tries, self.settings.lockout_max_s))
        object.__setattr__(self, "site", site(self.root))

    @property
    def secure(self) -> bool:
        """Whether browsers reach this server over TLS."""
        return self.root.startswith("https://")

    def find(self, id_: str) -> Person | None:
        """Find a person by id."""
        return person.by_id(self.database, id_)

    def may_go_on(self, db: Session, who: Person) -> bool:
        """Whether somebody may enter without a second factor, because none is set up and none must be yet."""
        if factors(db, who.id):
            return False
        required = who.role in self.settings.second_factor_roles or EVERY_ROLE in self.settings.second_factor_roles
        return not required or self.grace_ends(who) > clock.now_us()

    def grace_ends(self, who: Person) -> int:
        """Until when a role that needs a second factor gets in without one."""
        return who.created + round(self.settings.second_factor_grace_h * 3600 * MICROSECONDS)


def open_people(
    database: Database, audit: Audit, policies: PolicySet, sessions: Sessions, settings: AuthSettings, *, keys: Path, base_url: str
) -> People:
    """Open the people of one data directory."""
    return People(database, audit, policies, sessions, settings, Seal(keys), base_url.rstrip("/"))


def factors(db: Session, id_: str) -> Factors:
    """Look which second factors somebody has."""
    return Factors(totp.enrolled(db, id_), len(passkeys.of(db, id_)), recovery.left(db, id_))


def shut_out(tx: Tx, who: Person, *, keep: str = "") -> int:
    """End every session of somebody but one, and what is half done; returns how many sessions.

    Without one to keep, all their tokens end at once, too.
    """
    steps.end_all(tx, who.id)
    links.end(tx, who.id)
    return end_sessions_of(tx, who.holder, keep=keep)
