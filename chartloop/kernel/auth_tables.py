"""Table of access tokens: only their hashes are kept."""

from sqlalchemy import BigInteger, Column, Index, LargeBinary, SmallInteger, String, Table, Text

from chartloop.kernel.db import METADATA

ACCESS_TOKEN = Table(
    "access_token",
    METADATA,
    Column("hash", LargeBinary(32), primary_key=True),
    Column("subject", Text, nullable=False),
    Column("session", String(64), nullable=False),
    Column("issued", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("revoked", SmallInteger, nullable=False, default=0),
    Index("access_token_session", "session"),
    Index("access_token_expires", "expires"),
    sqlite_with_rowid=False,
)
