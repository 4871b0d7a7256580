"""The FHIR API alone, for its benchmark: policies, tokens, durable audit, sealer and vault as in the product."""

from __future__ import annotations

import base64
import gc
import os
import threading
import time
from pathlib import Path

from pydantic import SecretStr

from chartloop.kernel import auth, auth_tables
from chartloop.kernel import tables as kernel_tables
from chartloop.kernel.access.engine import Access
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.affinity import stay_on_one_core
from chartloop.kernel.audit.journal import Audit
from chartloop.kernel.audit.record import AuditRecord
from chartloop.kernel.audit.sealer import Sealer
from chartloop.kernel.broker_table import TableBus
from chartloop.kernel.db import Database, Tx, create_tables, open_database
from chartloop.kernel.http import WsgiApp
from chartloop.kernel.keys import signing_key
from chartloop.kernel.outbox import Outbox
from chartloop.kernel.settings_sections import VaultSettings
from chartloop.kernel.vault.opening import open_vault
from chartloop.kernel.vault.vault import Vault
from chartloop.signals import wake_for_signals
from fhir_server import tables
from fhir_server.dictionary import DictionaryTraining
from fhir_server.http.calls import Gate, Limits
from fhir_server.labels.service import LabelService
from fhir_server.opening import open_store
from fhir_server.repository import Repository
from fhir_server.wsgi import fhir_wsgi

OPERATOR = Subject(id="bench", role="operator", scopes=("system/*.cruds",))


class NoAudit(Audit):
    """Records nothing: what auditing is measured against, and nothing that a product could use."""

    def change(self, tx: Tx, record: AuditRecord) -> None:
        """Record nothing."""

    def access(self, *records: AuditRecord) -> None:
        """Record nothing."""


def open_tables(url: str) -> Database:
    assert all((kernel_tables, auth_tables, tables))
    database = open_database(url, connections=64)
    create_tables(database)
    return database


def sealing(database: Database) -> Vault | None:
    """The vault, as the product seals what it stores; the key of the benches is none that anybody else has."""
    key = base64.b64encode(b"0123456789abcdef" * 2).decode()
    return open_vault(database, VaultSettings(key=SecretStr(key)), Path())


def application() -> WsgiApp:
    """Build the application from CHARTLOOP_BENCH_URL and CHARTLOOP_BENCH_DATA, without what CHARTLOOP_BENCH_WITHOUT names (audit, vault)."""
    wake_for_signals()
    without = os.environ.get("CHARTLOOP_BENCH_WITHOUT", "").split(",")
    # Parsed bundles are many small objects: the collector's default thresholds would walk them again and again.
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    if not os.environ.get("CHARTLOOP_BENCH_MANY_CORES"):
        stay_on_one_core()
    data = Path(os.environ["CHARTLOOP_BENCH_DATA"])
    database = open_tables(os.environ["CHARTLOOP_BENCH_URL"])
    secret = b"0123456789abcdef"
    base = "http://127.0.0.1/fhir"
    vault = None if "vault" in without else sealing(database)
    audit, outbox = (NoAudit if "audit" in without else Audit)(data, vault=vault), Outbox(TableBus(database), secret)
    store = open_store(database, Access(), audit, outbox, LabelService(), secret=secret, base=base, vault=vault)
    sealer = Sealer(database, data, signing_key(data / "keys"))

    training = DictionaryTraining(store)

    def seal() -> None:
        while True:
            time.sleep(1)
            sealer.seal()
            training.run()

    def authenticate(token: str) -> Subject:
        return auth.authenticate(database, token)

    threading.Thread(target=seal, daemon=True).start()
    return fhir_wsgi(Gate(Repository(store), authenticate, base, Limits()))
