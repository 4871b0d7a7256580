"""Statements on data keys: make, find, retire, wrap anew, destroy."""

from __future__ import annotations

import secrets
from typing import Final, NamedTuple

from chartloop.kernel.db_session import Session, Tx
from chartloop.kernel.vault import tables as _tables  # noqa: F401 declares the table that these statements are about
from chartloop.kernel.vault.envelope import ALGORITHM

_COLUMNS: Final = "id, scope, algorithm, master, wrapped, created, retired, destroyed, used"


class DataKey(NamedTuple):
    """One row."""

    id: int
    scope: str
    algorithm: str
    master: str
    wrapped: bytes
    created: int
    retired: int
    destroyed: int
    used: int


def new(scope: str, master: str, wrapped: bytes, now: int) -> DataKey:
    """Give a wrapped key a random number, so that writers need not agree on the next one."""
    return DataKey(secrets.randbits(63), scope, ALGORITHM, master, wrapped, now, 0, 0, 0)


def add(tx: Tx, key: DataKey) -> None:
    """Store a new data key, unless it is stored already."""
    tx.run(f"INSERT INTO data_key ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING", key)


def by_number(session: Session, number: int) -> DataKey | None:
    """Find one key."""
    return _key(session.one(f"SELECT {_COLUMNS} FROM data_key WHERE id = ?", (number,)))


def sealing(session: Session, scope: str) -> DataKey | None:
    """Find the newest key of a scope that may still seal."""
    sql = f"SELECT {_COLUMNS} FROM data_key WHERE scope = ? AND retired = 0 AND destroyed = 0 ORDER BY created DESC, id LIMIT 1"
    return _key(session.one(sql, (scope,)))


def page(session: Session, after: int, limit: int) -> list[DataKey]:
    """List keys in the order of their numbers."""
    rows = session.all(f"SELECT {_COLUMNS} FROM data_key WHERE id > ? ORDER BY id LIMIT ?", (after, limit))
    return [key for row in rows if (key := _key(row))]


def masters(session: Session) -> dict[str, int]:
    """Count the living keys by the fingerprint of the master key they are wrapped with."""
    rows = session.all("SELECT master, count(*) FROM data_key WHERE destroyed = 0 GROUP BY master ORDER BY master")
    return {str(master): int(count) for master, count in rows}


def any_key(session: Session) -> bool:
    """Whether there ever was a key."""
    return session.one("SELECT 1 FROM data_key LIMIT 1") is not None


def destroyed_since(session: Session, moment: int) -> list[int]:
    """Numbers of the keys that were destroyed at or after a moment."""
    return [int(row[0]) for row in session.all("SELECT id FROM data_key WHERE destroyed >= ? AND destroyed > 0", (moment,))]


def retire(tx: Tx, scope: str, now: int) -> int:
    """Let the keys of a scope seal no more; every scope is *."""
    if scope == "*":
        return tx.run("UPDATE data_key SET retired = ? WHERE retired = 0 AND destroyed = 0", (now,))
    return tx.run("UPDATE data_key SET retired = ? WHERE retired = 0 AND destroyed = 0 AND scope = ?", (now, scope))


def rewrap(tx: Tx, key: DataKey, master: str, wrapped: bytes) -> int:
    """Store a key wrapped anew, unless it was destroyed meanwhile."""
    return tx.run("UPDATE data_key SET master = ?, wrapped = ? WHERE id = ? AND destroyed = 0", (master, wrapped, key.id))


def destroy(tx: Tx, scope: str, now: int) -> int:
    """Forget the keys of a scope for ever; return how many there were."""
    sql = "UPDATE data_key SET wrapped = ?, master = '', destroyed = ?, retired = CASE WHEN retired = 0 THEN ? ELSE retired END WHERE scope = ? AND destroyed = 0"
    return tx.run(sql, (b"", now, now, scope))


def count_uses(tx: Tx, number: int, uses: int) -> None:
    """Add to how often a key has sealed."""
    tx.run("UPDATE data_key SET used = used + ? WHERE id = ?", (uses, number))


def _key(row: tuple[object, ...] | None) -> DataKey | None:
    if row is None:
        return None
    found = DataKey(*row)  # type: ignore[arg-type]
    return found._replace(wrapped=bytes(found.wrapped))
