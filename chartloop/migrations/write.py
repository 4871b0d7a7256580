"""Write the next migration from the difference between the declared tables and a database: `python -m chartloop.migrations.write ID "What it is"`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from alembic import command
from sqlalchemy import create_engine

from chartloop.migrate import alembic_config, engine_url, migrate


def main(revision: str, message: str) -> None:
    """Migrate an empty SQLite file to the newest migration, then write what is still missing."""
    with tempfile.TemporaryDirectory() as directory:
        url = f"sqlite:///{Path(directory) / 'empty.sqlite3'}"
        migrate(url)
        with create_engine(engine_url(url)).begin() as connection:
            command.revision(alembic_config(connection), message=message, autogenerate=True, rev_id=revision)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
