"""Whether a backup is what was made, and whether the audit log in it proves itself; the backup is only read."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from chartloop.backup import postgresql
from chartloop.backup.counting import counted, differing, revision
from chartloop.backup.creating import STORE
from chartloop.backup.dump_rows import take_rows
from chartloop.backup.files import digest_of, files_below
from chartloop.backup.journal_files import last_head
from chartloop.backup.keys_apart import audit_public_key
from chartloop.backup.manifest import NAME, Manifest, read_manifest
from chartloop.kernel.audit.verify import VerifyReport
from chartloop.kernel.audit.verify import verify as verify_log
from chartloop.kernel.config import Settings
from chartloop.kernel.db import Database, create_tables, open_database
from chartloop.kernel.db_copies import SqliteCopy
from chartloop.kernel.errors import Unavailable
from chartloop.kernel.vault.opening import open_vault
from chartloop.migrate import all_tables, newest
from fhir_server.versions import stored_versions


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found in a backup.

    Attributes:
        manifest: What it says of itself.
        problems: Sentences; none where everything holds.
        notes: What could not be looked at, and why.
        log: The audit proof; None where it could not be run.
    """

    manifest: Manifest
    problems: tuple[str, ...]
    notes: tuple[str, ...]
    log: VerifyReport | None

    @property
    def ok(self) -> bool:
        """Whether everything holds."""
        return not self.problems


def verify(settings: Settings, directory: Path) -> Checked:
    """Check digests, open the copy, count, and run the audit proof on it.

    Raises:
        Invalid: This is no backup.
    """
    manifest = read_manifest(directory)
    problems = check_files(directory, manifest)
    if problems:
        return Checked(manifest, tuple(problems), ("The store was not opened.",), None)
    if manifest.schema != newest():
        note = f"The backup has schema {manifest.schema}, this release {newest()}: its rows and its audit log are checked by the release that made it, or after a restore."
        return Checked(manifest, (), (note,), None)
    notes: list[str] = []
    with _opened(settings, directory, manifest) as (database, found_problems):
        problems += found_problems
        notes += unlock(settings, database)
        log = prove(settings, database, directory, manifest, compare=not notes)
    return Checked(manifest, (*problems, *log.problems), tuple(notes), log)


def check_files(directory: Path, manifest: Manifest) -> list[str]:
    """Compare every file with its digest."""
    there = {str(path) for path in files_below(directory)} - {NAME}
    problems = [f"{name} is not in the manifest" for name in sorted(there - set(manifest.files))]
    for name, expected in sorted(manifest.files.items()):
        if name not in there:
            problems.append(f"{name} is missing")
        elif digest_of(directory / name) != expected:
            problems.append(f"{name} was altered: its size or SHA-256 is not that of the manifest")
    return problems


def unlock(settings: Settings, database: Database) -> list[str]:
    """Let sealed records be read where the master key is at hand; say so where it is not."""
    try:
        open_vault(database, settings.vault.model_copy(update={"mode": "off"}), settings.keys)
    except Unavailable as error:
        return [f"Versions were not compared with their records. {error}"]
    return []


def prove(settings: Settings, database: Database, directory: Path, manifest: Manifest, *, compare: bool) -> VerifyReport:
    """Run the audit proof, trusting the key that this machine has, else the one that the manifest names."""
    key = audit_public_key(settings.keys) or manifest.audit["public_key"]
    trusted = Ed25519PublicKey.from_public_bytes(bytes.fromhex(key)) if key else None
    return verify_log(database, directory, public_key=trusted, versions=stored_versions if compare else None)


@contextmanager
def _opened(settings: Settings, directory: Path, manifest: Manifest) -> Iterator[tuple[Database, list[str]]]:
    """Open the copy for reading, and compare what is in it with the manifest."""
    if manifest.kind == "sqlite":
        with closing(SqliteCopy(directory / STORE)) as copy:
            damage = copy.damage()
            yield copy, [f"{STORE}: {damage}"] if damage else _compared(copy, manifest)
        return
    place = Path(tempfile.mkdtemp(prefix="chartloop-verify-"))
    try:
        with closing(open_database(f"sqlite:///{place / STORE}")) as database:
            create_tables(database, all_tables())
            with postgresql.rows_of_dump(settings, directory / postgresql.DUMP) as rows:
                tables = take_rows(rows, database)
            yield database, differing(manifest.tables, tables, "rows of")
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _compared(copy: SqliteCopy, manifest: Manifest) -> list[str]:
    with copy.read() as session:
        tables, resources = counted(session)
        problems = differing(manifest.tables, tables, "rows of") + differing(manifest.resources, resources, "resources of type")
        if revision(session) != manifest.schema:
            problems.append(f"the store is at schema {revision(session)}, the manifest says {manifest.schema}")
        if last_head(session) != manifest.audit["head"]:
            problems.append("the last signed tree head is not that of the manifest")
    return problems

