"""What must be true after every step, and at the end: kept as plain lists beside the store, and compared with it."""

from collections import defaultdict

from chartloop.kernel.broker import Group
from chartloop.kernel.broker_table import NEVER
from chartloop.kernel.db import Database, Session


class Broken(AssertionError):
    """Something that must be true is not."""


class Model:
    """Every stored event in its order; for each consumer and key, which of them it must have an effect on next."""

    def __init__(self, groups: list[Group], marking: frozenset[str], poisoned: frozenset[str]) -> None:
        self.groups, self.marking, self.poisoned = groups, marking, poisoned
        self.expected: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        self.next: defaultdict[tuple[str, str], int] = defaultdict(int)
        self.changes: defaultdict[str, int] = defaultdict(int)
        self.events = 0
        self._seq = self._effect = 0
        self._cursors: dict[str, tuple[int, int]] = {}
        self._tokens: dict[tuple[str, str], int] = {}
        self._working: dict[tuple[str, str], int] = {}

    def check(self, database: Database, taken: dict[str, int]) -> None:
        """Compare what was stored since the last step, and what must always be true."""
        with database.read() as session:
            self._events(session)
            self._effects(session)
            self._cursors_and_tokens(session)
            self._parked(session)
            self._outside(session, taken)

    def dropped(self, consumer: str, key: str, event: str) -> None:
        """An operator gave an event up: it is not expected any more."""
        self.expected[consumer, key].remove(event)

    def _events(self, session: Session) -> None:
        rows = session.all("SELECT seq, id, type, subject, key FROM event WHERE seq > ? ORDER BY xid, seq", (self._seq,))
        for seq, event, type_, subject, key in rows:
            self._seq = max(self._seq, seq)
            self.events += 1
            if type_ == "ResourceUpdated":
                self.changes[subject] += 1
            for group in self.groups:
                if group.name in self.marking and group.wants(type_, subject):
                    self.expected[group.name, key].append(event)
        for subject in {row[3] for row in rows if row[2] == "ResourceUpdated"}:
            stored = session.one("SELECT version FROM sim_thing WHERE subject = ?", (subject,))
            if stored != (self.changes[subject],):
                raise Broken(f"{subject} has {self.changes[subject]} events and version {stored}: a change was stored in part")

    def _effects(self, session: Session) -> None:
        sql = "SELECT id, consumer, event, key, slot, token FROM sim_effect WHERE id > ? ORDER BY id"
        for id_, consumer, event, key, slot, token in session.all(sql, (self._effect,)):
            self._effect = id_
            expected, at = self.expected[consumer, key], self.next[consumer, key]
            if event in expected[:at]:
                raise Broken(f"{consumer} had an effect twice")
            if at >= len(expected) or expected[at] != event:
                raise Broken(f"{consumer} left the order of a key: an event was lost or overtaken")
            self.next[consumer, key] = at + 1
            if token < self._working.get((consumer, slot), 0):
                raise Broken(f"{consumer} had an effect under a lease that was taken over")
            self._working[consumer, slot] = token

    def _cursors_and_tokens(self, session: Session) -> None:
        for consumer, xid, seq in session.all("SELECT consumer, xid, seq FROM event_cursor"):
            if (xid, seq) < self._cursors.get(consumer, (-1, 0)):
                raise Broken(f"the cursor of {consumer} went back")
            self._cursors[consumer] = (xid, seq)
        for consumer, slot, token in session.all("SELECT consumer, slot, token FROM lease"):
            if token < self._tokens.get((consumer, slot), 0):
                raise Broken(f"a fencing token of {consumer} went back")
            self._tokens[consumer, slot] = token

    def _parked(self, session: Session) -> None:
        parked = session.all("SELECT consumer, key FROM delivery_hold WHERE due = ?", (NEVER,))
        letters = session.all("SELECT consumer, key FROM dead_letter")
        for consumer, key in (*parked, *letters):
            if consumer != "poisoned" or key not in self.poisoned:
                raise Broken(f"{consumer} parked a key that is not poisoned")

    def _outside(self, session: Session, taken: dict[str, int]) -> None:
        again = [key for key, count in taken.items() if count > 1]
        if again:
            raise Broken(f"{again[0]} arrived twice")
        queued = {row[0] for row in session.all("SELECT idempotency_key FROM interchange WHERE direction = 'out' AND state = 'queued'")}
        if queued & taken.keys():
            raise Broken("an interchange that arrived would be sent again")

    def finished(self, database: Database) -> None:
        """At the end nothing waits, nothing was lost, and what was derived is what is stored."""
        for (consumer, key), expected in self.expected.items():
            if self.next[consumer, key] != len(expected):
                raise Broken(f"{consumer} lost {len(expected) - self.next[consumer, key]} events of a key")
        with database.read() as session:
            left = {name: session.one(f"SELECT count(*) FROM {name}") for name in ("delivery", "delivery_hold", "dead_letter")}
            states = {row[0] for row in session.all("SELECT state FROM interchange WHERE direction = 'out'")}
        if any(count != (0,) for count in left.values()):
            raise Broken(f"something is left: {left}")
        if not states <= {"sent", "unknown", "rejected"}:
            raise Broken(f"interchanges are left as {sorted(states)}")
        self.derived(database)

    def derived(self, database: Database) -> None:
        """Compare the projection with what is stored."""
        with database.read() as session:
            things = session.all("SELECT subject, version FROM sim_thing ORDER BY subject")
            projection = session.all("SELECT subject, version FROM sim_projection ORDER BY subject")
        if things != projection:
            raise Broken("the projection differs from what is stored")
