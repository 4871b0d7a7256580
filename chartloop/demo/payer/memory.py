"""What a payer remembers: interchanges, claims and its mailbox, in one SQLite file that outlives the process."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SCHEMA = """
create table if not exists interchange(payer text, key text, sha256 text, control text, sender text, primary key(payer, key));
create table if not exists attempt(payer text, key text, primary key(payer, key));
create table if not exists claim(payer text, pcn text, verdict text, paid text, primary key(payer, pcn));
create table if not exists mailbox(payer text, n integer, name text, body text, not_before real, primary key(payer, n));
create table if not exists counter(payer text, name text, value integer, primary key(payer, name));
"""


class Memory:
    """One connection behind one lock: a payer is in no hurry."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.executescript(SCHEMA)
        self._lock = threading.RLock()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._connection:
            self._connection.execute("begin immediate")
            yield self._connection

    def next(self, payer: str, name: str, by: int = 1) -> int:
        """Add to a counter and return it."""
        sql = "insert into counter values(?, ?, ?) on conflict do update set value = value + excluded.value returning value"
        with self._lock:
            return int(self._connection.execute(sql, (payer, name, by)).fetchone()[0])

    def first_attempt(self, payer: str, key: str) -> bool:
        with self._lock:
            return self._connection.execute("insert or ignore into attempt values(?, ?)", (payer, key)).rowcount == 1

    def known(self, payer: str, key: str) -> bool:
        with self._lock:
            return self._connection.execute("select 1 from interchange where payer = ? and key = ?", (payer, key)).fetchone() is not None

    def mailbox(self, payer: str, after: int, limit: int, now_s: float) -> list[tuple[int, str, str]]:
        """Items in order of their number; one that is not due yet holds back those behind it."""
        sql = "select n, name, body, not_before from mailbox where payer = ? and n > ? order by n limit ?"
        with self._lock:
            rows = self._connection.execute(sql, (payer, after, limit)).fetchall()
        due: list[tuple[int, str, str]] = []
        for n, name, body, not_before in rows:
            if not_before > now_s:
                break
            due.append((n, name, body))
        return due

    def stats(self, payer: str) -> dict[str, int]:
        with self._lock:
            counters = dict(self._connection.execute("select name, value from counter where payer = ?", (payer,)).fetchall())
            verdicts = dict(self._connection.execute("select verdict, count(*) from claim where payer = ? group by verdict", (payer,)).fetchall())
        return {
            "interchanges": counters.get("interchanges", 0),
            "repeated": counters.get("repeated", 0),
            "distinct_claims": sum(verdicts.values()),
            "duplicates": counters.get("duplicates", 0),
            "rejected": verdicts.get("rejected", 0),
            "paid": verdicts.get("paid", 0),
            "denied": verdicts.get("denied", 0),
            "refused_sets": counters.get("refused_sets", 0),
            "outages": counters.get("outages", 0),
        }
