"""Tables of the kernel: events, their delivery, jobs, the inbox and the audit log."""

import sqlalchemy as sa

from chartloop.kernel.db_session import METADATA

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _big(name: str, *, key: bool = False) -> "sa.Column[int]":
    return sa.Column(name, sa.BigInteger, primary_key=key, nullable=False, autoincrement=False)


def _text(name: str, *, key: bool = False) -> "sa.Column[str]":
    return sa.Column(name, sa.Text, primary_key=key, nullable=False)


# Numbers are never used again, even after the newest rows are deleted: a cursor may already be past them.
EVENT = sa.Table(
    "event",
    METADATA,
    sa.Column("seq", _NUMBER, primary_key=True, autoincrement=True),
    _big("xid"),
    _text("id"),
    _text("type"),
    _text("subject"),
    _big("version"),
    _text("key"),
    _text("trace"),
    _big("recorded"),
    sa.Index("event_xid_seq", "xid", "seq"),
    sqlite_autoincrement=True,
)

EVENT_CURSOR = sa.Table("event_cursor", METADATA, _text("consumer", key=True), _big("xid"), _big("seq"), _big("lanes"))

DELIVERY = sa.Table(
    "delivery",
    METADATA,
    sa.Column("id", _NUMBER, primary_key=True, autoincrement=True),
    _text("consumer"),
    _text("slot"),
    _text("key"),
    _big("seq"),
    sa.Index("delivery_consumer_slot", "consumer", "slot", "id"),
    sa.Index("delivery_consumer_seq", "consumer", "seq", unique=True),
    sqlite_autoincrement=True,
)

# A key whose first event failed: nothing of it is delivered before `due`; a dead letter holds it until somebody decides.
HOLD = sa.Table(
    "delivery_hold",
    METADATA,
    _text("consumer", key=True),
    _text("key", key=True),
    _big("attempt"),
    _big("due"),
    sa.Index("delivery_hold_due", "due"),
)

LEASE = sa.Table("lease", METADATA, _text("consumer", key=True), _text("slot", key=True), _text("owner"), _big("token"), _big("until"))

HANDLED = sa.Table(
    "handled",
    METADATA,
    _text("consumer", key=True),
    _text("event", key=True),
    _big("recorded"),
    sqlite_with_rowid=False,
)

# How far the relay and the consumers are in a stream (Kafka, Kinesis), by shard; positions are numbers of up to 130 digits.
STREAM_POSITION = sa.Table(
    "stream_position",
    METADATA,
    _text("reader", key=True),
    _text("stream", key=True),
    _text("shard", key=True),
    _text("position"),
    _big("xid"),
    _big("seq"),
    _big("settled_xid"),
    _big("settled_seq"),
    sqlite_with_rowid=False,
)

DEAD_LETTER = sa.Table(
    "dead_letter",
    METADATA,
    _text("id", key=True),
    _text("consumer"),
    _big("seq"),
    _text("event"),
    _text("type"),
    _text("subject"),
    _text("key"),
    _text("reason"),
    _big("attempts"),
    _big("recorded"),
    sa.Index("dead_letter_recorded", "recorded", "id"),
)

# What is done on a schedule; jobs/table.py says what each column means.
JOB = sa.Table(
    "job",
    METADATA,
    _text("name", key=True),
    _text("schedule"),
    _big("next_run"),
    _big("last_run"),
    _big("duration_us"),
    _text("outcome"),
    _text("reason"),
    _big("attempt"),
    _big("runs"),
    _big("failures"),
    _big("paused"),
    _big("asked"),
    sqlite_with_rowid=False,
)

# What processes tell of themselves to whoever watches; a total is of no process.
SIGNAL = sa.Table(
    "signal",
    METADATA,
    _text("name", key=True),
    _text("label", key=True),
    _text("process", key=True),
    _big("value"),
    _big("recorded"),
    sqlite_with_rowid=False,
)

INBOX = sa.Table(
    "inbox",
    METADATA,
    _text("source", key=True),
    _text("key", key=True),
    sa.Column("digest", sa.LargeBinary, nullable=False),
    _big("recorded"),
    sqlite_with_rowid=False,
)

AUDIT_CHANGE = sa.Table(
    "audit_change",
    METADATA,
    sa.Column("seq", _NUMBER, primary_key=True, autoincrement=True),
    _big("xid"),
    sa.Column("codec", sa.SmallInteger, nullable=False),
    sa.Column("leaf", sa.LargeBinary, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Index("audit_change_xid_seq", "xid", "seq"),
    sqlite_autoincrement=True,
)

# One row per sealed record; `source` is 0 for a change row, else the number of a journal segment.
AUDIT_LEAF = sa.Table(
    "audit_leaf",
    METADATA,
    _big("seq", key=True),
    sa.Column("leaf", sa.LargeBinary, nullable=False),
    _big("source"),
    _big("position"),
)

# Whose record was touched: the accounting of disclosures asks by patient, and the log answers with sequence numbers.
AUDIT_PATIENT = sa.Table(
    "audit_patient",
    METADATA,
    _text("patient", key=True),
    _big("seq", key=True),
    sqlite_with_rowid=False,
)

# What one record says of itself, so that the log is asked by agent, kind and time without being walked.
AUDIT_ENTRY = sa.Table(
    "audit_entry",
    METADATA,
    _big("seq", key=True),
    _big("recorded"),
    _text("action"),
    _text("outcome"),
    _text("interaction"),
    _text("agent"),
    sa.Index("audit_entry_by_agent", "agent", "seq"),
    sa.Index("audit_entry_by_interaction", "interaction", "seq"),
    sa.Index("audit_entry_by_time", "recorded", "seq"),
)

# Which records touched a resource; `entity` is a hash of its name, so a match is looked at again.
AUDIT_ENTITY = sa.Table(
    "audit_entity",
    METADATA,
    _big("entity", key=True),
    _big("seq", key=True),
    sqlite_with_rowid=False,
)

# What the log must remember of itself: how far down it is indexed, what was published where, which policies were last in force.
AUDIT_STATE = sa.Table("audit_state", METADATA, _text("name", key=True), _text("value"), sqlite_with_rowid=False)

AUDIT_SEGMENT = sa.Table("audit_segment", METADATA, _big("id", key=True), _text("name"), _big("sealed"))

AUDIT_HEAD = sa.Table(
    "audit_head",
    METADATA,
    _big("size", key=True),
    sa.Column("root", sa.LargeBinary, nullable=False),
    _big("recorded"),
    sa.Column("previous", sa.LargeBinary, nullable=False),
    sa.Column("signature", sa.LargeBinary, nullable=False),
    _big("change_xid"),
    _big("change_seq"),
    sa.Column("frontier", sa.LargeBinary, nullable=False),
)
