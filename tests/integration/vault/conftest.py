"""One store that a vault covers, opened again and again as processes would."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cds_hooks import tables as cds_tables  # noqa: F401
from chartloop.kernel.access.engine import Access
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.audit.journal import Audit
from chartloop.kernel.audit.sealer import Sealer
from chartloop.kernel.audit.verify import VerifyReport, verify
from chartloop.kernel.broker_table import TableBus
from chartloop.kernel.db import Database
from chartloop.kernel.keys import signing_key
from chartloop.kernel.outbox import Outbox
from chartloop.kernel.settings_sections import VaultSettings
from chartloop.kernel.vault.opening import open_vault
from chartloop.kernel.vault.vault import Vault
from chartloop.sealed import COLUMNS
from claims import tables as claims_tables  # noqa: F401
from fhir_server import tables  # noqa: F401  (declares what the database fixture makes)
from fhir_server.labels.service import LabelService
from fhir_server.opening import open_store
from fhir_server.repository import Repository
from fhir_server.versions import stored_versions
from ingest import tables as ingest_tables  # noqa: F401
from ingest.telemetry import tables as telemetry_tables  # noqa: F401

OPERATOR = Scope(Subject(id="test:operator", role="operator", scopes=("system/*.cruds",)), "test", "request-1")
NARRATIVE = "zanzibarquill cried at night"
"""Words that stand nowhere by chance."""

assert COLUMNS


class World:
    """A database and its data directory; `open` gives what a process that starts now would have."""

    def __init__(self, database: Database, data: Path, access: Access) -> None:
        self.database, self.data, self.access = database, data, access
        self.audits: list[Audit] = []
        self.open()

    def open(self, **settings: object) -> World:
        self.vault: Vault | None = open_vault(self.database, VaultSettings(**settings), self.data / "keys")
        self.audit = Audit(self.data, vault=self.vault)
        self.audits.append(self.audit)
        outbox = Outbox(TableBus(self.database), b"s" * 32)
        self.store = open_store(
            self.database, self.access, self.audit, outbox, LabelService(), secret=b"k" * 32, base="http://127.0.0.1:8080/fhir", vault=self.vault
        )
        self.repository = Repository(self.store)
        return self

    def write(self, patient: str = "p1", text: str = NARRATIVE) -> str:
        """Store a patient, and an observation with a note about it; return the observation's id."""
        self.repository.update(OPERATOR, "Patient", patient, {"resourceType": "Patient", "id": patient, "birthDate": "1970-01-01"})
        note = {"resourceType": "Observation", "status": "final", "code": {"text": "mood"}, "subject": {"reference": f"Patient/{patient}"}, "note": [{"text": text}]}
        return self.repository.create(OPERATOR, note).stored.id

    def text(self, id_: str) -> str:
        return self.repository.read(OPERATOR, "Observation", id_).json()["note"][0]["text"]

    def rows(self, sql: str, *params: object) -> list[tuple]:
        with self.database.read() as session:
            return session.all(sql, params)

    def change(self, sql: str, *params: object) -> int:
        return self.database.write(lambda tx: tx.run(sql, params))

    def seal_log(self) -> int:
        return Sealer(self.database, self.data, signing_key(self.data / "keys")).seal()

    def verified(self, *, with_key: bool = True) -> VerifyReport:
        return verify(self.database, self.data, versions=stored_versions if with_key else None)


@pytest.fixture(scope="package")
def access() -> Access:
    """The policies that ship."""
    return Access()


@pytest.fixture
def world(database: Database, tmp_path: Path, access: Access) -> Iterator[World]:
    """A store with a vault that is on, once for each kind of database."""
    made = World(database, tmp_path / "data", access)
    yield made
    for audit in made.audits:
        audit.close()
