"""Tables of the simulation, beside those of the store: what is changed, what consumers did, what they derived."""

import sqlalchemy as sa

TABLES = sa.MetaData()
_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
sa.Table("sim_thing", TABLES, *(sa.Column(name, sa.Text, primary_key=name == "subject") for name in ("subject", "key")), sa.Column("version", sa.BigInteger))
sa.Table(
    "sim_effect",
    TABLES,
    sa.Column("id", _NUMBER, primary_key=True, autoincrement=True),
    *(sa.Column(name, sa.Text) for name in ("consumer", "event", "key", "slot")),
    sa.Column("token", sa.BigInteger),
    sqlite_autoincrement=True,
)
sa.Table("sim_projection", TABLES, sa.Column("subject", sa.Text, primary_key=True), sa.Column("version", sa.BigInteger))
