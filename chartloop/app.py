"""The composition root: builds every part from the settings, explicitly; nothing is built at import."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import TracebackType
from typing import NamedTuple, Self

from chartloop.kernel.access.engine import Access
from chartloop.kernel.access.grant_table import GrantTable
from chartloop.kernel.audit.journal import Audit
from chartloop.kernel.broker_table import TableBus
from chartloop.kernel.config import Settings
from chartloop.kernel.db import Database, open_database
from chartloop.kernel.dead_letters import DeadLetters
from chartloop.kernel.errors import Unavailable
from chartloop.kernel.keys import hmac_secret, secret
from chartloop.kernel.otel import open_tracer
from chartloop.kernel.outbox import Outbox
from chartloop.kernel.streams.opening import open_bus
from chartloop.kernel.tracing import Tracer, Untold, set_tracer
from chartloop.kernel.vault.opening import open_vault
from chartloop.kernel.vault.vault import Vault
from chartloop.schema import bring_up
from fhir_server.labels.service import LabelService
from fhir_server.opening import open_store
from fhir_server.repository import Repository
from fhir_server.scope_marks import scope_marks
from fhir_server.search.terminology import Terminologies
from fhir_server.spec.codes import R4Codes
from fhir_server.store import Store
from fhir_server.type_ids import TYPE_NAMES
from terminology.icd10cm_codes import Icd10cmCodes


@dataclass(frozen=True, slots=True)
class Kernel:
    """What everything stands on: the database, the policies, the events, the audit log."""

    settings: Settings
    database: Database
    access: Access
    bus: TableBus
    outbox: Outbox
    dead_letters: DeadLetters
    audit: Audit
    vault: Vault | None = None
    """What seals and opens; None where it is off and nothing is sealed."""
    keyless: str = ""
    """Why sealed values cannot be read here."""
    tracer: Tracer = field(default_factory=Untold)
    """Who is told of spans, in this process."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.bus.close()
        self.audit.close()
        if self.vault is not None:
            self.vault.close()
        self.database.close()
        self.tracer.close()


def open_kernel(settings: Settings, *, key_needed: bool = True) -> Kernel:
    """Bring the database to this release's schema and open it.

    Args:
        settings: The effective settings.
        key_needed: False goes on without the master key where that is missing, for what reads nothing sealed; Kernel.keyless says so.

    Raises:
        Invalid: What the settings say of the bus does not fit together.
        Unavailable: The database cannot be opened, or would lose acknowledged writes; or the master key of what is sealed is missing.
    """
    tracer = open_tracer(settings.tracing)
    set_tracer(tracer)
    bring_up(settings)
    database = open_database(settings.database_url, busy_timeout_s=settings.database.busy_timeout_s, connections=settings.database.connections)
    vault, keyless = None, ""
    try:
        bus = open_bus(settings, database, base_url(settings))
        vault = open_vault(database, settings.vault, settings.keys)
    except BaseException as error:
        if key_needed or not isinstance(error, Unavailable):
            database.close()
            raise
        keyless = str(error)
    return Kernel(
        settings,
        database,
        Access(settings.policy.directory, scope_marks, GrantTable(database, TYPE_NAMES)),
        bus,
        Outbox(bus, hmac_secret(settings.keys)),
        DeadLetters(database, bus),
        Audit(settings.data, segment_max_bytes=settings.audit.segment_max_bytes, vault=vault),
        vault,
        keyless,
        tracer,
    )


def base_url(settings: Settings) -> str:
    """Where browsers and clients reach this server, without a path."""
    scheme = "https" if settings.server.tls_certificate else "http"
    return settings.server.base_url.rstrip("/") or f"{scheme}://{settings.server.host}:{settings.server.port}"


def fhir_base(settings: Settings) -> str:
    """The FHIR base URL of this server."""
    return f"{base_url(settings)}/fhir"


def open_door(kernel: Kernel) -> Door:
    """Open the one door to stored resources."""
    pages = secret(kernel.settings.keys, "pages.key")
    labels, base, said = LabelService(), fhir_base(kernel.settings), kernel.settings.fhir
    store = open_store(
        kernel.database, kernel.access, kernel.audit, kernel.outbox, labels,
        secret=pages, base=base, full_text=said.full_text, terminology=Terminologies([R4Codes(), Icd10cmCodes()]), delete_most=said.delete_most,
        vault=kernel.vault, care_after_days=kernel.settings.access.care_after_days, glass_minutes=kernel.settings.access.break_glass_minutes,
    )  # fmt: skip
    return Door(Repository(store), store)


class Door(NamedTuple):
    """The repository, and the store behind it for what tends the store itself."""

    repository: Repository
    store: Store
