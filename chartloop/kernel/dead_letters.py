"""Dead letters: events that a consumer gave up; somebody retries or drops them."""

from collections.abc import Callable
from typing import NamedTuple

from chartloop.kernel.broker import Bus
from chartloop.kernel.db_session import Database, Session, Tx
from chartloop.kernel.errors import NotFound


class DeadLetter(NamedTuple):
    """An event that a consumer gave up, and why."""

    id: str
    consumer: str
    seq: int
    event: str
    type: str
    subject: str
    key: str
    reason: str
    attempts: int
    recorded: int


_COLUMNS = ", ".join(DeadLetter._fields)


class DeadLetters:
    """What an operator sees and decides."""

    def __init__(self, database: Database, bus: Bus) -> None:
        """Use the tables of this database; the bus is woken after a decision."""
        self._db = database
        self._bus = bus

    def list(self, limit: int = 100) -> list[DeadLetter]:
        """List the newest dead letters."""
        with self._db.read() as session:
            rows = session.all(f"SELECT {_COLUMNS} FROM dead_letter ORDER BY recorded DESC, id LIMIT ?", (limit,))
        return [DeadLetter(*row) for row in rows]

    def show(self, id_: str) -> DeadLetter:
        """Return one dead letter."""
        with self._db.read() as session:
            return _find(session, id_)

    def retry(self, id_: str, also: Callable[[Tx], object] = lambda _tx: None) -> None:
        """Let the consumer try again, from its first attempt; `also` belongs to the same commit."""

        def work(tx: Tx) -> None:
            letter = _find(tx, id_)
            tx.run("DELETE FROM dead_letter WHERE id = ?", (id_,))
            # The hold stays, due at once: it goes when its event is handled.
            tx.run("UPDATE delivery_hold SET attempt = 1, due = 0 WHERE consumer = ? AND key = ?", (letter.consumer, letter.key))
            also(tx)
            tx.after_commit(self._bus.wake)

        self._db.write(work)

    def drop(self, id_: str, also: Callable[[Tx], object] = lambda _tx: None) -> None:
        """Forget the event for this consumer; later events of its key go on. `also` belongs to the same commit."""

        def work(tx: Tx) -> None:
            letter = _find(tx, id_)
            tx.run("DELETE FROM dead_letter WHERE id = ?", (id_,))
            tx.run("DELETE FROM delivery WHERE consumer = ? AND seq = ?", (letter.consumer, letter.seq))
            tx.run("DELETE FROM delivery_hold WHERE consumer = ? AND key = ?", (letter.consumer, letter.key))
            also(tx)
            tx.after_commit(self._bus.wake)

        self._db.write(work)


def _find(session: Session, id_: str) -> DeadLetter:
    row = session.one(f"SELECT {_COLUMNS} FROM dead_letter WHERE id = ?", (id_,))
    if row is None:
        raise NotFound("There is no such dead letter.")
    return DeadLetter(*row)
