"""What a process alone knows, told through the store to whoever watches: totals that only grow, and states that count while they are fresh.

A process that fell silent is not quoted: an old number looks like a good one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from chartloop.kernel import clock
from chartloop.kernel.db_session import Session, Tx

TELL_EVERY_S: Final = 10.0
FRESH_S: Final = 35.0
"""Three times told and a little more."""
_FORGOTTEN_S: Final = 86_400.0

RETRIED: Final = "events-retried"
"""Total by consumer: events that failed and are tried again."""
WORKERS: Final = "workers"
"""State: 1 for each process that works on events."""


def add(tx: Tx, name: str, counts: Mapping[str, int]) -> None:
    """Add to totals, by label."""
    now = clock.now_us()
    tx.many(
        "INSERT INTO signal (name, label, process, value, recorded) VALUES (?, ?, '', ?, ?)"
        " ON CONFLICT (name, label, process) DO UPDATE SET value = signal.value + excluded.value, recorded = excluded.recorded",
        [(name, label, count, now) for label, count in sorted(counts.items())],
    )


def tell(tx: Tx, process: str, name: str, states: Mapping[str, int]) -> None:
    """Say how things are as this process sees them, by label; what it said before of this name holds no more."""
    now = clock.now_us()
    tx.run("DELETE FROM signal WHERE process <> '' AND ((name = ? AND process = ?) OR recorded < ?)", (name, process, now - round(_FORGOTTEN_S * 1e6)))
    tx.many("INSERT INTO signal (name, label, process, value, recorded) VALUES (?, ?, ?, ?, ?)", [(name, label, process, value, now) for label, value in sorted(states.items())])


def silence(tx: Tx, process: str) -> None:
    """Take back what a process said: it ends."""
    tx.run("DELETE FROM signal WHERE process = ?", (process,))


def totals(session: Session, name: str) -> dict[str, int]:
    """Totals by label."""
    return {str(label): int(value) for label, value in session.all("SELECT label, value FROM signal WHERE name = ? AND process = '' ORDER BY label", (name,))}


def states(session: Session, name: str) -> dict[str, list[int]]:
    """What each process said lately, by label."""
    found: dict[str, list[int]] = {}
    now = clock.now_us()
    told = session.all(
        "SELECT label, value FROM signal WHERE name = ? AND process <> '' AND recorded BETWEEN ? AND ? ORDER BY label, process",
        (name, now - round(FRESH_S * 1e6), now + round(FRESH_S * 1e6)),  # told long after now: the clock was set back
    )
    for label, value in told:
        found.setdefault(str(label), []).append(int(value))
    return found


def workers(session: Session) -> int:
    """How many processes work on events now."""
    return sum(states(session, WORKERS).get("", []))
