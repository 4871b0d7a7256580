"""Tables of telemetry: payloads that came, sources, hour blocks of series, single measures, and where a vendor's ids are."""

import sqlalchemy as sa

from chartloop.kernel.db_session import METADATA

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
NEVER = 2**62
"""`due` of what has nothing to publish."""

TELEMETRY_PAYLOAD = sa.Table(
    "telemetry_payload",
    METADATA,
    sa.Column("id", _NUMBER, primary_key=True, autoincrement=True),
    sa.Column("subject", sa.Text, nullable=False),  # Patient/1
    sa.Column("vendor", sa.Text, nullable=False),
    sa.Column("sha256", sa.Text, nullable=False),  # of the bytes as they came; names the file
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("who", sa.Text, nullable=False),  # subject of the token
    sa.Column("received", sa.BigInteger, nullable=False),  # first time, microseconds
    sa.Column("zone", sa.Text, nullable=False),  # of the subject, as the request named it
    sa.Column("state", sa.Text, nullable=False),  # received, stored, refused
    sa.Column("readings", sa.BigInteger, nullable=False),
    sa.Column("flagged", sa.BigInteger, nullable=False),
    sa.Column("unknown", sa.Text, nullable=False),  # JSON: names and counts of what is no metric here
    sa.Index("telemetry_payload_once", "subject", "vendor", "sha256", unique=True),
    sqlite_autoincrement=True,
)

TELEMETRY_SOURCE = sa.Table(
    "telemetry_source",
    METADATA,
    sa.Column("id", _NUMBER, primary_key=True, autoincrement=True),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),  # SHA-256 of what makes it one source
    sa.Column("body", sa.Text, nullable=False),  # JSON array: vendor, name, device, manufacturer, model
    sa.Column("device", sa.Text, nullable=False),  # id of the Device; empty until one is needed
    sa.Index("telemetry_source_once", "subject", "key", unique=True),
    sqlite_autoincrement=True,
)

TELEMETRY_BLOCK = sa.Table(
    "telemetry_block",
    METADATA,
    sa.Column("id", _NUMBER, primary_key=True, autoincrement=True),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("metric", sa.Text, nullable=False),
    sa.Column("source", sa.BigInteger, nullable=False),
    sa.Column("hour", sa.BigInteger, nullable=False),  # since 1970 UTC
    sa.Column("count", sa.BigInteger, nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False),  # grows with every change
    sa.Column("published", sa.BigInteger, nullable=False),  # version that the Observation shows; 0: there is none
    sa.Column("due", sa.BigInteger, nullable=False),  # when to publish, microseconds
    sa.Column("observation", sa.Text, nullable=False),  # id; empty until it is known
    sa.Column("chunk", sa.LargeBinary, nullable=False),
    sa.Index("telemetry_block_once", "subject", "metric", "source", "hour", unique=True),
    sa.Index("telemetry_block_due", "due"),
    sqlite_autoincrement=True,
)

TELEMETRY_SPOT = sa.Table(
    "telemetry_spot",
    METADATA,
    sa.Column("id", _NUMBER, primary_key=True, autoincrement=True),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("metric", sa.Text, nullable=False),  # or panel
    sa.Column("source", sa.BigInteger, nullable=False),
    sa.Column("key", sa.Text, nullable=False),  # SHA-256 of the vendor's id, else of the time
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("published", sa.BigInteger, nullable=False),
    sa.Column("due", sa.BigInteger, nullable=False),
    sa.Column("observation", sa.Text, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),  # its readings, one for each component
    sa.Index("telemetry_spot_once", "subject", "metric", "source", "key", unique=True),
    sa.Index("telemetry_spot_due", "due"),
    sqlite_autoincrement=True,
)

# Which hour holds the reading that a vendor knows by an id: a correction may move it.
TELEMETRY_PLACE = sa.Table(
    "telemetry_place",
    METADATA,
    sa.Column("source", sa.BigInteger, primary_key=True, nullable=False, autoincrement=False),  # source
    sa.Column("metric", sa.Text, primary_key=True, nullable=False),
    sa.Column("key", sa.LargeBinary, primary_key=True, nullable=False),  # 12 bytes of the SHA-256 of the id
    sa.Column("hour", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
