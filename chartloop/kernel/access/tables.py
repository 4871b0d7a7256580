"""Table of grants: care relations, broken glass, assignments, consents and restrictions, one row for each thing that may be asked."""

import sqlalchemy as sa

from chartloop.kernel.db_session import METADATA


def _text(name: str) -> "sa.Column[str]":
    return sa.Column(name, sa.Text, nullable=False)


def _small(name: str) -> "sa.Column[int]":
    return sa.Column(name, sa.SmallInteger, nullable=False)


ACCESS_GRANT = sa.Table(
    "access_grant",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True, nullable=False),
    _small("kind"),
    _text("patient"),
    _text("actor"),
    _text("session"),
    _text("client"),
    _text("purpose"),
    _small("label"),
    _small("type_id"),
    _text("target"),
    sa.Column("starts", sa.BigInteger, nullable=False),
    sa.Column("ends", sa.BigInteger, nullable=False),
    _text("source"),
    _small("node"),
    _small("parent"),
    _text("reason"),
    sa.Column("recorded", sa.BigInteger, nullable=False),
    sa.Index("access_grant_by_patient", "kind", "patient", "actor", "ends"),
    sa.Index("access_grant_by_source", "source", "parent"),
    sa.Index("access_grant_by_session", "session", "kind"),
)
"""Times are microseconds since 1970. An empty text or a zero means that any will do; nothing here is ever NULL."""
