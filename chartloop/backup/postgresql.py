"""PostgreSQL's own programs: pg_dump and pg_restore, found on PATH or by setting.

A password travels in the environment of the program, never on its command line.
Spec: https://www.postgresql.org/docs/current/app-pgdump.html, https://www.postgresql.org/docs/current/app-pgrestore.html
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from chartloop.backup.files import sync
from chartloop.kernel.config import Settings, child_environment
from chartloop.kernel.errors import ChartloopError, Unavailable

DUMP: Final = "store.dump"
_TOO_OLD: Final = "server version mismatch"


def dump(settings: Settings, snapshot: str, target: Path) -> None:
    """Dump the database as one snapshot saw it, in the custom format.

    Raises:
        Unavailable: There is no pg_dump, or it could not dump.
    """
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    conninfo, secrets = _told(settings.database_url)
    arguments = ["--format=custom", "--no-owner", "--no-privileges", f"--snapshot={snapshot}", f"--file={target}", f"--dbname={conninfo}"]
    _run([program("pg_dump", settings), *arguments], secrets)
    sync(target)


def restore_dump(settings: Settings, dump_file: Path) -> None:
    """Fill an empty database from a dump: all of it, or nothing.

    Raises:
        Unavailable: There is no pg_restore, or it could not restore.
    """
    conninfo, secrets = _told(settings.database_url)
    arguments = ["--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction", f"--dbname={conninfo}", str(dump_file)]
    _run([program("pg_restore", settings), *arguments], secrets)


@contextmanager
def rows_of_dump(settings: Settings, dump_file: Path) -> Iterator[IO[bytes]]:
    """Give the data of a dump as text, without a database.

    Raises:
        Unavailable: There is no pg_restore, or the dump cannot be read to its end.
    """
    command = [program("pg_restore", settings), "--data-only", "--file=-", str(dump_file)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:  # noqa: S603 found by setting or on PATH
        if process.stdout is None or process.stderr is None:
            raise ChartloopError
        yield process.stdout
        process.stdout.read()
        if process.wait():
            raise Unavailable(_meaning("pg_restore", process.returncode, process.stderr.read().decode("utf-8", "replace")))


def program(name: str, settings: Settings) -> str:
    """Find a client program.

    Raises:
        Unavailable: It is not there.
    """
    directory = settings.database.client_directory
    found = shutil.which(name, path=str(directory) if directory else None)
    if found is None:
        where = f"in {directory}" if directory else "on PATH"
        raise Unavailable(f"{name} is not {where}: install PostgreSQL's client programs, or name their directory with database.client_directory.")
    return found


def _told(url: str) -> tuple[str, dict[str, str]]:
    """What a program is told on its command line, which everybody here can read, and what in its environment."""
    said = conninfo_to_dict(url)
    secret = said.pop("password", None)
    return make_conninfo(**said), {"PGPASSWORD": str(secret)} if secret else {}  # type: ignore[arg-type]


def _run(command: list[str], secrets: dict[str, str]) -> None:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, env=child_environment(secrets), check=False)  # noqa: S603 found by setting or on PATH
    if done.returncode:
        raise Unavailable(_meaning(Path(command[0]).name, done.returncode, done.stderr.decode("utf-8", "replace")))


def _meaning(name: str, status: int, said: str) -> str:
    """Say what went wrong; the program's own words may quote a row."""
    if _TOO_OLD in said:
        return f"{name} is older than the server: install the client programs of the server's version, and name their directory with database.client_directory."
    for sign, meaning in (
        ("does not exist", "something that it needs does not exist there"),
        ("No space left", "the disk is full"),
        ("could not connect", "the server does not answer"),
        ("connection to server", "the server does not answer, or does not let it in"),
        ("not appear to be a valid archive", "this is no dump"),
        ("could not read from input file", "the dump ends early"),
        ("permission denied", "it may not"),
    ):
        if sign in said:
            return f"{name} failed: {meaning}."
    return f"{name} failed with status {status}."
