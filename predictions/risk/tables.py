"""Tables of the risk engine: when each patient's risk was computed last."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Table, Text

from chartloop.kernel.db import METADATA

RUN = Table(
    "risk_run",
    METADATA,
    Column("key", Text, primary_key=True),  # ordering key of the patient's events
    Column("patient", Text, nullable=False),  # Patient/id: of a deleted or closed resource the event says the key alone
    Column("started", BigInteger, nullable=False),  # microseconds since 1970 UTC
    sqlite_with_rowid=False,
)
