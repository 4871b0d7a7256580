"""Rows of every table, to be compared between a store and its copy."""

from __future__ import annotations

from typing import Any

from chartloop.kernel.db_session import Session
from chartloop.migrate import all_tables
from fhir_server.counting import resources_by_type

_TABLES = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'table'",
    "postgresql": "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()",
}


def tables_there(session: Session) -> list[str]:
    """Names of our tables that the database has; an older schema has fewer."""
    there = {row[0] for row in session.all(_TABLES[session.dialect])}
    return sorted(there & set(all_tables().tables))


def rows_by_table(session: Session) -> dict[str, int]:
    """Count the rows of every table."""
    return {name: _count(session, name) for name in tables_there(session)}


def counted(session: Session) -> tuple[dict[str, int], dict[str, int]]:
    """Count rows by table and resources by type."""
    tables = rows_by_table(session)
    return tables, resources_by_type(session) if "resource" in tables else {}


def differing(expected: dict[str, int], found: dict[str, int], what: str) -> list[str]:
    """Say where two counts differ."""
    names = sorted(set(expected) | set(found))
    return [f"{what} {name}: {found.get(name, 0):,} here, {expected.get(name, 0):,} there" for name in names if expected.get(name, 0) != found.get(name, 0)]


def revision(session: Session) -> str:
    """The migration that a database is at; empty where there is none."""
    there: list[Any] = session.all(_TABLES[session.dialect])
    if ("alembic_version",) not in there:
        return ""
    row = session.one("SELECT version_num FROM alembic_version")
    return str(row[0]) if row else ""


def _count(session: Session, table: str) -> int:
    row = session.one(f"SELECT count(*) FROM {table}")
    return int(row[0]) if row else 0
