"""Making a backup while the server serves: a directory that appears whole, or not at all."""

from __future__ import annotations

import os
import shutil
from contextlib import closing
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from chartloop.backup import postgresql
from chartloop.backup.counting import counted, revision
from chartloop.backup.files import copy_file, digest_of, files_below, files_to_keep, is_database, make_directory, sync
from chartloop.backup.journal_files import JournalFiles, last_head
from chartloop.backup.keys_apart import audit_public_key, keys_of, named_key_files
from chartloop.backup.manifest import Manifest
from chartloop.kernel import clock, ids
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.audit.journal import Audit
from chartloop.kernel.audit.record import AuditRecord
from chartloop.kernel.config import Settings
from chartloop.kernel.db import Database, Session, open_database
from chartloop.kernel.db_copies import SqliteCopy, copy_online, sqlite_file
from chartloop.kernel.db_sqlite import SqliteDatabase
from chartloop.kernel.errors import ChartloopError, Conflict, Invalid, Unavailable

STORE: Final = "store.sqlite3"
FILES: Final = "files"
CREATED: Final = "backup-created"
_ELSEWHERE: Final = "{what} is not in the data directory and not in this backup: {how}."


def create(settings: Settings, destination: Path, who: Subject) -> tuple[Manifest, str]:
    """Make a backup; return what it says of itself, and the SHA-256 of that.

    Args:
        settings: Of the running server.
        destination: A directory that is not there yet.
        who: Who asked for it, for the audit log.

    Raises:
        Conflict: The destination is there already.
        Invalid: It lies in the data directory.
        Unavailable: Something cannot be read or written; nothing is left at the destination.
    """
    _refuse(settings, destination)
    draft = destination.absolute().parent / f".{destination.name}.{ids.public_id()[:8]}.partial"
    try:
        make_directory(draft.parent)
        draft.mkdir(mode=0o700)
        with closing(open_database(settings.database_url, busy_timeout_s=30.0, connections=2)) as database:
            if not database.one(_HAS_SCHEMA[database.dialect]):
                raise Invalid(f"There is no store in {settings.data}: nothing to back up.")
            database.write(lambda tx: Audit.plain(tx, AuditRecord("R", CREATED, "0", who, ("backup",), ())))
            manifest = _fill(settings, database, draft)
        digest = manifest.write(draft)
        _publish(draft, destination)
    except OSError as error:
        raise Unavailable(f"The backup could not be made at {destination}: {os.strerror(error.errno or 0)}.") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return manifest, digest


_HAS_SCHEMA: Final = {
    "sqlite": "SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'",
    "postgresql": "SELECT 1 FROM pg_tables WHERE tablename = 'alembic_version' AND schemaname = current_schema()",
}


def _refuse(settings: Settings, destination: Path) -> None:
    if destination.exists():
        raise Conflict(f"{destination} is there already: name a directory that is not, such as one with today's date.")
    if destination.resolve().is_relative_to(settings.data.resolve()):
        raise Invalid(f"{destination} lies in the data directory: a backup belongs on another disk.")
    if settings.embedded and not sqlite_file(settings.database_url).exists():
        raise Invalid(f"There is no store in {settings.data}: nothing to back up.")


def _fill(settings: Settings, database: Database, draft: Path) -> Manifest:
    """Journal, store, journal again, then what the store refers to: whatever the store knows of is there when it is copied."""
    made = clock.iso(clock.now_us())
    journal = JournalFiles(settings, draft)
    journal.copy_before()
    said = _sqlite(settings, database, draft) if isinstance(database, SqliteDatabase) else _postgresql(settings, database, draft)
    files = journal.copy_after(said["audit"]["head"]["size"] if said["audit"]["head"] else 0)
    store = draft / (STORE if database.dialect == "sqlite" else postgresql.DUMP)
    files[store.name] = digest_of(store)
    files |= _others(settings, draft)
    for directory in {(draft / name).parent for name in files}:
        sync(directory)
    return Manifest(made=made, product=metadata.version("chartloop"), kind=database.dialect, files=files, left_out=_left_out(settings), **said)


def _sqlite(settings: Settings, database: SqliteDatabase, draft: Path) -> dict[str, Any]:
    copy_online(database.path, draft / STORE)
    with closing(SqliteCopy(draft / STORE)) as copy, copy.read() as session:
        return _said(settings, session)


def _postgresql(settings: Settings, database: Database, draft: Path) -> dict[str, Any]:
    """Count in the very snapshot that is dumped."""
    with database.read(snapshot=True) as session:
        row = session.one("SELECT pg_export_snapshot()")
        if row is None:
            raise ChartloopError
        postgresql.dump(settings, str(row[0]), draft / postgresql.DUMP)
        return _said(settings, session)


def _said(settings: Settings, session: Session) -> dict[str, Any]:
    tables, resources = counted(session)
    head = last_head(session)
    audit = {"records": head["size"] if head else 0, "head": head, "public_key": audit_public_key(settings.keys)}
    return {"schema": revision(session), "tables": tables, "resources": resources, "audit": audit, "keys": keys_of(settings, session)}


def _others(settings: Settings, draft: Path) -> dict[str, dict[str, Any]]:
    """Copy what else is in the data directory: payloads of devices, models, training examples, research databases."""
    store = [sqlite_file(settings.database_url)] if settings.embedded else []
    copied = {}
    for path in files_to_keep(settings.data, [*store, *named_key_files(settings)]):
        target = draft / FILES / path
        make_directory(target.parent)
        if is_database(path):
            copy_online(settings.data / path, target)
            copied[f"{FILES}/{path}"] = digest_of(target)
        elif (settings.data / path).exists():
            copied[f"{FILES}/{path}"] = copy_file(settings.data / path, target)
    return copied


def _left_out(settings: Settings) -> list[str]:
    found = []
    for what, url in (("The research database", settings.omop_url), ("The lineage of the research database", settings.omop_lineage_url)):
        inside = url.startswith("sqlite:///") and sqlite_file(url).resolve().is_relative_to(settings.data.resolve())
        if not inside:
            found.append(_ELSEWHERE.format(what=what, how="`chartloop omop rebuild` makes it anew"))
    if settings.predictions.model_directory or settings.coding.model_directory:
        found.append(_ELSEWHERE.format(what="A directory of models", how="copy it yourself"))
    if settings.policy.directory:
        found.append(_ELSEWHERE.format(what="The directory of policies", how="copy it yourself"))
    return found


def _publish(draft: Path, destination: Path) -> None:
    """Give a whole backup its name."""
    for directory in {draft, *(draft / path.parent for path in files_below(draft))}:
        sync(directory)
    if destination.exists():
        raise Conflict(f"{destination} was made meanwhile by somebody else.")
    draft.rename(destination)
    sync(destination.absolute().parent)
