"""Control numbers: looked at before a transaction, taken inside it, never used twice.

ISA13 counts per sender, receiver and usage; GS06 the same. A number is taken by compare-and-set, so that whoever writes it
into a resource and whoever takes it are one transaction.
"""

from chartloop.kernel.db import Session, Tx
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
    row = tx.one(
        "INSERT INTO claims_counter (scope, value) VALUES (?, 1) ON CONFLICT (scope) DO UPDATE SET value = claims_counter.value + 1 RETURNING value",
        (scope,),
    )
    if row is None:
        raise Unavailable
    return int(row[0])
