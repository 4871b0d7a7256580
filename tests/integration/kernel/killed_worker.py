"""A process that works on events until it is killed: each has an effect in the store, marked in the same transaction."""

import sys
import time

from chartloop.kernel.broker import Once
from chartloop.kernel.broker_table import TableBus
from chartloop.kernel.db import Database, Tx, open_database
from chartloop.kernel.events import Event
from chartloop.kernel.settings_sections import WorkerSettings
from chartloop.kernel.worker import Worker

SETTINGS = WorkerSettings(poll_interval_s=0.05, lease_s=1.0, batch=50, backoff_s=0.05, backoff_max_s=0.5, attempts=1000)


class Effecting:
    """Writes a row for every event, slowly enough to be caught in the middle of a batch."""

    name = "effecting"
    types: frozenset[str] = frozenset()
    subjects: frozenset[str] = frozenset()
    isolation = "patient"

    def __init__(self, database: Database, pause_s: float = 0.0) -> None:
        self._database, self._pause_s = database, pause_s

    def handle(self, event: Event, once: Once) -> None:
        def effect(tx: Tx) -> None:
            once(tx)
            tx.run("INSERT INTO effect (subject) VALUES (?)", (event.subject,))

        time.sleep(self._pause_s)
        self._database.write(effect)


def main() -> None:
    database = open_database(sys.argv[1])
    bus = TableBus(database)
    Worker(database, bus, [Effecting(database, 0.002)], [], SETTINGS).start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
