"""Who gets the events: plain effects, one that is poisoned, one that says later, one that writes to the door, a projection."""

import random
from collections.abc import Callable
from contextvars import ContextVar

from chartloop.kernel import clock
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.broker import Lease, Once
from chartloop.kernel.broker_table import TableBus
from chartloop.kernel.db import Database, Tx
from chartloop.kernel.events import Event
from chartloop.kernel.worker import Later, Permanent
from fhir_server.repository import Repository
from tests.integration.claims.world import CODING

LEASE: ContextVar[Lease] = ContextVar("lease")
"""Under which lease a consumer works just now."""
SYSTEM = "urn:simulation"


class LeasedBus(TableBus):
    """The table bus, which also lets an effect say under which lease it happened."""

    def once(self, lease: Lease, event: Event) -> Once:
        LEASE.set(lease)
        return super().once(lease, event)


def effect_of(consumer: str, event: Event, once: Once) -> Callable[[Tx], None]:
    """The effect of an event, in the transaction that marks it as handled."""
    lease = LEASE.get()

    def work(tx: Tx) -> None:
        once(tx)
        row = (consumer, event.id, event.key, lease.slot, lease.token)
        tx.run("INSERT INTO sim_effect (consumer, event, key, slot, token) VALUES (?, ?, ?, ?, ?)", row)

    return work


class Effects:
    """Has an effect on every event, and trouble now and then that passes."""

    name = "effects"
    types = frozenset({"ResourceUpdated"})
    subjects: frozenset[str] = frozenset()
    isolation = "patient"

    def __init__(self, database: Database, rng: random.Random) -> None:
        self.database, self.rng, self.trouble = database, rng, 0.1

    def handle(self, event: Event, once: Once) -> None:
        if self.rng.random() < self.trouble:
            raise OSError("it passes")
        self.database.write(effect_of(self.name, event, once))


class Poisoned(Effects):
    """Gives up every event of a poisoned key."""

    name = "poisoned"
    subjects = frozenset({"Condition"})

    def __init__(self, database: Database, rng: random.Random, keys: frozenset[str]) -> None:
        super().__init__(database, rng)
        self.keys = keys

    def handle(self, event: Event, once: Once) -> None:
        if event.key in self.keys:
            raise Permanent("poison")
        super().handle(event, once)


class Deferring(Effects):
    """Wants every event to be some seconds old, and every key to have a slot of its own."""

    name = "deferring"
    subjects = frozenset({"Claim"})
    isolation = "key"

    def handle(self, event: Event, once: Once) -> None:
        age_s = (clock.now_us() - event.recorded) / 1e6
        if 0 <= age_s < 7:  # an event of the future is one from before the clock went back
            raise Later(7 - age_s)
        super().handle(event, once)


class Writing(Effects):
    """Writes a resource through the door for every event."""

    name = "writing"
    types = frozenset({"MessageReceived"})

    def __init__(self, database: Database, rng: random.Random, door: Repository) -> None:
        super().__init__(database, rng)
        self.door = door

    def handle(self, event: Event, once: Once) -> None:
        task = {
            "resourceType": "Task", "status": "requested", "intent": "order", "identifier": [{"system": SYSTEM, "value": event.id}],
            "code": {"text": "simulated"},
        }  # fmt: skip
        self.door.create(Scope(CODING, "create"), task, also=effect_of(self.name, event, once))


class Projecting:
    """Derives a row from what is stored now: handling an event twice, or only the last of many, changes nothing."""

    name = "projecting"
    types = frozenset({"ResourceUpdated"})
    subjects: frozenset[str] = frozenset()
    isolation = "patient"
    coalesce = True

    def __init__(self, database: Database) -> None:
        self.database = database

    def handle(self, event: Event, once: Once) -> None:
        del once

        def work(tx: Tx) -> None:
            tx.run(
                "INSERT INTO sim_projection (subject, version) SELECT subject, version FROM sim_thing WHERE key = ?"
                " ON CONFLICT (subject) DO UPDATE SET version = excluded.version",
                (event.key,),
            )

        self.database.write(work)
