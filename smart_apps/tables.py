"""Tables of the SMART side: clients, launches, codes, authorizations and their tokens, one-time tickets and EHR sessions.

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
    Column("kind", Text, nullable=False, server_default="public"),  # or symmetric, asymmetric
    Column("secret", Text, nullable=False, server_default=""),  # hex SHA-256 of 256 random bits
    Column("jwks", Text, nullable=False, server_default=""),  # JSON: public keys
    Column("jwks_uri", Text, nullable=False, server_default=""),
    Column("grants", Text, nullable=False, server_default='["authorization_code", "refresh_token"]'),  # JSON array of grant types
    # What is there already are this product's own apps, which are registered anew at every start.
    Column("first_party", SmallInteger, nullable=False, server_default="0"),
    Column("test", SmallInteger, nullable=False, server_default="0"),
    Column("simulate", Text, nullable=False, server_default=""),  # an error that a test client wants to meet
    Column("role", Text, nullable=False, server_default=""),  # of a backend service
    Column("acts_for", Text, nullable=False, server_default=""),  # "Organization/9": whom a backend service acts for
    Column("id_token_alg", Text, nullable=False, server_default="RS256"),
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
    Column("token_digest", Text, nullable=False),  # id of the authorization it gave; revoked when the code comes a second time
    Column("display", Text, nullable=False, server_default=""),
    sqlite_with_rowid=False,
)

PENDING = Table(
    "smart_pending",
    METADATA,
    Column("digest", LargeBinary, primary_key=True),
    Column("session", Text, nullable=False),
    Column("request", Text, nullable=False),  # JSON: a request for authorization that waits for a person's answer
    Column("expires", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

AUTHORIZATION = Table(
    "smart_authorization",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("client_id", Text, nullable=False),
    Column("person", Text, nullable=False),  # id of the subject; "client:…" of a backend service
    Column("display", Text, nullable=False),
    Column("session", Text, nullable=False),
    Column("subject", Text, nullable=False),  # JSON
    Column("scope", Text, nullable=False),  # as it was granted
    Column("context", Text, nullable=False),  # JSON
    Column("offline", SmallInteger, nullable=False),  # its refresh tokens outlive the session
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),  # nothing is refreshed after
    Column("revoked", SmallInteger, nullable=False),
    Index("smart_authorization_by_person", "person"),
    sqlite_with_rowid=False,
)
"""What a person, or an administrator, allowed a client: the family of its tokens."""

REFRESH = Table(
    "smart_refresh",
    METADATA,
    Column("digest", LargeBinary, primary_key=True),
    Column("family", Text, nullable=False),
    Column("issued", BigInteger, nullable=False),
    Column("used", SmallInteger, nullable=False),
    Index("smart_refresh_by_family", "family"),
    sqlite_with_rowid=False,
)

TOKEN = Table(
    "smart_token",
    METADATA,
    Column("digest", LargeBinary, primary_key=True),
    Column("family", Text, nullable=False),
    Column("scope", Text, nullable=False),  # as it was answered
    Column("expires", BigInteger, nullable=False),
    Index("smart_token_by_family", "family"),
    sqlite_with_rowid=False,
)
"""Access tokens of apps: what introspection says of them beside what table access_token knows."""

ASSERTION = Table(
    "smart_assertion",
    METADATA,
    Column("digest", LargeBinary, primary_key=True),  # of client and jti
    Column("expires", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""Client assertions that were used, for as long as they could be used again."""

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
