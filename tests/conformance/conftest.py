"""One store for each kind of database, filled once: what the tables of the R4 specification are asked of."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
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
from fhir_server.repository import Repository
from fhir_server.search.terminology import Terminologies
from fhir_server.spec.codes import R4Codes
from fhir_server.store import Store
from tests.conformance.r4_resources import RESOURCES
from tests.integration.fhir_server.conftest import BASE, SECRET, fill, scope
from tests.integration.fhir_server.test_http import Api

_numbers: Final = itertools.count(1)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """The resources of the tables, on each kind of database, read by every test of a module."""
    place = tmp_path_factory.mktemp("r4")
    url = f"sqlite:///{place / 'r4.sqlite3'}" if request.param == "sqlite" else _schema(request.getfixturevalue("postgresql_server"))
    before = set_clock(FakeClock())
    audit = Audit(place / "data")
    database = open_database(url)
    create_tables(database)
    outbox = Outbox(TableBus(database), SECRET)
    store = open_store(database, Access(), audit, outbox, LabelService(), secret=SECRET, base=BASE, terminology=Terminologies([R4Codes()]))
    fill(Repository(store), scope("operator"), RESOURCES)
    yield store
    database.close()
    audit.close()
    set_clock(before)


def _schema(server: str) -> str:
    schema = f"r4_{next(_numbers)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {schema}")  # type: ignore[arg-type]
    return f"{server}&options=-csearch_path%3D{schema}"


@pytest.fixture(scope="module")
def served(filled: Store) -> Api:
    """The API over it."""
    return Api(filled)


@pytest.fixture(scope="session")
def published(corpus: Path) -> Path:
    """The R4 package."""
    return corpus / "fhir" / "r4-core-4.0.1.tar.xz"
