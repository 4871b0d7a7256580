"""What one of many processes does: a lease with a fencing token that grows with every owner, under the rules of the bus's leases and in their table."""

from __future__ import annotations

from typing import Final

from chartloop.kernel import clock
from chartloop.kernel.broker import LeaseLost
from chartloop.kernel.db_session import OneRow, Tx

_SLOT: Final = "leader"
"""Beside a duty's name in the place of a consumer's: no consumer of events is called like a duty."""
_NEVER: Final = 2**62


def is_free(session: OneRow, duty: str, longest_s: float | None = None) -> bool:
    """Whether nobody has the duty, or who had it is silent; a lease that ends later than the longest can was made before the clock was set back."""
    row = session.one("SELECT until FROM lease WHERE consumer = ? AND slot = ?", (duty, _SLOT))
    now = clock.now_us()
    return row is None or row[0] <= now or row[0] > _latest(now, longest_s)


def take(tx: Tx, duty: str, owner: str, lease_s: float, longest_s: float | None = None) -> int | None:
    """Take a duty that is free; return the token, None where somebody else was faster."""
    now = clock.now_us()
    row = tx.one(
        "INSERT INTO lease (consumer, slot, owner, token, until) VALUES (?, ?, ?, 1, ?) ON CONFLICT (consumer, slot)"
        " DO UPDATE SET owner = excluded.owner, token = lease.token + 1, until = excluded.until"
        " WHERE lease.until <= ? OR lease.until > ? RETURNING token",
        (duty, _SLOT, owner, now + _us(lease_s), now, _latest(now, longest_s)),
    )
    return int(row[0]) if row else None


def fence(tx: Tx, duty: str, token: int) -> None:
    """Refuse who was taken over from; until the commit nobody can take over.

    Raises:
        LeaseLost: Somebody did.
    """
    lock = " FOR SHARE" if tx.dialect == "postgresql" else ""
    row = tx.one(f"SELECT token FROM lease WHERE consumer = ? AND slot = ?{lock}", (duty, _SLOT))
    if row is None or row[0] != token:
        raise LeaseLost


def renew(tx: Tx, duty: str, token: int, lease_s: float) -> None:
    """Keep a duty.

    Raises:
        LeaseLost: Somebody took over.
    """
    if not tx.run("UPDATE lease SET until = ? WHERE consumer = ? AND slot = ? AND token = ?", (clock.now_us() + _us(lease_s), duty, _SLOT, token)):
        raise LeaseLost


def release(tx: Tx, duty: str, token: int) -> None:
    """Let somebody else have it at once."""
    tx.run("UPDATE lease SET until = 0 WHERE consumer = ? AND slot = ? AND token = ?", (duty, _SLOT, token))


def _latest(now: int, longest_s: float | None) -> int:
    return _NEVER if longest_s is None else now + _us(longest_s)


def _us(seconds: float) -> int:
    return round(seconds * 1e6)
