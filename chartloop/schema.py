"""Whether this release's code and a database's schema fit: what a process does that starts on an older or newer one.

The promise and its reasons: docs/explanation/migrations.md.
"""

from __future__ import annotations

import logging
from typing import Final, NamedTuple

from chartloop.backup.counting import revision
from chartloop.kernel.config import Settings
from chartloop.kernel.db_copies import sqlite_file
from chartloop.kernel.db_session import Session
from chartloop.kernel.errors import Unavailable
from chartloop.migrate import WORKS_FROM, known_revision, migrate, migrating_engine, newest, number_in, number_of, revisions, works_from

CURRENT: Final = "current"
BEHIND: Final = "behind"
AHEAD: Final = "ahead"
TOO_NEW: Final = "too new"

_log = logging.getLogger(__name__)


class SchemaStatus(NamedTuple):
    """How a database's schema stands to this release's.

    state is one of: current; behind (a migration is missing); ahead (a newer release has migrated, and says that this code works on it);
    too new (it says that it does not, or says nothing).
    """

    state: str
    revision: str
    newest: str
    missing: tuple[str, ...]
    works_from: int

    @property
    def fits(self) -> bool:
        """Whether this release may read and write there."""
        return self.state in {CURRENT, AHEAD}


def schema_status(url: str) -> SchemaStatus:
    """Look at a database; nothing is changed."""
    if url.startswith("sqlite:///") and not sqlite_file(url).exists():
        return judged("", 0)
    with migrating_engine(url).connect().execution_options(reading=True) as connection:
        found = known_revision(connection)
        return judged(found, works_from(connection) if found else 0)


def status_of(session: Session) -> SchemaStatus:
    """Look at a database that is open."""
    found = revision(session)
    if not found:
        return judged("", 0)
    row = session.one(WORKS_FROM[session.dialect])
    said = str(row[0] or "") if row else ""
    return judged(found, number_in(said))


def judged(found: str, oldest: int) -> SchemaStatus:
    """Compare a revision, and the oldest code that works on it, with what this release knows."""
    known = revisions()
    if found == newest():
        return SchemaStatus(CURRENT, found, newest(), (), oldest)
    if not found or found in known:
        return SchemaStatus(BEHIND, found, newest(), known[known.index(found) + 1 if found else 0 :], oldest)
    return SchemaStatus(AHEAD if 0 < oldest <= number_of(newest()) else TOO_NEW, found, newest(), (), oldest)


def bring_up(settings: Settings) -> None:
    """Make a database fit before it is opened: migrate an older one where that is allowed, refuse one that does not fit.

    Raises:
        Unavailable: The schema does not fit, or a migration could not be carried out; the sentence says what to do.
    """
    status = schema_status(settings.database_url)
    if status.state == BEHIND and settings.database.migrate:
        migrate(settings.database_url, lock_timeout_s=settings.database.migrate_lock_timeout_s)
    elif not status.fits:
        raise Unavailable(said_of(status))
    elif status.state == AHEAD:
        _log.warning(
            "The database has a newer schema than this release; it says that this code works on it.",
            extra={"action": "schema.ahead", "schema": status.revision, "newest": status.newest},
        )


def said_of(status: SchemaStatus) -> str:
    """Say in a sentence how a schema stands, and what to do."""
    if status.state == CURRENT:
        return f"The database is at schema {status.revision}, the newest of this release."
    if status.state == AHEAD:
        return f"The database is at schema {status.revision}, newer than this release's {status.newest}, which works on it."
    if status.state == TOO_NEW:
        return f"The database is at schema {status.revision}, which a newer release made and this one ({status.newest}) does not work on: start that release."
    return f"The database is at schema {status.revision or 'none'}, this release needs {status.newest}: run `chartloop db migrate`."
