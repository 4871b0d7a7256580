"""Table of the feedback on cards: what people did with them, never changed once written."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Table, Text

from chartloop.kernel.db_session import METADATA

FEEDBACK = Table(
    "cds_feedback",
    METADATA,
    Column("card", Text, primary_key=True),
    Column("happened", BigInteger, primary_key=True),  # outcomeTimestamp, microseconds
    Column("received", BigInteger, nullable=False),
    Column("service", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("outcome", Text, nullable=False),  # accepted, overridden
    Column("reason_system", Text, nullable=False),
    Column("reason_code", Text, nullable=False),
    Column("comment", Text, nullable=False),
    Index("cds_feedback_received", "received"),
    sqlite_with_rowid=False,
)
