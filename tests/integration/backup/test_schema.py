"""What a process does on a schema that is older or newer than its own, and that what migrations promise is so (docs/explanation/migrations.md)."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import psycopg
import pytest
from alembic import command
from sqlalchemy import MetaData, create_engine, inspect, text
from sqlalchemy.pool import NullPool

from chartloop.app import open_door, open_kernel
from chartloop.cli.main import run
from chartloop.kernel.config import load_settings
from chartloop.kernel.errors import Unavailable
from chartloop.migrate import alembic_config, engine_url, known_revision, migrate, migrating_engine, newest, number_of, revisions, works_from
from chartloop.schema import AHEAD, BEHIND, CURRENT, TOO_NEW, judged, schema_status
from tests.integration.backup.conftest import House, chart

AREA = "Zero-downtime migration"
ROOT = Path(__file__).resolve().parents[3]
BEFORE = revisions()[-2]
FUTURE = number_of(newest()) + 1


def at(url: str, revision: str) -> None:
    """Bring an empty database to an older schema."""
    with migrating_engine(url).begin() as connection:
        command.upgrade(alembic_config(connection), revision)


def from_the_future(url: str, oldest: int) -> None:
    """What the release after this one would leave: a new table, a new column and a new index, and what it says of older code."""
    with migrating_engine(url).begin() as connection:
        connection.execute(text("CREATE TABLE of_the_future (id BIGINT PRIMARY KEY)"))
        connection.execute(text("ALTER TABLE resource ADD COLUMN of_the_future BIGINT"))
        connection.execute(text("ALTER TABLE event ADD COLUMN of_the_future TEXT NOT NULL DEFAULT ''"))
        connection.execute(text("CREATE INDEX of_the_future_too ON version (method)"))
        connection.execute(text(f"UPDATE alembic_version SET version_num = '{FUTURE:04d}_future'"))
        mark = f"PRAGMA user_version = {oldest}" if connection.dialect.name == "sqlite" else f"COMMENT ON TABLE alembic_version IS 'works with code from {oldest}'"
        connection.execute(text(mark))


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.long)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> House:
    return House(tmp_path / "data", str(request.getfixturevalue("postgresql_url")) if request.param == "postgresql" else "")


@pytest.mark.conformance(AREA, "code of one release before reads and writes on a newer schema that says that it works there, and refuses one that says that it does not")
def test_old_code_works_on_a_newer_schema_where_that_was_promised(place: House) -> None:
    place.fill(("p1",))
    url = place.settings.database_url
    from_the_future(url, number_of(newest()))
    assert schema_status(url).state == AHEAD
    with place.open() as kernel:
        chart(open_door(kernel).repository, "p2")
    assert "zanzibarquill" in place.narrative("p2")
    with migrating_engine(url).begin() as connection:
        mark = f"PRAGMA user_version = {FUTURE}" if connection.dialect.name == "sqlite" else f"COMMENT ON TABLE alembic_version IS 'works with code from {FUTURE}'"
        connection.execute(text(mark))
    assert schema_status(url).state == TOO_NEW
    with pytest.raises(Unavailable, match="start that release"):
        place.open()


@pytest.mark.conformance(AREA, "new code brings an older schema up, or refuses it with a sentence where a start may not migrate")
def test_new_code_on_an_older_schema_brings_it_up_or_says_what_to_do(place: House, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    url = place.settings.database_url
    at(url, BEFORE)
    found = schema_status(url)
    assert (found.state, found.revision, found.missing) == (BEHIND, BEFORE, (newest(),))
    forbidden = load_settings({"data": place.data, "database.url": place.url, "database.migrate": False})
    with pytest.raises(Unavailable, match="run `chartloop db migrate`"):
        open_kernel(forbidden)
    assert schema_status(url).state == BEHIND
    monkeypatch.setenv("CHARTLOOP_DATABASE__URL", place.url)
    assert run(["db", "status", "--json", "--data", str(place.data)]) == 1
    assert json.loads(capsys.readouterr().out)["missing"] == [newest()]
    assert run(["db", "migrate", "--data", str(place.data)]) == 0
    assert "the newest of this release" in capsys.readouterr().out
    with open_kernel(forbidden):
        pass
    with migrating_engine(url).begin() as connection:
        assert (known_revision(connection), works_from(connection)) == (newest(), number_of(newest()))


def test_a_look_at_a_place_without_a_database_makes_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["db", "status", "--data", str(tmp_path / "data")]) == 1
    assert "is at schema none" in capsys.readouterr().out
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("revision", "oldest", "state"),
    [(newest(), 0, CURRENT), ("", 0, BEHIND), (BEFORE, 1, BEHIND), ("9999_later", number_of(newest()), AHEAD), ("9999_later", 1, AHEAD), ("9999_later", number_of(newest()) + 1, TOO_NEW), ("9999_later", 0, TOO_NEW)],
)
def test_a_schema_is_judged_by_what_it_says_of_older_code(revision: str, oldest: int, state: str) -> None:
    assert judged(revision, oldest).state == state


@pytest.mark.conformance(AREA, "a migration that says that older code goes on working takes nothing away: every older table takes the rows that it took, and gives them back")
@pytest.mark.parametrize("revision", revisions()[1:])
def test_a_migration_keeps_what_it_promises(revision: str, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'x.sqlite3'}"
    script = next(found for found in alembic_scripts() if found.revision == revision)
    promised = number_of(str(getattr(script.module, "works_from", revision))) < number_of(revision)
    at(url, str(script.down_revision))
    older = shape(url)
    at(url, revision)
    broken = broken_for(url, older)
    if promised:
        assert broken == []
    else:
        assert number_of(revision) >= 1, "it promises nothing"


def alembic_scripts() -> list:
    from alembic.script import ScriptDirectory

    return list(ScriptDirectory.from_config(alembic_config()).walk_revisions())


def shape(url: str) -> dict[str, dict[str, str]]:
    """Columns of every table with their types."""
    with create_engine(engine_url(url), poolclass=NullPool).connect() as connection:
        found = inspect(connection)
        return {name: {column["name"]: str(column["type"]) for column in found.get_columns(name)} for name in found.get_table_names() if name != "alembic_version"}


def broken_for(url: str, older: dict[str, dict[str, str]]) -> list[str]:
    """Say which statements of older code fail now: an insert that names the older columns, a select of them."""
    engine, metadata = create_engine(engine_url(url), poolclass=NullPool), MetaData()
    metadata.reflect(engine)
    broken = []
    for name, columns in older.items():
        table = metadata.tables.get(name)
        if table is None:
            broken.append(f"{name} is gone")
            continue
        broken += [f"{name}.{column} is gone or of another type" for column, kind in columns.items() if column not in table.columns or str(table.columns[column].type) != kind]
        broken += [f"{name}.{column.name} must be given" for column in table.columns if column.name not in columns and not column.nullable and column.server_default is None]
    return broken


def test_what_takes_away_is_found(tmp_path: Path) -> None:
    """The check itself: it sees what it is there to see."""
    url = f"sqlite:///{tmp_path / 'x.sqlite3'}"
    at(url, BEFORE)
    older = shape(url)
    with migrating_engine(url).begin() as connection:
        connection.execute(text("DROP TABLE inbox"))
        connection.execute(text("ALTER TABLE event RENAME COLUMN trace TO traced"))
        connection.execute(text("CREATE TABLE again AS SELECT * FROM lease"))
        connection.execute(text("DROP TABLE lease"))
        connection.execute(text("CREATE TABLE lease (consumer TEXT, slot TEXT, owner TEXT, token BIGINT, until BIGINT, more TEXT NOT NULL)"))
    assert set(broken_for(url, older)) >= {"inbox is gone", "event.trace is gone or of another type", "lease.more must be given"}


@pytest.mark.long
@pytest.mark.conformance(AREA, "processes that start together on an older schema migrate it once, on both databases")
def test_two_processes_that_start_at_once_migrate_once(place: House) -> None:
    url = place.settings.database_url
    at(url, BEFORE)
    script = "import sys; from chartloop.migrate import migrate; sys.stdin.read(1); migrate(sys.argv[1])"
    both = [subprocess.Popen([sys.executable, "-c", script, url], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) for _ in range(2)]
    for process in both:
        assert process.stdin is not None
        process.stdin.write("x")
        process.stdin.flush()
    said = [process.communicate(timeout=60)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert schema_status(url).state == CURRENT


@pytest.mark.conformance(AREA, "a migration that waits for a table on PostgreSQL lets others pass, and goes on when it is free; one that waits for ever changes nothing and says why")
def test_a_migration_does_not_hold_up_those_who_work(postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    at(postgresql_url, BEFORE)
    monkeypatch.setattr("chartloop.migrate._ATTEMPTS", 2)
    with psycopg.connect(postgresql_url) as holder:
        holder.execute("LOCK TABLE interchange IN ROW EXCLUSIVE MODE")
        with pytest.raises(Unavailable, match="waits for a table that another session holds"):
            migrate(postgresql_url, lock_timeout_s=0.1)
        assert schema_status(postgresql_url).state == BEHIND
        monkeypatch.setattr("chartloop.migrate._ATTEMPTS", 50)
        migrating = threading.Thread(target=migrate, args=(postgresql_url,), kwargs={"lock_timeout_s": 0.1})
        migrating.start()
        time.sleep(0.3)
        holder.rollback()
        migrating.join(60)
    assert schema_status(postgresql_url).state == CURRENT
