"""Tables of people: who they are, what they prove it with, half-done logins, and how often somebody failed.

No secret stands in them in clear: passwords are argon2id hashes, TOTP secrets are sealed under a key file of the data directory, everything that
a browser presents is found by its SHA-256, and what a typed login is counted under is an HMAC.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, Table, Text

from chartloop.kernel.db import METADATA

PERSON = Table(
    "person",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("login", Text, nullable=False, unique=True),  # case-folded
    Column("display", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("user_ref", Text, nullable=False),  # "Practitioner/1"
    Column("patient", Text, nullable=False),  # "Patient/1"
    Column("password", Text, nullable=False),  # argon2id in PHC form; empty: none was chosen yet
    Column("status", Text, nullable=False),  # active | disabled
    Column("failed", Integer, nullable=False),  # tries since the last login
    Column("locked", BigInteger, nullable=False),  # until when strangers' tries are not looked at
    Column("entered", BigInteger, nullable=False),  # the last login
    Column("created", BigInteger, nullable=False),
    Column("changed", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

TOTP = Table(
    "person_totp",
    METADATA,
    Column("person", Text, primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("last_step", BigInteger, nullable=False),  # RFC 6238: a time step is good once
    Column("created", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

PASSKEY = Table(
    "person_passkey",
    METADATA,
    Column("id", LargeBinary, primary_key=True),  # credential id
    Column("person", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("public_key", LargeBinary, nullable=False),  # COSE
    Column("sign_count", BigInteger, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("used", BigInteger, nullable=False),
    Index("person_passkey_person", "person"),
    sqlite_with_rowid=False,
)

RECOVERY = Table(
    "person_recovery",
    METADATA,
    Column("digest", LargeBinary, primary_key=True),
    Column("person", Text, nullable=False),
    Index("person_recovery_person", "person"),
    sqlite_with_rowid=False,
)

IDENTITY = Table(
    "person_identity",
    METADATA,
    Column("issuer", Text, primary_key=True),
    Column("sub", Text, primary_key=True),
    Column("person", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Index("person_identity_person", "person"),
    sqlite_with_rowid=False,
)

LINK = Table(
    "person_link",
    METADATA,
    Column("digest", LargeBinary, primary_key=True),
    Column("person", Text, nullable=False),
    Column("expires", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

STEP = Table(
    "login_step",
    METADATA,
    Column("digest", LargeBinary, primary_key=True),
    Column("person", Text, nullable=False),
    Column("stage", Text, nullable=False),  # second | enrol
    Column("how", Text, nullable=False),  # what was proved so far
    Column("next", Text, nullable=False),  # local path
    Column("tries", Integer, nullable=False),
    Column("expires", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

THROTTLE = Table(
    "login_throttle",
    METADATA,
    Column("bucket", LargeBinary, primary_key=True),  # HMAC of what is counted
    Column("failures", Integer, nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("changed", BigInteger, nullable=False),
    Index("login_throttle_changed", "changed"),
    sqlite_with_rowid=False,
)
