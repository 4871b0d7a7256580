"""Tables of the store: one row per resource, each version's body once, narrow integer index tables.

A resource's body is stored once, in `version`; `resource` says which version is current. `rank` orders a type by its
clinical date, newest first (milliseconds, negated), and is part of the token and reference keys, so that a page in the
usual order stops early and every further criterion is one exact key probe.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    Identity,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from chartloop.kernel.db import METADATA

BIGINT_KEY = BigInteger().with_variant(Integer(), "sqlite")
"""On SQLite only a column declared INTEGER is the row's own key."""

ORDERED_TEXT = Text().with_variant(Text(collation="C"), "postgresql")
"""Byte order on both databases: prefix search is a range over it."""

resource = Table(
    "resource",
    METADATA,
    Column("rid", BIGINT_KEY, primary_key=True, autoincrement=False),
    Column("type_id", SmallInteger, nullable=False),
    Column("fhir_id", ORDERED_TEXT, nullable=False),
    Column("version", Integer, nullable=False),
    Column("updated", BigInteger, nullable=False),
    Column("deleted", SmallInteger, nullable=False),
    Column("rank", BigInteger, nullable=False),
    Column("patient", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("insurer", Text, nullable=False),
    UniqueConstraint("type_id", "fhir_id", name="resource_public_id"),
    Index("resource_by_rank", "type_id", "rank", "rid"),
    Index("resource_by_updated", "type_id", "updated", "rid"),
)

version = Table(
    "version",
    METADATA,
    Column("rid", BigInteger, nullable=False),
    Column("version", Integer, nullable=False),
    Column("updated", BigInteger, nullable=False),
    Column("method", SmallInteger, nullable=False),
    Column("codec", SmallInteger, nullable=False),
    Column("dict_id", SmallInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
    PrimaryKeyConstraint("rid", "version"),
    Index("version_by_updated", "updated", "rid", "version"),
)

dictionary = Table(
    "dictionary",
    METADATA,
    Column("dict_id", SmallInteger, primary_key=True, autoincrement=False),
    Column("body", LargeBinary, nullable=False),
)

rid_counter = Table("rid_counter", METADATA, Column("n", BIGINT_KEY, Identity(always=True), primary_key=True))
"""Last sequence number: one row on SQLite, only the identity's own sequence on PostgreSQL."""

resource_label = Table(
    "resource_label",
    METADATA,
    Column("rid", BigInteger, nullable=False),
    Column("label", SmallInteger, nullable=False),
    PrimaryKeyConstraint("rid", "label"),
    Index("resource_label_by_label", "label", "rid"),
    sqlite_with_rowid=False,
)

version_label = Table(
    "version_label",
    METADATA,
    Column("rid", BigInteger, nullable=False),
    Column("version", Integer, nullable=False),
    Column("label", SmallInteger, nullable=False),
    PrimaryKeyConstraint("rid", "version", "label"),
    sqlite_with_rowid=False,
)


async_job = Table(
    "async_job",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("reader", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("request", Text, nullable=False),
    Column("number", Text, nullable=False),
    Column("state", SmallInteger, nullable=False),
    Column("status", SmallInteger, nullable=False),
    Column("codec", SmallInteger, nullable=False),
    Column("dict_id", SmallInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("owner", Text, nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("finished", BigInteger, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("token", Text, nullable=False, server_default=""),
    Index("async_job_by_reader", "reader", "expires"),
    Index("async_job_by_state", "state", "until"),
    Index("async_job_by_expiry", "expires"),
)
"""Requests that are answered later, and their answers: `body` is the one, then the other; `token` is the SHA-256 of what asked for it."""


def _equality_index(name: str) -> Table:
    """Make a table probed by exact value; its rows are found again from the body when they must go."""
    return Table(
        name,
        METADATA,
        Column("param", SmallInteger, nullable=False),
        Column("value", BigInteger, nullable=False),
        Column("rank", BigInteger, nullable=False),
        Column("rid", BigInteger, nullable=False),
        PrimaryKeyConstraint("param", "value", "rank", "rid"),
        sqlite_with_rowid=False,
    )


def _range_index(name: str, *values: Column[object]) -> Table:
    """Make a table searched by range: clustered by value, and found by resource for probes and sorting."""
    return Table(
        name,
        METADATA,
        Column("param", SmallInteger, nullable=False),
        *values,
        Column("rid", BigInteger, nullable=False),
        PrimaryKeyConstraint("param", *(column.name for column in values), "rid"),
        Index(f"{name}_by_rid", "rid", "param"),
        sqlite_with_rowid=False,
    )


search_parameter = Table(
    "search_parameter",
    METADATA,
    Column("number", SmallInteger, primary_key=True, autoincrement=False),
    Column("type_id", SmallInteger, nullable=False),
    Column("owner", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("expression", Text, nullable=False),
    Column("targets", Text, nullable=False),
    Column("state", SmallInteger, nullable=False),
)
"""What SearchParameter resources define, one row for a type; a number is never given twice, so that its rows mean one thing only."""

search_version = Table("search_version", METADATA, Column("one", SmallInteger, primary_key=True, autoincrement=False), Column("version", BigInteger, nullable=False))
"""How often search_parameter has changed: one row, or none."""

search_fence = Table("search_fence", METADATA, Column("one", SmallInteger, primary_key=True, autoincrement=False))
"""Holds no row: every write reads it, and who changes search_parameter locks it, so that no write is under way then."""

reindex_job = Table(
    "reindex_job",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("types", Text, nullable=False),
    Column("numbers", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("phase", Text, nullable=False),
    Column("position", Text, nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("done", BigInteger, nullable=False),
    Column("changed", BigInteger, nullable=False),
    Column("requested", BigInteger, nullable=False),
    Column("started", BigInteger, nullable=False),
    Column("finished", BigInteger, nullable=False),
    Column("error", Text, nullable=False),
    Index("reindex_job_by_state", "state", "requested"),
)
vocabulary = Table(
    "vocabulary",
    METADATA,
    Column("param", SmallInteger, nullable=False),
    Column("kind", SmallInteger, nullable=False),
    Column("word", ORDERED_TEXT, nullable=False),
    Column("value", BigInteger, nullable=False),
    PrimaryKeyConstraint("param", "kind", "word", "value"),
    sqlite_with_rowid=False,
)
"""Each system, text and address that a parameter has ever held, once, and the hash under which idx_token or idx_reference has it."""

LONG = 86_400_000_000
"""Microseconds of a day. What is longer can be searched by its end: all the rest ends at most a day after its beginning."""

idx_token = _equality_index("idx_token")
idx_reference = _equality_index("idx_reference")
idx_string = _range_index(
    "idx_string", Column("value", ORDERED_TEXT, nullable=False), Column("exact", BigInteger, nullable=False)
)
idx_date = _range_index(
    "idx_date", Column("low", BigInteger, nullable=False), Column("high", BigInteger, nullable=False)
)
_LONG = text(f"low < high - {LONG}")
Index("idx_date_long", idx_date.c.param, idx_date.c.high, sqlite_where=_LONG, postgresql_where=_LONG)

idx_quantity = _range_index(
    "idx_quantity",
    Column("low", Double, nullable=False),
    Column("high", Double, nullable=False),
    Column("unit", BigInteger, nullable=False),
    Column("code", BigInteger, nullable=False),
)
idx_composite = Table(
    "idx_composite",
    METADATA,
    Column("rid", BigInteger, nullable=False),
    Column("first", BigInteger, nullable=False),
    Column("low", Double, nullable=False),
    Column("high", Double, nullable=False),
    Column("unit", BigInteger, nullable=False),
    Column("code", Integer, nullable=False),
    Column("system", Integer, nullable=False),
    Column("param", SmallInteger, nullable=False),
    Column("value", ORDERED_TEXT, nullable=False),
    Index("idx_composite_by_first", "param", "first", "low", "value"),
    Index("idx_composite_by_rid", "rid", "param"),
)
"""One row per group; wide, so that its two ways in are narrow indexes of their own instead of copies of the row.

No primary key: what tells rows apart is all their columns, and a key of those would be a second copy of each row (on SQLite, where the
way in by `first` would carry it, 20 % more of this table). The rows of a resource are a set when they are written."""

idx_position = _range_index(
    "idx_position",
    Column("z", Double, nullable=False),
    Column("x", Double, nullable=False),
    Column("y", Double, nullable=False),
)

known_unit = Table(
    "known_unit",
    METADATA,
    Column("dimension", BigInteger, nullable=False),
    Column("unit", BigInteger, nullable=False),
    Column("code", Text, nullable=False),
    PrimaryKeyConstraint("dimension", "unit"),
    sqlite_with_rowid=False,
)
"""Units of stored quantities by what they measure: a search asks in all that are commensurable."""
