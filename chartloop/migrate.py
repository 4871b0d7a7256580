"""Bring a database to the schema of this release: Alembic, run by whoever starts first, one at a time."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from urllib.parse import unquote

from alembic import command
from alembic.config import Config
from sqlalchemy import URL, MetaData, create_engine, make_url, text
from sqlalchemy.engine import Connection
from sqlalchemy.pool import NullPool

from chartloop.kernel.db import METADATA

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


def all_tables() -> MetaData:
    """Every table of every package."""
    for module in TABLE_MODULES:
        import_module(module)
    return METADATA


def migrate(url: str) -> None:
    """Upgrade the database to the newest migration; does nothing where it is there already.

    Args:
        url: `sqlite:///path` or `postgresql://…`, as in the settings.
    """
    engine = create_engine(engine_url(url), poolclass=NullPool)
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
        command.upgrade(alembic_config(connection), "head")


def engine_url(url: str) -> URL:
    """The settings' URL as SQLAlchemy's."""
    if url.startswith("sqlite:///"):
        path = Path(unquote(url.removeprefix("sqlite:///")))
        path.parent.mkdir(parents=True, exist_ok=True)
        return URL.create("sqlite", database=str(path))
    return make_url(url).set(drivername="postgresql+psycopg")


def alembic_config(connection: Connection) -> Config:
    """Alembic's configuration around an open connection."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config
