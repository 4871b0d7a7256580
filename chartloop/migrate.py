"""Bring a database to the schema of this release: Alembic, run by whoever starts first, one at a time."""

from __future__ import annotations

import random
import time
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from psycopg.errors import LockNotAvailable
from sqlalchemy import URL, Engine, MetaData, create_engine, event, inspect, make_url, text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from chartloop.kernel.db import METADATA
from chartloop.kernel.errors import Unavailable

MIGRATIONS = Path(__file__).parent / "migrations"
TABLE_MODULES = (
    "cds_hooks.tables",
    "chartloop.kernel.access.tables",
    "chartloop.kernel.auth_tables",
    "chartloop.kernel.tables",
    "chartloop.kernel.vault.tables",
    "claims.tables",
    "fhir_server.tables",
    "ingest.tables",
    "predictions.risk.tables",
    "ingest.telemetry.tables",
    "smart_apps.people.tables",
    "smart_apps.tables",
)
ADVISORY_LOCK = 0x63686C70  # "chlp": two processes that start together migrate one after the other
LOCK_TIMEOUT_S: Final = 5.0
_ATTEMPTS: Final = 12
_SQLITE_WAIT_S: Final = 600.0
_MARK: Final = "works with code from "
WORKS_FROM: Final = {"sqlite": "PRAGMA user_version", "postgresql": "SELECT obj_description('alembic_version'::regclass)"}
"""What asks a database for the number of the oldest migration whose code works on it."""


def all_tables() -> MetaData:
    """Every table of every package."""
    for module in TABLE_MODULES:
        import_module(module)
    return METADATA


def migrate(url: str, *, lock_timeout_s: float = LOCK_TIMEOUT_S) -> None:
    """Upgrade the database to the newest migration, all of it or nothing; does nothing where it is there already.

    On PostgreSQL a statement that waits for a table makes everybody behind it wait too: after `lock_timeout_s` the migration takes itself
    back, lets them pass, and tries again.

    Args:
        url: `sqlite:///path` or `postgresql://…`, as in the settings.
        lock_timeout_s: How long one statement waits for a table.

    Raises:
        Unavailable: Somebody holds a table that a migration must change; nothing was changed.
    """
    engine = migrating_engine(url)
    with engine.connect().execution_options(reading=True) as connection:
        if known_revision(connection) == newest():
            return
    for attempt in range(_ATTEMPTS):
        try:
            with engine.begin() as connection:
                _alone(connection, lock_timeout_s)
                command.upgrade(alembic_config(connection), "head")
                _mark(connection)
        except OperationalError as error:
            if not isinstance(error.orig, LockNotAvailable):
                raise
        else:
            return
        time.sleep(min(5.0, 0.2 * 2**attempt) * (0.5 + random.random() / 2))
    raise Unavailable("A migration waits for a table that another session holds, such as a long query or a dump; nothing was changed, try again when that has ended.")


def migrating_engine(url: str) -> Engine:
    """An engine whose transactions hold table changes on SQLite too, and keep other writers out from their beginning."""
    target = engine_url(url)
    if target.get_backend_name() != "sqlite":
        return create_engine(target, poolclass=NullPool)
    engine = create_engine(target, poolclass=NullPool, connect_args={"timeout": _SQLITE_WAIT_S})

    @event.listens_for(engine, "connect")
    def _(connection: Any, _record: object) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def _(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN" if connection.get_execution_options().get("reading") else "BEGIN IMMEDIATE")

    return engine


def known_revision(connection: Connection) -> str:
    """The migration that a database is at, whichever release made it; empty before the first."""
    if not inspect(connection).has_table("alembic_version"):
        return ""
    return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar() or "")


def works_from(connection: Connection) -> int:
    """Number of the oldest migration whose code works on this database, as the newest migration has written it down; 0 where nobody has."""
    return number_in(str(connection.execute(text(WORKS_FROM[connection.dialect.name])).scalar() or ""))


def number_in(said: str) -> int:
    """Read what a database says of the oldest code that works on it; 0 where it says nothing."""
    digits = said.removeprefix(_MARK)
    return int(digits) if digits.isdecimal() else 0


@cache
def newest() -> str:
    """The newest migration that this release knows."""
    return str(_scripts().get_current_head())


@cache
def revisions() -> tuple[str, ...]:
    """Every migration that this release knows, the oldest first."""
    return tuple(script.revision for script in reversed(list(_scripts().walk_revisions())))


def number_of(revision: str) -> int:
    """The number in front of a migration's name: 4 of 0004_trust."""
    digits = revision[:4]
    return int(digits) if digits.isdecimal() else 0


def engine_url(url: str) -> URL:
    """The settings' URL as SQLAlchemy's."""
    if url.startswith("sqlite:///"):
        path = Path(unquote(url.removeprefix("sqlite:///")))
        path.parent.mkdir(parents=True, exist_ok=True)
        return URL.create("sqlite", database=str(path))
    return make_url(url).set(drivername="postgresql+psycopg")


def alembic_config(connection: Connection | None = None) -> Config:
    """Alembic's configuration, around an open connection where there is one."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(alembic_config())


def _alone(connection: Connection, lock_timeout_s: float) -> None:
    """Wait for whoever migrates; from then on no statement waits for long. On SQLite the transaction itself keeps others out."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
        connection.execute(text("select set_config('lock_timeout', :wait, true)"), {"wait": f"{round(lock_timeout_s * 1000)}ms"})


def _mark(connection: Connection) -> None:
    """Write down which code works on the schema: what the migrations say of themselves, the strictest of them."""
    oldest = max(number_of(str(getattr(script.module, "works_from", script.revision))) for script in _scripts().walk_revisions())
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"PRAGMA user_version = {oldest}")
    else:
        connection.exec_driver_sql(f"COMMENT ON TABLE alembic_version IS '{_MARK}{oldest}'")
