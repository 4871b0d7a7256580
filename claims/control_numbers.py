"""Control numbers: looked at before a transaction, taken inside it, never used twice.

ISA13 counts per sender, receiver and usage; GS06 the same. A number is taken by compare-and-set, so that whoever writes it
into a resource and whoever takes it are one transaction. Other things that are counted by name are kept beside them.
"""

from chartloop.kernel.db import OneRow, Session, Tx
from chartloop.kernel.errors import Conflict, Unavailable

LAST = 999_999_999


class NumberTaken(Conflict):
    """Another transaction took this control number: look again."""


def next_number(session: Session, scope: str) -> int:
    """Return the number that comes next; it is not taken yet."""
    row = session.one("SELECT value FROM claims_counter WHERE scope = ?", (scope,))
    number = (int(row[0]) if row else 0) + 1
    if number > LAST:
        raise Unavailable("The control numbers of this payer are used up.")
    return number


def take_number(tx: Tx, scope: str, number: int) -> None:
    """Take a number that was looked at; raises NumberTaken when somebody else has it."""
    if number == 1:
        taken = tx.run("INSERT INTO claims_counter (scope, value) VALUES (?, 1) ON CONFLICT DO NOTHING", (scope,))
    else:
        taken = tx.run("UPDATE claims_counter SET value = ? WHERE scope = ? AND value = ?", (number, scope, number - 1))
    if taken != 1:
        raise NumberTaken


def draw_number(tx: Tx, scope: str) -> int:
    """Take the next number at once."""
    return count(tx, scope)


def count(tx: Tx, scope: str, by: int = 1) -> int:
    """Add to what is counted under a name; return how many there are now."""
    row = tx.one(
        "INSERT INTO claims_counter (scope, value) VALUES (?, ?)"
        " ON CONFLICT (scope) DO UPDATE SET value = claims_counter.value + excluded.value RETURNING value",
        (scope, by),
    )
    if row is None:
        raise Unavailable
    return int(row[0])


def read_count(session: OneRow, scope: str) -> int:
    """Return what was counted under a name."""
    row = session.one("SELECT value FROM claims_counter WHERE scope = ?", (scope,))
    return int(row[0]) if row else 0


def set_count(tx: Tx, scope: str, value: int) -> None:
    """Write what is kept under a name."""
    sql = "INSERT INTO claims_counter (scope, value) VALUES (?, ?) ON CONFLICT (scope) DO UPDATE SET value = excluded.value"
    tx.run(sql, (scope, value))


def counts(session: Session, prefix: str) -> list[tuple[str, int]]:
    """Return everything counted under names that begin so."""
    rows = session.all("SELECT scope, value FROM claims_counter WHERE scope LIKE ? ORDER BY scope", (f"{prefix}%",))
    return [(str(scope), int(value)) for scope, value in rows]
