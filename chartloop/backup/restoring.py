"""Restoring a backup into an empty place: all of it is there and proved, or the place is told to be unfinished."""

from __future__ import annotations

import os
import shutil
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from chartloop.backup import postgresql
from chartloop.backup.counting import counted, differing
from chartloop.backup.creating import FILES, STORE
from chartloop.backup.files import copy_file, digest_of, files_below, make_directory, sync
from chartloop.backup.keys_apart import bring_keys, missing_keys
from chartloop.backup.manifest import Manifest, read_manifest
from chartloop.backup.verifying import prove, unlock
from chartloop.kernel import positions
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.audit.anchors import Anchors, heads_files, last_head
from chartloop.kernel.audit.journal import Audit, audit_directory
from chartloop.kernel.audit.record import AuditRecord
from chartloop.kernel.audit.verify import VerifyReport
from chartloop.kernel.config import Settings
from chartloop.kernel.db import Database, open_database
from chartloop.kernel.db_copies import sqlite_file
from chartloop.kernel.errors import Conflict, Invalid, Unavailable
from chartloop.kernel.process_lock import ProcessLock
from chartloop.migrate import migrate

RESTORED: Final = "backup-restored"
_WORKING: Final = ".restoring"
_MAY_BE_THERE: Final = frozenset({"keys", "serve.lock"})
_ANYTHING: Final = "SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'v', 'S') LIMIT 1"


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored.

    Attributes:
        manifest: Of the backup.
        problems: What is not as the manifest says, and what the audit proof found; none where everything holds.
        notes: What must be done or known before the first start.
        log: The audit proof.
    """

    manifest: Manifest
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    log: VerifyReport

    @property
    def ok(self) -> bool:
        """Whether everything is there and proved."""
        return not self.problems


def restore(settings: Settings, source: Path, who: Subject, *, keys: Path | None = None, keys_later: bool = False) -> Restored:
    """Put a backup where the settings say that data and database are; both must be empty.

    Args:
        settings: Of the server that will run there.
        source: The backup.
        who: Who restores, for the audit log.
        keys: Where the key files were kept apart; they are copied to the new place.
        keys_later: Go on without them.

    Raises:
        Conflict: Something lives there.
        Invalid: This is no whole backup, one of another kind of database, or keys are missing.
        Unavailable: Something cannot be read or written.
    """
    manifest = read_manifest(source)
    _refuse_other_kind(settings, manifest)
    make_directory(settings.data)
    with ProcessLock(settings.data):
        _refuse_living(settings)
        if keys is not None:
            bring_keys(keys, settings.keys)
        missing = missing_keys(settings, manifest.keys)
        if missing and not keys_later:
            raise Invalid(f"Keys that this backup needs are not here: {'; '.join(missing)}. Bring them with --keys, or go on with --keys-later and put them there before the first start.")
        try:
            _put(settings, source, manifest)
        except OSError as error:
            raise Unavailable(f"The backup could not be restored: {os.strerror(error.errno or 0)}.") from None
        return _proved(settings, manifest, who, missing)


def _refuse_other_kind(settings: Settings, manifest: Manifest) -> None:
    wanted = "sqlite" if settings.embedded else "postgresql"
    if manifest.kind != wanted:
        raise Invalid(f"This backup is of {manifest.kind}, and database.url names {wanted}: restore it into its own kind, then `chartloop db copy`.")


def _refuse_living(settings: Settings) -> None:
    there = sorted({path.name for path in settings.data.iterdir()} - _MAY_BE_THERE)
    if _WORKING in there:
        raise Conflict(f"A restore did not end in {settings.data}: remove everything there but the keys, empty the database, and begin again.")
    if there:
        raise Conflict(f"{settings.data} is not empty ({', '.join(there[:5])}): restore into a new directory; only the directory of keys may be there already.")
    if settings.embedded:
        if _store(settings).exists():
            raise Conflict(f"{_store(settings)} is there already: restore into an empty place.")
        return
    with closing(open_database(settings.database_url, connections=2)) as database:
        if database.one(_ANYTHING):
            raise Conflict("The database that database.url names is not empty: make a new one (`createdb`) and name that.")


def _store(settings: Settings) -> Path:
    return sqlite_file(settings.database_url)


def _put(settings: Settings, source: Path, manifest: Manifest) -> None:
    """Copy every file beside its place, comparing digests; then fill the database; then give the files their names, the store last."""
    working = settings.data / _WORKING
    working.mkdir(mode=0o700)
    for name, expected in manifest.files.items():
        if name != postgresql.DUMP:
            _copy(source / name, working / name, expected)
    if not settings.embedded:
        _fill(settings, source, manifest)
    for path in files_below(working):
        target = _place(settings, path)
        if target is not None:
            make_directory(target.parent)
            (working / path).rename(target)
            sync(target.parent)
    if settings.embedded:
        make_directory(_store(settings).parent)
        shutil.move(working / STORE, _store(settings))
    shutil.rmtree(working)
    sync(settings.data)


def _copy(source: Path, target: Path, expected: dict[str, Any]) -> None:
    if copy_file(source, target) != expected:
        raise Invalid(f"{source} is not what the backup's manifest says: run `chartloop backup verify`, and use another backup.")


def _fill(settings: Settings, source: Path, manifest: Manifest) -> None:
    if digest_of(source / postgresql.DUMP) != manifest.files[postgresql.DUMP]:
        raise Invalid(f"{source / postgresql.DUMP} is not what the backup's manifest says: run `chartloop backup verify`, and use another backup.")
    postgresql.restore_dump(settings, source / postgresql.DUMP)


def _place(settings: Settings, path: Path) -> Path | None:
    """Where a file of a backup belongs; None for the store, which comes last."""
    if path.parts[0] == FILES:
        return settings.data.joinpath(*path.parts[1:])
    return settings.data / path if path.parts[0] == audit_directory(Path()).name else None


def _proved(settings: Settings, manifest: Manifest, who: Subject, missing: list[str]) -> Restored:
    """Compare with the manifest, bring the schema up, run the audit proof, and let the log say that it was restored."""
    with closing(open_database(settings.database_url, connections=4)) as database:
        with database.read(snapshot=True) as session:
            tables, resources = counted(session)
        problems = differing(manifest.tables, tables, "rows of") + differing(manifest.resources, resources, "resources of type")
        _settle(database)
    migrate(settings.database_url)
    with closing(open_database(settings.database_url, connections=4)) as database:
        notes = [*(f"Before the first start: {each}." for each in missing), *unlock(settings, database), *_outside(settings, database)]
        log = prove(settings, database, settings.data, manifest, compare=not missing)
        database.write(lambda tx: Audit.plain(tx, AuditRecord("E", RESTORED, "0" if log.ok and not problems else "8", who, ("backup",), (), manifest.made)))
    return Restored(manifest, (*problems, *log.problems), tuple(notes), log)


def _settle(database: Database) -> None:
    """Let cursors and statistics fit the database server that the rows came to."""
    with database.read() as session:
        foreign = positions.are_foreign(session)
    if foreign:
        database.write(positions.bring_home)
    if database.dialect == "postgresql":  # on SQLite our own planner asks the tables themselves
        database.write(lambda tx: tx.run("ANALYZE"))


def _outside(settings: Settings, database: Database) -> list[str]:
    """Say which places of tree heads know of more than the backup: those records are lost."""
    own = audit_directory(settings.data) / "heads.jsonl"
    places = [file for file in heads_files(own.parent, settings.audit.heads_file, settings.audit.anchor_file) if file != own]
    notes = []
    for file in places:
        if Anchors((file,)).problems(database):
            head = last_head(file)
            notes.append(
                f"{file} knows of {head.size if head else 0:,} records, more than this backup or others: nothing is sealed until it was moved away and "
                "`chartloop audit anchor --reset --reason …` was run."
            )
    return notes
