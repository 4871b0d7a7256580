"""Tables of the SMART side: clients, launches, codes, one-time tickets and EHR sessions.

Secrets never stand in them: a row is found by the SHA-256 of what its holder presents.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, LargeBinary, SmallInteger, Table, Text

from chartloop.kernel.db import METADATA

CLIENT = Table(
    "smart_client",
    METADATA,
    Column("client_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("redirect_uris", Text, nullable=False),  # JSON array of exact URIs
    Column("launch_url", Text, nullable=False),
    Column("scope", Text, nullable=False),  # what it may ask for
    Column("origins", Text, nullable=False),  # JSON array, for CORS
    sqlite_with_rowid=False,
)

LAUNCH = Table(
    "smart_launch",
    METADATA,
    Column("digest", LargeBinary, primary_key=True),
    Column("session", Text, nullable=False),
    Column("client_id", Text, nullable=False),
    Column("context", Text, nullable=False),  # JSON
    Column("expires", BigInteger, nullable=False),
    Column("used", SmallInteger, nullable=False),
    sqlite_with_rowid=False,
)

CODE = Table(
    "smart_code",
    METADATA,
    Column("digest", LargeBinary, primary_key=True),
    Column("session", Text, nullable=False),
    Column("client_id", Text, nullable=False),
    Column("redirect_uri", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("challenge", Text, nullable=False),
    Column("nonce", Text, nullable=False),
    Column("subject", Text, nullable=False),  # JSON
    Column("context", Text, nullable=False),  # JSON
    Column("expires", BigInteger, nullable=False),
    Column("used", SmallInteger, nullable=False),
    Column("token_digest", Text, nullable=False),  # hex; revoked when the code comes a second time
    sqlite_with_rowid=False,
)

TICKET = Table(
    "ehr_ticket",
    METADATA,
    Column("digest", LargeBinary, primary_key=True),
    Column("subject", Text, nullable=False),  # JSON
    Column("display", Text, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("used", SmallInteger, nullable=False),
    sqlite_with_rowid=False,
)

SESSION = Table(
    "ehr_session",
    METADATA,
    Column("digest", LargeBinary, primary_key=True),
    Column("id", Text, nullable=False, unique=True),
    Column("csrf", Text, nullable=False),
    Column("subject", Text, nullable=False),  # JSON
    Column("display", Text, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("holder", Text, nullable=False, server_default=""),  # id of the subject: all sessions of one person
    Column("opened", BigInteger, nullable=False, server_default="0"),
    Column("seen", BigInteger, nullable=False, server_default="0"),
    Index("ehr_session_holder", "holder"),
    sqlite_with_rowid=False,
)
