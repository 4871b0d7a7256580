"""A full disk, a locked file, an unsafe server: a clear answer, nothing lost, later writes work again."""

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from chartloop.kernel.db import Database, Tx, create_tables, open_database
from chartloop.kernel.errors import ChartloopError, Invalid, Unavailable

FAULTS = sa.MetaData()
sa.Table("ballast", FAULTS, sa.Column("id", sa.Integer, primary_key=True), sa.Column("body", sa.LargeBinary))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a directory" / "chartloop.sqlite3"


@pytest.fixture
def sqlite_database(path: Path) -> Iterator[Database]:
    opened = open_database(f"sqlite:///{path}", busy_timeout_s=0.2)
    create_tables(opened, FAULTS)
    yield opened
    opened.close()


def _insert(tx: Tx, number: int, size: int = 10) -> int:
    tx.run("INSERT INTO ballast (id, body) VALUES (?, ?)", (number, b"x" * size))
    return number


def _ids(database: Database) -> list[int]:
    with database.read() as session:
        return [row[0] for row in session.all("SELECT id FROM ballast ORDER BY id")]


@pytest.mark.conformance("Faults", "a full disk (max_page_count): what was acknowledged is there, what was refused is not, later writes work")
def test_a_full_disk_is_answered_and_later_writes_work(sqlite_database: Database) -> None:
    sqlite_database.write(lambda tx: tx.one("PRAGMA max_page_count = 40"))
    acknowledged: list[int] = []
    refused: list[str] = []
    lock = threading.Lock()

    def write(start: int) -> None:
        for number in range(start, start + 10):
            try:
                done = sqlite_database.write(lambda tx, number=number: _insert(tx, number, 8000))  # type: ignore[misc]
                with lock:
                    acknowledged.append(done)
            except Unavailable as error:
                with lock:
                    refused.append(str(error))

    threads = [threading.Thread(target=write, args=(start,)) for start in range(0, 80, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refused
    assert all("nothing was changed" in sentence for sentence in refused)
    assert len(acknowledged) + len(refused) == 80
    assert _ids(sqlite_database) == sorted(acknowledged)
    sqlite_database.write(lambda tx: tx.one("PRAGMA max_page_count = 100000"))
    assert sqlite_database.write(lambda tx: _insert(tx, 1000, 8000)) == 1000
    assert _ids(sqlite_database) == [*sorted(acknowledged), 1000]


def test_work_that_swallows_a_full_disk_stores_nothing(sqlite_database: Database) -> None:
    def swallow(tx: Tx) -> None:
        _insert(tx, 1)
        tx.one("PRAGMA max_page_count = 20")
        for number in range(2, 60):
            try:
                _insert(tx, number, 8000)
            except Unavailable:
                continue

    with pytest.raises(ChartloopError):
        sqlite_database.write(swallow)
    assert _ids(sqlite_database) == []


@pytest.mark.conformance("Faults", "a database locked by another process is a clear answer, and later writes work")
def test_a_file_locked_by_another_process_is_answered_and_later_writes_work(sqlite_database: Database, path: Path) -> None:
    script = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); c.execute('BEGIN IMMEDIATE');"
        "print('locked', flush=True); sys.stdin.readline()"
    )
    other = subprocess.Popen([sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout
    assert other.stdout.readline() == "locked\n"
    with pytest.raises(Unavailable, match="Another process holds the database"):
        sqlite_database.write(lambda tx: _insert(tx, 1))
    assert _ids(sqlite_database) == []
    other.communicate("\n")
    assert sqlite_database.write(lambda tx: _insert(tx, 1)) == 1


def test_a_commit_that_fails_fails_for_all_of_its_group_and_for_nobody_else(sqlite_database: Database) -> None:
    def deferred(tx: Tx) -> None:
        tx.run("CREATE TABLE IF NOT EXISTS child (id INTEGER REFERENCES ballast (id) DEFERRABLE INITIALLY DEFERRED)")

    sqlite_database.write(deferred)
    with pytest.raises(ChartloopError):
        sqlite_database.write(lambda tx: tx.run("INSERT INTO child VALUES (4711)"))
    assert sqlite_database.write(lambda tx: _insert(tx, 1)) == 1
    assert _ids(sqlite_database) == [1]


def test_a_missing_directory_is_made_and_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("this is no database, but it is long enough to be looked at" * 30)
    with pytest.raises((ChartloopError, sqlite3.DatabaseError)):
        open_database(f"sqlite:///{tmp_path / 'text'}")


def test_a_closed_database_refuses_instead_of_hanging(sqlite_database: Database) -> None:
    sqlite_database.close()
    with pytest.raises(Unavailable):
        sqlite_database.write(lambda tx: _insert(tx, 1))


@pytest.mark.conformance("What must be real underneath", "a PostgreSQL that acknowledges before it is durable is refused")
def test_a_server_that_acknowledges_too_early_is_refused(postgresql_url: str) -> None:
    with pytest.raises(Invalid, match="synchronous_commit=off"):
        open_database(f"{postgresql_url}&options=-csynchronous_commit%3Doff")


def test_a_server_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="does not answer"):
        open_database("postgresql://127.0.0.1:1/nowhere")


@pytest.mark.conformance("Faults", "a lost PostgreSQL connection is a clear answer once, then works again")
def test_a_lost_connection_is_unavailable_once_and_then_works_again(postgresql_url: str) -> None:
    database = open_database(postgresql_url)
    create_tables(database, FAULTS)
    with psycopg.connect(postgresql_url, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'")
    with pytest.raises(Unavailable):
        database.write(lambda tx: _insert(tx, 1))
    assert database.write(lambda tx: _insert(tx, 1)) == 1
    with pytest.raises(Unavailable):
        _ids(database)
    assert _ids(database) == [1]
    database.close()


def test_a_collision_is_tried_again(postgresql_url: str) -> None:
    database = open_database(postgresql_url)
    create_tables(database, FAULTS)
    for number in (1, 2):
        database.write(lambda tx, number=number: _insert(tx, number))  # type: ignore[misc]
    meet = threading.Barrier(2, timeout=10)
    runs: list[int] = []

    def cross(first: int, second: int) -> None:
        def work(tx: Tx) -> None:
            runs.append(first)
            tx.run("UPDATE ballast SET body = ? WHERE id = ?", (b"", first))
            if len(runs) <= 2:
                meet.wait()
            tx.run("UPDATE ballast SET body = ? WHERE id = ?", (b"", second))

        database.write(work)

    threads = [threading.Thread(target=cross, args=pair) for pair in ((1, 2), (2, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    # The one that is tried again may be first at the other's row, and collide once more.
    assert len(runs) >= 3
    assert database.one("SELECT count(*) FROM ballast WHERE body = ?", (b"",)) == (2,)
    database.close()


def test_work_that_goes_on_after_a_failed_statement_stores_nothing(postgresql_url: str) -> None:
    database = open_database(postgresql_url)
    create_tables(database, FAULTS)

    def swallow(tx: Tx) -> None:
        _insert(tx, 1)
        try:
            _insert(tx, 1)
        except ChartloopError:
            return

    with pytest.raises(RuntimeError, match="nothing was stored"):
        database.write(swallow)
    assert _ids(database) == []
    database.close()
