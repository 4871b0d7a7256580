"""Tables of the ingest package: every message as it came, and how far each resource has come in message time."""

import sqlalchemy as sa

from chartloop.kernel.db_session import METADATA

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

HL7_MESSAGE = sa.Table(
    "hl7_message",
    METADATA,
    sa.Column("id", _NUMBER, primary_key=True, autoincrement=True),
    sa.Column("received", sa.BigInteger, nullable=False),
    sa.Column("source", sa.Text, nullable=False),  # MSH-3|MSH-4 as they were sent
    sa.Column("control_id", sa.Text, nullable=False),
    sa.Column("sha256", sa.LargeBinary, nullable=False),
    sa.Column("type", sa.Text, nullable=False),  # ADT^A04
    sa.Column("charset", sa.Text, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("ack", sa.LargeBinary, nullable=False),
    sa.Column("state", sa.Text, nullable=False),  # accepted, rejected, mapped, failed
    sa.Column("reused", sa.SmallInteger, nullable=False),  # 1: the control id came before with another content
    sa.Column("problems", sa.Text, nullable=False),  # positions and conditions, a line each, never the content
    sa.Index("hl7_message_once", "source", "control_id", "sha256", unique=True),
    sa.Index("hl7_message_state", "state", "id"),
    sqlite_autoincrement=True,
)

HL7_LATEST = sa.Table(
    "hl7_latest",
    METADATA,
    sa.Column("key", sa.Text, primary_key=True),  # SHA-256 of a business identifier
    sa.Column("event", sa.BigInteger, nullable=False),  # time of the newest message that was applied, microseconds
)
