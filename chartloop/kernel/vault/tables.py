"""Table of the data keys: wrapped with the master key, never in clear."""

import sqlalchemy as sa

from chartloop.kernel.db_session import METADATA

DATA_KEY = sa.Table(
    "data_key",
    METADATA,
    sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),  # random; stands in front of everything sealed with it
    sa.Column("scope", sa.Text, nullable=False),  # what it seals: store, audit, or the reference of a patient
    sa.Column("algorithm", sa.Text, nullable=False),
    sa.Column("master", sa.Text, nullable=False),  # fingerprint of the master key it is wrapped with
    sa.Column("wrapped", sa.LargeBinary, nullable=False),  # empty: destroyed
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.Column("retired", sa.BigInteger, nullable=False),  # since when it opens and seals no more; 0: it seals
    sa.Column("destroyed", sa.BigInteger, nullable=False),  # 0: it is there
    sa.Column("used", sa.BigInteger, nullable=False),  # how often it has sealed, as far as it was counted
    sa.Index("data_key_scope", "scope", "created"),
)
