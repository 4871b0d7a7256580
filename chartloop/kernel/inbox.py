"""The inbox: what came from outside counts once, however often it comes."""

from chartloop.kernel import clock
from chartloop.kernel.db_session import Tx


def accept(tx: Tx, source: str, key: str, digest: bytes) -> bool:
    """Remember what came; say whether this is the first time."""
    inserted = tx.run(
        "INSERT INTO inbox (source, key, digest, recorded) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (source, key, digest, clock.now_us()),
    )
    return inserted == 1


def digest_of(tx: Tx, source: str, key: str) -> bytes | None:
    """Return the digest of what came first under this key: a different one is not a repetition but a clash."""
    row = tx.one("SELECT digest FROM inbox WHERE source = ? AND key = ?", (source, key))
    return None if row is None else bytes(row[0])
