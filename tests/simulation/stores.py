"""Stores for episodes: a copy of one prepared SQLite file for each, or one PostgreSQL database that is emptied."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from chartloop.kernel.db import METADATA, Database, create_tables, open_database
from tests.integration.claims.world import World
from tests.simulation.tables import TABLES


class SqliteStores:
    """Files in a directory; best in memory, since nobody draws the power here."""

    def __init__(self, directory: Path) -> None:
        self._directory, self._numbers = directory, count(1)
        self._prepared = directory / "prepared.sqlite3"
        database = open_database(f"sqlite:///{self._prepared}")
        prepare(database, directory / "prepared")
        database.close()

    @contextmanager
    def fresh(self) -> Iterator[tuple[Database, Path]]:
        """A store as it was prepared, and a directory for what lies beside it."""
        directory = self._directory / f"episode-{next(self._numbers)}"
        directory.mkdir()
        shutil.copyfile(self._prepared, directory / "store.sqlite3")
        database = open_database(f"sqlite:///{directory / 'store.sqlite3'}")
        try:
            yield database, directory
        finally:
            database.close()
            shutil.rmtree(directory)


class PostgresqlStores:
    """One database, emptied before each episode."""

    def __init__(self, url: str, directory: Path) -> None:
        self._url, self._directory, self._numbers = url, directory, count(1)

    @contextmanager
    def fresh(self) -> Iterator[tuple[Database, Path]]:
        """The database with nothing but what is prepared, and a directory for what lies beside it."""
        directory = self._directory / f"episode-{next(self._numbers)}"
        database = open_database(self._url)
        try:
            create_tables(database)
            create_tables(database, TABLES)
            names = ", ".join((*METADATA.tables, *TABLES.tables))
            database.write(lambda tx: tx.run(f"TRUNCATE {names} RESTART IDENTITY"))
            prepare(database, directory)
            yield database, directory
        finally:
            database.close()
            shutil.rmtree(directory, ignore_errors=True)


def prepare(database: Database, directory: Path) -> None:
    """Make the tables, and two payers; the events of that are forgotten."""
    create_tables(database)
    create_tables(database, TABLES)
    world = World(database, directory)
    for number, payer in enumerate(("P1", "P2"), 1):
        world.payer(payer, number=str(number))
    database.write(lambda tx: tx.run("DELETE FROM event"))
    world.audit.close()
