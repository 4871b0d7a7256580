"""Stores that live as long as a module of tests, on each kind of database."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psycopg
import pytest

from chartloop.kernel import tables as kernel_tables  # noqa: F401
from chartloop.kernel.access.engine import Access
from chartloop.kernel.audit.journal import Audit
from chartloop.kernel.broker_table import TableBus
from chartloop.kernel.clock import FakeClock, set_clock
from chartloop.kernel.db import create_tables, open_database
from chartloop.kernel.outbox import Outbox
from fhir_server.labels.service import LabelService
from fhir_server.opening import open_store
from fhir_server.search.terminology import Terminologies
from fhir_server.spec.codes import R4Codes
from fhir_server.store import Store
from tests.integration.fhir_server.conftest import BASE, SECRET

DIALECTS: Final = ("sqlite", "postgresql")
_numbers: Final = itertools.count(1)


@contextmanager
def opened(request: pytest.FixtureRequest, dialect: str, place: Path) -> Iterator[Store]:
    """Open an empty store under a clock that stands; it knows the codes of R4."""
    url = f"sqlite:///{place / 'r4.sqlite3'}" if dialect == "sqlite" else _schema(request.getfixturevalue("postgresql_server"))
    before = set_clock(FakeClock())
    audit = Audit(place / "data")
    database = open_database(url)
    create_tables(database)
    outbox = Outbox(TableBus(database), SECRET)
    yield open_store(database, Access(), audit, outbox, LabelService(), secret=SECRET, base=BASE, terminology=Terminologies([R4Codes()]))
    database.close()
    audit.close()
    set_clock(before)


def _schema(server: str) -> str:
    schema = f"r4_{next(_numbers)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {schema}")  # type: ignore[arg-type]
    return f"{server}&options=-csearch_path%3D{schema}"
