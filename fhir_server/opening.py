"""Open the store: its codec, its counter, and the statistics that PostgreSQL plans with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from chartloop.kernel.access.engine import Access
from chartloop.kernel.access.grant_table import GrantTable
from chartloop.kernel.audit.journal import Audit
from chartloop.kernel.db import Database, Tx
from chartloop.kernel.outbox import Outbox
from chartloop.kernel.vault.vault import Vault
from fhir_server.codec import Codec
from fhir_server.dictionary import stored_dictionaries
from fhir_server.granting.bringing import bring_grants
from fhir_server.granting.relations import DAY_US
from fhir_server.indexing.text_rows import bring_text_index
from fhir_server.indexing.vocabulary import Vocabulary, declare_whole
from fhir_server.search.terminology import NoTerminology, Terminology
from fhir_server.store import Labeller, Store
from fhir_server.type_ids import TYPE_NAMES

_STATISTICS: Final = (
    "CREATE STATISTICS IF NOT EXISTS idx_token_values (mcv) ON param, value, rank FROM idx_token",
    "CREATE STATISTICS IF NOT EXISTS idx_reference_values (mcv) ON param, value, rank FROM idx_reference",
)


def open_store(
    db: Database,
    access: Access,
    audit: Audit,
    outbox: Outbox,
    labeller: Labeller,
    *,
    secret: bytes,
    base: str,
    full_text: bool = False,
    terminology: Terminology | None = None,
    delete_most: int = 1,
    vault: Vault | None = None,
    care_after_days: float = 365.0,
    glass_minutes: float = 15.0,
) -> Store:
    """Open the store of a database whose tables exist.

    Args:
        db: Where it is.
        access: Who may see what.
        audit: Where every access and change is recorded.
        outbox: Where changes put their events.
        labeller: What gives resources their sensitivity labels.
        secret: Key of the signatures of page links.
        base: Address of the FHIR API, without a slash at its end: references below it are our own.
        full_text: Whether words can be searched for; the first time, the words of everything stored are indexed before this returns.
        terminology: Who answers searches by value set and by subsumption; without one they are refused.
        delete_most: Most resources that one conditional delete takes.
        vault: What seals and opens bodies; without one they are kept as they are.
        care_after_days: How long after a visit who took part in it still treats the patient.
        glass_minutes: How long a chart stays open that was opened in an emergency.
    """
    if db.dialect == "postgresql":
        db.write(declare_statistics)
    codec = _codec(db, vault)
    bring_text_index(db, codec.unpack, wanted=full_text)
    store = Store(
        db, access.over(GrantTable(db, TYPE_NAMES)), audit, outbox, labeller, codec, secret, base.rstrip("/"),
        full_text=full_text, vocabulary=_vocabulary(db), terminology=terminology or NoTerminology(), delete_most=delete_most,
        care_after_us=int(care_after_days * DAY_US), glass_minutes=glass_minutes,
    )  # fmt: skip
    store.parameters.refresh(db)
    bring_grants(store)
    return store


def _codec(db: Database, vault: Vault | None) -> Codec:
    """Open the codec with the dictionaries of the store; one that another process trained is read when it is met."""

    def stored() -> Mapping[int, bytes]:
        with db.read() as session:
            return stored_dictionaries(session)

    return Codec(stored(), lambda number: stored().get(number), vault)


def _vocabulary(db: Database) -> Vocabulary:
    """Open the vocabulary; that of an empty store is whole."""
    vocabulary = Vocabulary()
    if not vocabulary.complete(db) and db.one("SELECT 1 FROM resource LIMIT 1") is None:
        db.write(declare_whole)
    return vocabulary


def declare_statistics(tx: Tx) -> None:
    """Tell PostgreSQL which columns belong together; the next ANALYZE counts their commonest combinations."""
    for statement in _STATISTICS:
        tx.run(statement)
