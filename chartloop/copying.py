"""`chartloop db copy`: a whole store into another database, all of it in one transaction, with the server stopped.

Journal, keys and files stay where they are. What depends on the database server is brought along: the numbers that it gives next, where
consumers and the sealer stand, the statistics that PostgreSQL plans with.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from typing import Final, cast

from sqlalchemy import Table

from chartloop.backup.counting import differing, rows_by_table
from chartloop.backup.verifying import unlock
from chartloop.kernel import positions
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.audit.journal import Audit
from chartloop.kernel.audit.record import AuditRecord
from chartloop.kernel.audit.verify import VerifyReport
from chartloop.kernel.audit.verify import verify as verify_log
from chartloop.kernel.config import Settings
from chartloop.kernel.db import Database, Session, Tx, open_database
from chartloop.kernel.db_copies import sqlite_file
from chartloop.kernel.db_load import load
from chartloop.kernel.db_numbers import go_on_after, last_number
from chartloop.kernel.db_session import Row
from chartloop.kernel.errors import Conflict, Invalid
from chartloop.kernel.process_lock import ProcessLock
from chartloop.migrate import all_tables, migrate
from chartloop.schema import CURRENT, said_of, schema_status
from fhir_server.opening import declare_statistics
from fhir_server.versions import stored_versions

COPIED: Final = "store-copied"
COUNTER: Final = "rid_counter"
"""One row on SQLite, only a sequence on PostgreSQL."""
_OTHERS: Final = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"


@dataclass(frozen=True, slots=True)
class Copied:
    """What was copied: rows by table, sealed audit records, and what does not hold."""

    tables: dict[str, int]
    records: int
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether everything holds."""
        return not self.problems


def copy_store(settings: Settings, source: str, target: str, who: Subject) -> Copied:
    """Copy a store into an empty database; compare counts, and verify the audit log on both sides.

    Args:
        settings: They say where the journal and the keys are, which both databases use.
        source: URL of the store.
        target: URL of a database that is empty, or has this release's tables without a row.
        who: Who copies, for the audit log.

    Raises:
        Conflict: Somebody is at one of the databases, or the target is not empty.
        Invalid: The source is not at this release's schema, or its audit log does not hold.
    """
    _refuse_schema(source)
    with ProcessLock(settings.data):
        _prepare(target)
        with closing(open_database(source, connections=3)) as from_, closing(open_database(target, connections=3)) as to:
            for database, url in ((from_, source), (to, target)):
                _refuse_others(database, url)
            _refuse_rows(to)
            return _copied(settings, from_, to, who)


def _refuse_schema(source: str) -> None:
    if source.startswith("sqlite:///") and not sqlite_file(source).is_file():
        raise Invalid(f"There is no store at {source}.")
    status = schema_status(source)
    if status.state != CURRENT:
        raise Invalid(f"{said_of(status)} Only a store at this release's schema is copied.")


def _prepare(target: str) -> None:
    """Make the tables of a database that has none."""
    status = schema_status(target)
    if status.state != CURRENT and status.revision:
        raise Conflict(f"The target is not empty. {said_of(status)}")
    migrate(target)


def _refuse_others(database: Database, url: str) -> None:
    row = database.one(_OTHERS) if database.dialect == "postgresql" else None
    if row and row[0]:
        kind = url.partition(":")[0]
        raise Conflict(f"{row[0]} other connections are open to the {kind} database: stop every chartloop process and whoever else is there.")


def _refuse_rows(target: Database) -> None:
    with target.read() as session:
        filled = [f"{name} ({count:,})" for name, count in rows_by_table(session).items() if count]
    if filled:
        raise Conflict(f"The target is not empty: {', '.join(filled[:5])}. Copy into a new database.")


def _copied(settings: Settings, source: Database, target: Database, who: Subject) -> Copied:
    source.write(lambda tx: Audit.plain(tx, AuditRecord("R", COPIED, "0", who, ("store",), ())))
    before = _proved(settings, source)
    if not before.ok:
        raise Invalid(f"The audit log does not hold before the copy, so nothing was copied: {before.problems[0]}")
    with source.read(snapshot=True) as session:
        expected = rows_by_table(session)
        target.write(lambda tx: _copy_all(session, tx))
    if target.dialect == "postgresql":
        target.write(declare_statistics)
        target.write(lambda tx: tx.run("ANALYZE"))
    with target.read(snapshot=True) as session:
        found = rows_by_table(session)
    after = _proved(settings, target)
    for counts in (expected, found):
        counts.pop(COUNTER, None)
    problems = [*differing(expected, found, "rows of"), *(f"On the new database: {problem}" for problem in after.problems)]
    if (after.sealed, after.unsealed) != (before.sealed, before.unsealed):
        problems.append(f"{after.sealed:,} sealed and {after.unsealed:,} unsealed audit records there, {before.sealed:,} and {before.unsealed:,} here")
    return Copied(found, after.sealed, tuple(problems))


def _proved(settings: Settings, database: Database) -> VerifyReport:
    versions = None if unlock(settings, database) else stored_versions
    return verify_log(database, settings.data, heads_file=settings.audit.heads_file, anchor_file=settings.audit.anchor_file, versions=versions)


def _copy_all(source: Session, tx: Tx) -> None:
    """Copy every table, then what the server itself knows of them."""
    for table in all_tables().sorted_tables:
        if table.name == COUNTER:
            _copy_counter(source, tx)
        else:
            _copy_table(source, tx, table)
    if positions.are_foreign(tx):
        positions.bring_home(tx)


def _copy_table(source: Session, tx: Tx, table: Table) -> None:
    columns = [column.name for column in table.columns]
    quoted = ", ".join(f'"{name}"' for name in columns)
    order = ", ".join(f'"{column.name}"' for column in table.primary_key.columns)
    found = source.each(f'SELECT {quoted} FROM {table.name}{f" ORDER BY {order}" if order else ""}')
    with closing(cast("Generator[Row, None, None]", found)) as rows:
        load(tx, table.name, columns, rows)
    numbered = table.autoincrement_column
    if numbered is not None and numbered.autoincrement is True:
        go_on_after(tx, table.name, numbered.name, last_number(source, table.name, numbered.name))


def _copy_counter(source: Session, tx: Tx) -> None:
    """The last number of a resource: a row here, a sequence there."""
    if source.dialect == "postgresql":
        last = last_number(source, COUNTER, "n")
    else:
        row = source.one(f"SELECT max(n) FROM {COUNTER}")
        last = int(row[0]) if row and row[0] is not None else 0
    if last and tx.dialect == "postgresql":
        go_on_after(tx, COUNTER, "n", last)
    elif last:
        tx.run(f"INSERT INTO {COUNTER} (n) VALUES (?)", (last,))
