"""`chartloop db copy`: a store moves to another kind of database and back, and works on there where it stood."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from chartloop.app import open_door
from chartloop.cli.main import run
from chartloop.copying import copy_store
from chartloop.kernel.audit.sealer import Sealer
from chartloop.kernel.audit.verify import verify
from chartloop.kernel.errors import Conflict, Invalid
from chartloop.kernel.keys import signing_key
from chartloop.kernel.process_lock import ProcessLock
from chartloop.kernel.worker import Permanent, Worker
from chartloop.migrate import migrate
from tests.integration.backup.conftest import CONSUMER, WHO, House, chart
from tests.integration.fhir_server.test_reindex import index_of, rebuilt
from tests.unit.kernel.consumers import Recorder

AREA = "Moving to another database"


def handled(house: House, *, refused: str = "") -> list[str]:
    """Work off everything that waits; subjects in the order in which they were handled."""
    with house.open() as kernel:
        recorder = Recorder(kernel.database, types=frozenset({"ResourceCreated", "ResourceUpdated"}))
        assert recorder.name == CONSUMER

        def refuse(event):
            if refused and event.subject == refused:
                raise Permanent("no")

        recorder.before = refuse
        worker = Worker(kernel.database, kernel.bus, [recorder], [], kernel.settings.worker)
        worker.start()
        assert worker.idle(20)
        worker.stop()
        return recorder.seen


def letters(house: House) -> list[tuple[object, ...]]:
    with house.open() as kernel:
        return sorted((letter.id, letter.event, letter.subject, letter.reason) for letter in kernel.dead_letters.list())


def written(house: House, *names: str) -> None:
    with house.open() as kernel:
        for name in names:
            chart(open_door(kernel).repository, name)


def works(house: House) -> None:
    """Sealed words, the index, new numbers and the audit log are as they should be."""
    assert "zanzibarquill" in house.narrative("p1")
    with house.open() as kernel:
        store = open_door(kernel).store
        assert index_of(store) == rebuilt(store)
        Sealer(kernel.database, house.data, signing_key(house.settings.keys)).seal()
        report = verify(kernel.database, house.data)
    assert (report.problems, report.unsealed) == ((), 0)


@pytest.mark.long
@pytest.mark.conformance(AREA, "a store moves from SQLite to PostgreSQL and back: what waited is handled once, dead letters stay, new rows get new numbers, the audit log verifies on both sides")
def test_a_store_moves_there_and_back(small_house: House, postgresql_url: str, tmp_path: Path) -> None:
    first = handled(small_house, refused="Patient/p2")
    assert len(first) == 6, "what comes after a dead letter of a patient waits with it"
    written(small_house, "p4")
    before = letters(small_house)
    assert len(before) == 1
    there = House(small_house.data, postgresql_url)
    copied = copy_store(small_house.settings, small_house.settings.database_url, postgresql_url, WHO)
    assert copied.problems == ()
    assert copied.tables["resource"] == 10
    assert letters(there) == before
    written(there, "p5", "p6")
    second = handled(there)
    assert sorted(subject.split("/")[0] for subject in second) == ["Observation"] * 3 + ["Patient"] * 3
    assert not set(second) & set(first)
    works(there)
    written(there, "p7")
    back = House(small_house.data, f"sqlite:///{tmp_path / 'back.sqlite3'}")
    assert copy_store(there.settings, postgresql_url, back.url, WHO).problems == ()
    written(back, "p8")
    third = handled(back)
    assert len(third) == 4
    assert not set(third) & {*first, *second}
    assert letters(back) == before
    works(back)


@pytest.mark.conformance(AREA, "nothing is copied while a server runs, into a database that is not empty, from an older schema, or from a log that does not hold")
def test_what_cannot_be_copied_safely_is_refused(small_house: House, tmp_path: Path) -> None:
    source, target = small_house.settings.database_url, f"sqlite:///{tmp_path / 'new.sqlite3'}"
    with ProcessLock(small_house.data), pytest.raises(Conflict, match="already serves"):
        copy_store(small_house.settings, source, target, WHO)
    with pytest.raises(Conflict, match="The target is not empty"):
        copy_store(small_house.settings, source, source, WHO)
    with pytest.raises(Invalid, match="There is no store"):
        copy_store(small_house.settings, target, source, WHO)
    with closing(sqlite3.connect(source.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute("UPDATE audit_change SET body = x'00' WHERE seq = 1")
    with pytest.raises(Invalid, match="does not hold before the copy"):
        copy_store(small_house.settings, source, target, WHO)
    with closing(sqlite3.connect(source.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '0003_search'")
    with pytest.raises(Invalid, match="Only a store at this release's schema"):
        copy_store(small_house.settings, source, target, WHO)


@pytest.mark.conformance(AREA, "whoever else is connected to PostgreSQL is counted, and nothing is copied")
def test_other_connections_are_counted(small_house: House, postgresql_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    migrate(postgresql_url)
    command = ["db", "copy", "--data", str(small_house.data), "--from", small_house.settings.database_url, "--to", postgresql_url]
    with psycopg.connect(postgresql_url):
        assert run(command) == 1
    assert "1 other connections are open" in capsys.readouterr().err


@pytest.mark.long
@pytest.mark.conformance(AREA, "a copy that cannot end leaves an empty database, which the next one fills")
def test_a_value_that_postgresql_cannot_hold_leaves_it_empty(small_house: House, postgresql_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with small_house.open() as kernel:
        kernel.database.write(lambda tx: tx.run("INSERT INTO inbox (source, key, digest, recorded) VALUES (?, ?, ?, 0)", ("a\x00b", "k", b"d")))
    command = ["db", "copy", "--data", str(small_house.data), "--from", small_house.settings.database_url, "--to", postgresql_url]
    assert run(command) == 1
    assert "PostgreSQL cannot hold a value of the table inbox" in capsys.readouterr().err
    with psycopg.connect(postgresql_url) as connection:
        assert connection.execute("SELECT count(*) FROM resource").fetchone() == (0,)
    with small_house.open() as kernel:
        kernel.database.write(lambda tx: tx.run("DELETE FROM inbox"))
    assert run(command) == 0
    assert capsys.readouterr().out.endswith("the copy holds: set database.url to it\n")
