"""Who runs the jobs: one process, by a lease with a fencing token, under the rules of the bus's leases and in their table."""

from __future__ import annotations

from typing import Final

from chartloop.kernel import clock
from chartloop.kernel.broker import LeaseLost
from chartloop.kernel.db_session import Session, Tx

WHO: Final = ("job", "leader")
"""Consumer and slot of the lease; no consumer of events has this name."""


def is_free(session: Session, lease_s: float) -> bool:
    """Whether nobody leads, or who did is silent. A lease that ends later than any could is one from before the clock was set back."""
    row = session.one("SELECT until FROM lease WHERE consumer = ? AND slot = ?", WHO)
    now = clock.now_us()
    return row is None or row[0] <= now or row[0] > now + _us(2 * lease_s)


def take(tx: Tx, owner: str, lease_s: float) -> int | None:
    """Become the one who runs jobs; return the token, None where somebody else was faster."""
    now = clock.now_us()
    row = tx.one(
        "INSERT INTO lease (consumer, slot, owner, token, until) VALUES (?, ?, ?, 1, ?) ON CONFLICT (consumer, slot)"
        " DO UPDATE SET owner = excluded.owner, token = lease.token + 1, until = excluded.until"
        " WHERE lease.until <= ? OR lease.until > ? RETURNING token",
        (*WHO, owner, now + _us(lease_s), now, now + _us(2 * lease_s)),
    )
    return int(row[0]) if row else None


def fence(tx: Tx, token: int) -> None:
    """Refuse who was taken over from; until the commit nobody can take over.

    Raises:
        LeaseLost: Somebody did.
    """
    lock = " FOR SHARE" if tx.dialect == "postgresql" else ""
    row = tx.one(f"SELECT token FROM lease WHERE consumer = ? AND slot = ?{lock}", WHO)
    if row is None or row[0] != token:
        raise LeaseLost


def renew(tx: Tx, token: int, lease_s: float) -> None:
    """Go on leading.

    Raises:
        LeaseLost: Somebody took over.
    """
    if not tx.run("UPDATE lease SET until = ? WHERE consumer = ? AND slot = ? AND token = ?", (clock.now_us() + _us(lease_s), *WHO, token)):
        raise LeaseLost


def release(tx: Tx, token: int) -> None:
    """Let somebody else lead."""
    tx.run("UPDATE lease SET until = 0 WHERE consumer = ? AND slot = ? AND token = ?", (*WHO, token))


def _us(seconds: float) -> int:
    return round(seconds * 1e6)
