"""What an administrator does to people, each change recorded with it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from chartloop.kernel.errors import NotFound
from smart_apps.endings import end_sessions_of
from smart_apps.people import identities, links, person
from smart_apps.people.people import shut_out
from smart_apps.people.person import ACTIVE, DISABLED, Person
from smart_apps.people.records import people_record

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chartloop.kernel.access.subject import Subject
    from chartloop.kernel.audit.journal import Audit
    from chartloop.kernel.db import Database, Tx

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Administration:
    """Changes people.

    Attributes:
        database: Where they are kept.
        audit: Where it is recorded.
        roles: Roles that the policies know.
        who: Who changes them.
        link_ttl_s: How long the link works by which a person chooses a password.
    """

    database: Database
    audit: Audit
    roles: Sequence[str]
    who: Subject
    link_ttl_s: float

    def add(self, asked: Person) -> tuple[Person, str]:
        """Add a person; gives them, and the secret of the link by which they choose a password.

        Raises:
            Invalid: The login, the role or a reference is wrong.
            Conflict: The login is taken.
        """

        def work(tx: Tx) -> tuple[Person, str]:
            made = person.add(tx, asked, self.roles)
            self._note(tx, "user-created", made, f"role {made.role}")
            return made, links.make(tx, made.id, self.link_ttl_s)

        return self.database.write(work)

    def change(self, login: str, **fields: str) -> Person:
        """Change display, role, user or patient; a new role or reference ends sessions and tokens, which hold the old one.

        Raises:
            NotFound: Nobody has this login.
            Invalid: The role or a reference is wrong.
        """

        def work(tx: Tx, who: Person) -> Person:
            changed = replace(who, **fields)  # type: ignore[arg-type]
            person.save(tx, changed, self.roles)
            if (changed.role, changed.user, changed.patient) != (who.role, who.user, who.patient):
                shut_out(tx, changed)
            return changed

        what = ", ".join(f"{name} {value}" if name == "role" else name for name, value in fields.items())
        return self._with(login, f"changed: {what}", work)

    def disable(self, login: str) -> Person:
        """Let somebody in no more; their sessions, tokens and links end at once."""

        def work(tx: Tx, who: Person) -> Person:
            person.save(tx, replace(who, status=DISABLED), self.roles)
            shut_out(tx, who)
            return replace(who, status=DISABLED)

        return self._with(login, "disabled", work)

    def enable(self, login: str) -> Person:
        """Let somebody in again."""

        def work(tx: Tx, who: Person) -> Person:
            person.save(tx, replace(who, status=ACTIVE), self.roles)
            return replace(who, status=ACTIVE)

        return self._with(login, "enabled", work)

    def new_password(self, login: str) -> tuple[Person, str]:
        """Void a password, end the sessions, and make a link by which the person chooses a new one."""

        def work(tx: Tx, who: Person) -> tuple[Person, str]:
            person.set_password(tx, who.id, "")
            shut_out(tx, who)
            return who, links.make(tx, who.id, self.link_ttl_s)

        return self._with(login, "password voided, link made", work)

    def reset_second_factor(self, login: str) -> Person:
        """Forget every second factor and recovery code; the sessions end."""

        def work(tx: Tx, who: Person) -> Person:
            for table in ("person_totp", "person_passkey", "person_recovery"):
                tx.run(f"delete from {table} where person = ?", (who.id,))
            shut_out(tx, who)
            return who

        return self._with(login, "second factors removed", work)

    def end_sessions(self, login: str) -> int:
        """End every session and token of somebody; gives how many sessions."""
        return self._with(login, "sessions ended", lambda tx, who: end_sessions_of(tx, who.holder))

    def external(self, login: str, issuer: str, sub: str) -> Person:
        """Register an identity at an external provider.

        Raises:
            Conflict: It is somebody's already.
        """

        def work(tx: Tx, who: Person) -> Person:
            identities.link(tx, issuer, sub, who.id)
            return who

        return self._with(login, "external identity registered", work)

    def _with(self, login: str, what: str, work: Callable[[Tx, Person], T]) -> T:
        def recorded(tx: Tx) -> T:
            who = person.by_login(tx, login)
            if who is None:
                raise NotFound("Nobody has this login.")
            done = work(tx, who)
            self._note(tx, "user-changed", who, what)
            return done

        return self.database.write(recorded)

    def _note(self, tx: Tx, interaction: str, about: Person, what: str) -> None:
        self.audit.change(tx, people_record(interaction, self.who, (about.holder,), what))
