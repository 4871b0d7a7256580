"""The columns outside the resources that the vault covers, of every package; docs/explanation/encryption.md says what is in clear, and why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from chartloop.kernel.db import Database
from chartloop.kernel.vault.columns import SealedColumn
from chartloop.kernel.vault.resealing import Progress, retired_numbers, seal_columns
from fhir_server.resealing import seal_bodies
from fhir_server.store import Store

COLUMNS: Final = (
    SealedColumn("hl7_message", ("sha256",), "body"),
    SealedColumn("interchange", ("id",), "body"),
    SealedColumn("claim_answer", ("claim", "fact"), "data"),
    SealedColumn("telemetry_block", ("subject", "metric", "source", "hour"), "chunk"),
    SealedColumn("telemetry_spot", ("subject", "metric", "source", "key"), "body"),
    SealedColumn("telemetry_source", ("subject", "key"), "body"),
    SealedColumn("cds_feedback", ("card", "happened"), "comment"),
    SealedColumn("dictionary", ("dict_id",), "body"),
)
"""Requests that are answered later expire by themselves within hours; audit records stay as they were signed."""


def seal_everything(database: Database, store: Store, *, retired: bool) -> Iterator[Progress]:
    """Seal what is stored in clear, bodies first; with `retired` also what retired keys sealed."""
    old = retired_numbers(database) if retired else frozenset()
    yield from seal_bodies(store, old)
    yield from seal_columns(database, COLUMNS, old)
