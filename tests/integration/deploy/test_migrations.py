"""The migrations make the tables that the packages declare, once, whoever comes first."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import MetaData, create_engine, inspect, text
from sqlalchemy.pool import NullPool

from chartloop.migrate import all_tables, engine_url, migrate

ROOT = Path(__file__).resolve().parents[3]
HEAD = "0005_operations"


def schema(url: str) -> dict[str, object]:
    """Columns and indexes of every table, and the revision."""
    with create_engine(engine_url(url), poolclass=NullPool).connect() as connection:
        found = inspect(connection)
        shape: dict[str, object] = {
            name: (
                [(c["name"], str(c["type"]), c["nullable"]) for c in found.get_columns(name)],
                found.get_pk_constraint(name)["constrained_columns"],
                sorted((str(i["name"]), tuple(i["column_names"]), i["unique"]) for i in found.get_indexes(name)),
            )
            for name in found.get_table_names()
        }
        shape["revision"] = connection.execute(text("select version_num from alembic_version")).scalars().all()
    return shape


@pytest.mark.conformance("What must be real underneath", "Alembic: migrating an empty database gives exactly the declared tables, on both databases")
def test_migrating_an_empty_database_gives_exactly_the_declared_tables(database_url: str) -> None:
    migrate(database_url)
    declared = MetaData()
    for table in all_tables().sorted_tables:
        if not table.name.startswith("test_"):  # tables of other tests, declared on the same metadata
            table.to_metadata(declared)
    with create_engine(engine_url(database_url), poolclass=NullPool).connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, declared) == []
        assert set(inspect(connection).get_table_names()) == {*declared.tables, "alembic_version"}


@pytest.mark.conformance("What must be real underneath", "Alembic: migrating again changes nothing")
def test_migrating_twice_changes_nothing(database_url: str) -> None:
    migrate(database_url)
    before = schema(database_url)
    migrate(database_url)
    assert schema(database_url) == before
    assert str(before["revision"]).startswith(f"['{HEAD}")


@pytest.mark.conformance("What must be real underneath", "Alembic: processes that start together on an empty PostgreSQL all find the schema")
def test_two_processes_that_migrate_at_once_both_succeed(postgresql_url: str) -> None:
    script = "import sys; from chartloop.migrate import migrate; sys.stdin.read(1); migrate(sys.argv[1])"
    both = [
        subprocess.Popen([sys.executable, "-c", script, postgresql_url], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
        for _ in range(2)
    ]
    for process in both:  # both stand at the start before either goes
        assert process.stdin is not None
        process.stdin.write("x")
        process.stdin.flush()
    said = [process.communicate(timeout=60)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert str(schema(postgresql_url)["revision"]).count(HEAD) == 1
