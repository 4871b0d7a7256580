"""One step of each kind of job: a few resources or rows, judged in one snapshot and corrected in one short transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from chartloop.kernel import clock
from chartloop.kernel.db import Session, Tx
from fhir_server.indexing.rows import INDEX_TABLES
from fhir_server.indexing.vocabulary import declare_whole
from fhir_server.reindexing.differences import (
    BY_RESOURCE,
    BY_VALUE,
    Differences,
    alone,
    correct,
    differences_of,
    judged,
    missing_of,
    unjustified,
    with_heritage,
)
from fhir_server.reindexing.jobs import DONE, FILL, PURGE, REBUILD, RUNNING, Job, move
from fhir_server.search.registry import FILLING, GONE, LAST_NUMBER, READY, advance, fence
from fhir_server.spec.definitions import r4
from fhir_server.store import Store
from fhir_server.type_ids import TYPE_IDS
from fhir_server.writing import Stale

RESOURCES: Final = 200
ROWS: Final = 1_000
_BUILD: Final = "build"
_ORPHANS: Final = "orphans"
_LAST_BEFORE: Final = (-(2**63), -(2**63), -1)
"""Before every value, rank and rid."""


def step(store: Store, job: Job) -> Job:
    """Carry a job on by one step; return how it stands then.

    Raises:
        Stale: Something that the step was prepared on has changed; the next try is prepared anew.
        Moved: Another worker has carried it on.
    """
    return _STEPS[job.kind](store, job)


def _fill(store: Store, job: Job) -> Job:
    """Index what is stored under new parameters; the last step makes them searchable."""
    known = store.parameters.now
    numbers = set(job.numbers) & known.numbers()
    with store.db.read(snapshot=True) as session:
        before = _begun(job, _count(session, job, living=True)) if not job.phase else job
        rids = _next(session, job, RESOURCES, living=True) if numbers else []
        found = missing_of(session, judged(session, store, rids), numbers)
    after = _after(before, rids, found.count(), done=len(rids) < RESOURCES)

    def finish(tx: Tx) -> None:
        if after.state == DONE and numbers:
            marks = ", ".join("?" * len(numbers))
            tx.run(f"UPDATE search_parameter SET state = ? WHERE state = ? AND number IN ({marks})", (READY, FILLING, *numbers))
            advance(tx)

    return _store(store, known.version, job, after, found, finish)


def _rebuild(store: Store, job: Job) -> Job:
    """Make the rows of every resource anew; then look for rows of no resource, and at every row that is not found by its resource."""
    known = store.parameters.now
    if job.phase not in ("", _BUILD):
        return _orphans(store, job) if job.phase.startswith(_ORPHANS) else _sweep(store, job)
    with store.db.read(snapshot=True) as session:
        before = _begun(job, _count(session, job) + _rows(session, job)) if not job.phase else job
        rids = _next(session, job, RESOURCES)
        found = differences_of(session, with_heritage(session, store, judged(session, store, rids)))
    after = _after(before, rids, found.count())
    if len(rids) < RESOURCES:
        after = after._replace(phase=f"sweep {BY_VALUE[0]} 0" if job.types else f"{_ORPHANS} {BY_RESOURCE[0]}", position="")
    return _store(store, known.version, job, after, found)


def _orphans(store: Store, job: Job) -> Job:
    """Remove rows of resources that do not exist, from one table that is found by resource."""
    name = job.phase.split()[1]
    table = INDEX_TABLES[name][0]
    with store.db.read(snapshot=True) as session:
        rids = [int(row[0]) for row in session.all(f"SELECT rid FROM {table} WHERE rid > ? ORDER BY rid LIMIT ?", (int(job.position or -1), ROWS))]
        found = alone(session, name, sorted(set(rids)))
    after = job._replace(changed=job.changed + found.count(), position=str(rids[-1]) if rids else "")
    if len(rids) < ROWS:
        later = BY_RESOURCE[BY_RESOURCE.index(name) + 1 :]
        after = after._replace(phase=f"{_ORPHANS} {later[0]}" if later else f"sweep {BY_VALUE[0]} 0", position="")
    return _store(store, store.parameters.now.version, job, after, found)


def _sweep(store: Store, job: Job) -> Job:
    """Look at the next rows of one table in a range of parameters, in the order of their key."""
    known = store.parameters.now
    _, name, place = job.phase.split()
    with store.db.read(snapshot=True) as session:
        ranges = _ranges(session, job)
        entries = _entries(session, name, ranges[int(place)], job.position)
        found = unjustified(judged(session, store, sorted({int(entry[-1]) for entry in entries})), name, entries)
    after = job._replace(done=job.done + len(entries), changed=job.changed + found.count(), position=" ".join(map(str, entries[-1])) if entries else "")
    if len(entries) < ROWS:
        after = _following(after, name, int(place), len(ranges))
    return _store(store, known.version, job, after, found)


def _following(job: Job, name: str, place: int, ranges: int) -> Job:
    """The next range of parameters, the next table, or the end."""
    if place + 1 < ranges:
        return job._replace(phase=f"sweep {name} {place + 1}", position="")
    later = BY_VALUE[BY_VALUE.index(name) + 1 :]
    if later:
        return job._replace(phase=f"sweep {later[0]} 0", position="")
    return job._replace(state=DONE, finished=clock.now_us(), position="")


def _purge(store: Store, job: Job) -> Job:
    """Remove rows of parameters that are no more: nobody writes them any longer."""
    gone = Differences()
    marks = ", ".join("?" * len(job.numbers))
    with store.db.read(snapshot=True) as session:
        for name, (table, columns) in INDEX_TABLES.items():
            sql = f"SELECT {', '.join(columns)}, rid FROM {table} WHERE param IN ({marks}) LIMIT ?"
            if entries := session.all(sql, (*job.numbers, ROWS - gone.count())):
                gone.extra[name] = [*entries]
    count = gone.count()
    before = _begun(job, 0) if not job.phase else job
    after = before._replace(position=str(before.done + count), total=before.done + count, done=before.done + count, changed=before.changed + count)
    if not count:
        after = after._replace(state=DONE, finished=clock.now_us())

    def work(tx: Tx) -> None:
        move(tx, job, after)
        for name, entries in gone.extra.items():
            table, columns = INDEX_TABLES[name]
            tx.many(f"DELETE FROM {table} WHERE {' AND '.join(f'{column} = ?' for column in (*columns, 'rid'))}", entries)
        if not count:
            tx.run(f"UPDATE search_parameter SET state = ? WHERE number IN ({marks})", (GONE, *job.numbers))

    store.db.write(work)
    return after


_STEPS: Final[dict[str, Callable[[Store, Job], Job]]] = {FILL: _fill, REBUILD: _rebuild, PURGE: _purge}


def _store(store: Store, known: int, before: Job, after: Job, found: Differences, finish: Callable[[Tx], None] = lambda _: None) -> Job:
    def work(tx: Tx) -> None:
        if fence(tx) != known:
            raise Stale
        move(tx, before, after)
        if not correct(tx, found):
            raise Stale
        store.vocabulary.learn(tx, found.words)
        if after.kind == REBUILD and after.state == DONE and not after.types:
            declare_whole(tx)
        finish(tx)

    store.db.write(work)
    return after


def _begun(job: Job, total: int) -> Job:
    return job._replace(state=RUNNING, phase=_BUILD, started=clock.now_us(), total=total)


def _after(job: Job, rids: Sequence[int], changed: int, *, done: bool = False) -> Job:
    after = job._replace(done=job.done + len(rids), changed=job.changed + changed, position=str(rids[-1]) if rids else job.position)
    return after._replace(state=DONE, finished=clock.now_us()) if done else after


def _types(job: Job, sign: str = "") -> str:
    return f"{sign}type_id IN ({', '.join(str(TYPE_IDS[each]) for each in job.types)})" if job.types else "1 = 1"


def _count(session: Session, job: Job, *, living: bool = False) -> int:
    found = session.one(f"SELECT count(*) FROM resource WHERE {_types(job)}{' AND deleted = 0' if living else ''}")
    return int(found[0]) if found else 0


def _next(session: Session, job: Job, count: int, *, living: bool = False) -> list[int]:
    """The next resources, in the order of their rids; what is new is indexed by its write, wherever it comes in."""
    alive = " AND deleted = 0" if living else ""
    sign = "+" if session.dialect == "sqlite" else ""  # it keeps SQLite from sorting the whole type for each step
    sql = f"SELECT rid FROM resource WHERE rid > ? AND {_types(job, sign)}{alive} ORDER BY rid LIMIT ?"
    return [int(row[0]) for row in session.all(sql, (int(job.position or -1), count))]


def _ranges(session: Session, job: Job) -> list[tuple[int, int]]:
    """First and last number of each run of parameters that the job is about; R4's of one type follow each other."""
    if not job.types:
        return [(1, LAST_NUMBER)]
    ranges = []
    for type_ in job.types:
        numbers = sorted(r4().search_ids(type_).values())
        ranges += [(numbers[0], numbers[-1])] if numbers else []
        custom = session.all("SELECT number FROM search_parameter WHERE type_id = ? ORDER BY number", (TYPE_IDS[type_],))
        ranges += [(int(row[0]), int(row[0])) for row in custom]
    return ranges


def _rows(session: Session, job: Job) -> int:
    """How many rows there are to look at."""
    total = 0
    for low, high in _ranges(session, job):
        for name in BY_VALUE:
            found = session.one(f"SELECT count(*) FROM {INDEX_TABLES[name][0]} WHERE param BETWEEN ? AND ?", (low, high))
            total += int(found[0]) if found else 0
    return total


def _entries(session: Session, name: str, among: tuple[int, int], position: str) -> list[tuple[int, ...]]:
    table, columns = INDEX_TABLES[name]
    names = ", ".join((*columns, "rid"))
    after = tuple(map(int, position.split())) if position else (among[0], *_LAST_BEFORE)
    sql = f"SELECT {names} FROM {table} WHERE ({names}) > ({', '.join('?' * len(after))}) AND param <= ? ORDER BY {names} LIMIT ?"
    return [(*map(int, row),) for row in session.all(sql, (*after, among[1], ROWS))]
