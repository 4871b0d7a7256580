"""One store on one database, with the policies that ship and the subjects that tests speak for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from chartloop.kernel import tables as kernel_tables  # noqa: F401
from chartloop.kernel.access.engine import Access
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.audit.journal import Audit
from chartloop.kernel.broker_table import TableBus
from chartloop.kernel.db import Database
from chartloop.kernel.outbox import Outbox
from chartloop.kernel.settings_sections import VaultSettings
from chartloop.kernel.vault.opening import open_vault
from fhir_server import tables  # noqa: F401  (declares what the database fixture makes)
from fhir_server.labels.service import LabelService
from fhir_server.opening import open_store
from fhir_server.repository import Repository
from fhir_server.store import Store

BASE = "http://127.0.0.1:8080/fhir"
SECRET = b"0123456789abcdef"


SHORT: Final = 1
"""Of the cases of one test, so many run on PostgreSQL in the short run too."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave the many cases of one test on PostgreSQL to the long run: a schema is made for each."""
    seen: Counter[str] = Counter()
    here = Path(__file__).parent
    for item in items:
        case = getattr(item, "callspec", None)
        if case is not None and item.path.parent == here and case.params.get("database_url") == "postgresql":
            seen[item.nodeid.partition("[")[0]] += 1
            if seen[item.nodeid.partition("[")[0]] > SHORT:
                item.add_marker(pytest.mark.long)


@pytest.fixture(scope="session")
def access() -> Access:
    """The policies that ship."""
    return Access()


@pytest.fixture
def make_store(access: Access, tmp_path: Path) -> Iterator[Callable[[Database], Store]]:
    """Open stores on databases."""
    audits: list[Audit] = []

    def make(database: Database) -> Store:
        vault = open_vault(database, VaultSettings(), tmp_path / "keys")
        audit = Audit(tmp_path / f"data{len(audits)}", vault=vault)
        audits.append(audit)
        outbox = Outbox(TableBus(database), SECRET)
        return open_store(database, access, audit, outbox, LabelService(), secret=SECRET, base=BASE, vault=vault)

    yield make
    for audit in audits:
        audit.close()


@pytest.fixture
def store(database: Database, make_store: Callable[[Database], Store]) -> Store:
    """A store, once for each kind of database."""
    return make_store(database)


@pytest.fixture
def repository(store: Store) -> Repository:
    """The door to it."""
    return Repository(store)


def scope(role: str, *, user: str = "", patient: str = "") -> Scope:
    """Speak for somebody in a role."""
    subject = Subject(id=f"test:{role}", role=role, user=user, patient=patient, scopes=("system/*.cruds",))
    return Scope(subject, "test", "request-1")


def fill(repository: Repository, operator: Scope, resources: Iterable[dict[str, Any]]) -> Repository:
    """Store resources under their ids, in their order."""
    for resource in resources:
        repository.update(operator, resource["resourceType"], resource["id"], resource)
    return repository


@pytest.fixture
def operator() -> Scope:
    """Who sets up."""
    return scope("operator")


@pytest.fixture
def clinician() -> Scope:
    """Who treats: a token without a person, of whom no relation to the patient is asked (test_care.py asks it of people)."""
    return scope("clinician")


@pytest.fixture
def biller() -> Scope:
    """Who bills."""
    return scope("billing-administrator")
