"""Opening a database, and making its tables."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote

from sqlalchemy import Dialect, MetaData
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from chartloop.kernel.access.tables import ACCESS_GRANT
from chartloop.kernel.db_postgresql import PostgresqlDatabase
from chartloop.kernel.db_session import METADATA, Database, OneRow, Session, Tx
from chartloop.kernel.db_sqlite import SqliteDatabase
from chartloop.kernel.errors import Invalid
from chartloop.kernel.tables import EVENT

DECLARED = (EVENT, ACCESS_GRANT)  # importing them declares them: whoever makes tables makes those of the kernel
KERNEL_TABLES = EVENT.metadata

__all__ = ["METADATA", "Database", "OneRow", "Session", "Tx", "create_tables", "open_database", "table_statements"]

_DIALECTS: dict[str, Callable[[], Dialect]] = {"sqlite": sqlite.dialect, "postgresql": postgresql.dialect}


def open_database(url: str, *, busy_timeout_s: float = 5.0, connections: int = 32) -> Database:
    """Open sqlite:///path or postgresql://…, refusing settings under which an acknowledged write could be lost."""
    if url.startswith("sqlite:///"):
        path, _, query = url.removeprefix("sqlite:///").partition("?")
        if query:
            raise Invalid("A SQLite URL takes no parameters: durability is not an option.")
        return SqliteDatabase(Path(unquote(path)), busy_timeout_s=busy_timeout_s)
    if url.startswith(("postgresql://", "postgres://")):
        return PostgresqlDatabase(url, connections=connections)
    raise Invalid("The database URL must start with sqlite:/// or postgresql://.")


def table_statements(dialect: str, metadata: MetaData = KERNEL_TABLES) -> list[str]:
    """Write the statements that make every table and index that is not there yet."""
    compiler: Dialect = _DIALECTS[dialect]()
    statements = []
    for table in metadata.sorted_tables:
        statements.append(str(CreateTable(table, if_not_exists=True).compile(dialect=compiler)))
        statements += [
            str(CreateIndex(index, if_not_exists=True).compile(dialect=compiler))
            for index in sorted(table.indexes, key=lambda index: str(index.name))
        ]
    return statements


def create_tables(database: Database, metadata: MetaData = KERNEL_TABLES) -> None:
    """Make every table and index that is not there yet."""
    statements = table_statements(database.dialect, metadata)

    def make(tx: Tx) -> None:
        for statement in statements:
            tx.run(statement)

    database.write(make)
