"""Tables of the claims engine: control numbers, interchanges, submitted claims, payers' answers, mailbox positions."""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, Table, Text, text

from chartloop.kernel.db import METADATA

_UNDELIVERED = text("direction = 'out' AND state IN ('queued', 'sending', 'unknown')")
COUNTER = Table(
    "claims_counter",
    METADATA,
    Column("scope", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
)
INTERCHANGE = Table(
    "interchange",
    METADATA,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("direction", Text, nullable=False),  # out | in
    Column("payer", Text, nullable=False),
    Column("isa13", Text, nullable=False),
    Column("gs06", Text, nullable=False),
    Column("kind", Text, nullable=False),  # 837P TA1 999 277CA 835, several joined by a space
    Column("state", Text, nullable=False),  # out: queued sending sent unknown acknowledged rejected withheld; in: received processed rejected
    Column("idempotency_key", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("sent", BigInteger, nullable=False),
    Column("updated", BigInteger, nullable=False),
    Column("note", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Index("interchange_key", "direction", "idempotency_key", unique=True),
    Index("interchange_control", "direction", "payer", "isa13"),
    Index("interchange_undelivered", "payer", "state", "created", sqlite_where=_UNDELIVERED, postgresql_where=_UNDELIVERED),
)
SUBMISSION = Table(
    "claim_submission",
    METADATA,
    Column("pcn", Text, primary_key=True),
    Column("claim", Text, nullable=False),
    Column("payer", Text, nullable=False),
    Column("interchange", BigInteger, nullable=False),
    Column("payer_control", Text, nullable=False),
    Index("claim_submission_claim", "claim"),
    Index("claim_submission_interchange", "interchange"),
    Index("claim_submission_payer_control", "payer", "payer_control"),
)
ANSWER = Table(
    "claim_answer",
    METADATA,
    Column("claim", Text, primary_key=True),
    Column("fact", Text, primary_key=True),
    Column("interchange", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("recorded", BigInteger, nullable=False),
    Column("data", Text, nullable=False),
    Index("claim_answer_interchange", "interchange"),
)
MAILBOX = Table(
    "claims_mailbox",
    METADATA,
    Column("payer", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
)
