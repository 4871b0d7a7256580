"""The index of the log: by patient, entity, agent, kind and time. It is derived: what it says, the records prove."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Final

from chartloop.kernel.audit import state
from chartloop.kernel.audit.reading import sealed_records
from chartloop.kernel.audit.record import Kept, read_kept
from chartloop.kernel.db_session import Database, Session, Tx

INDEXED_FROM: Final = "indexed-from"
"""Name of the state that says from which record on the log is indexed."""

_ENTRY: Final = "INSERT INTO audit_entry (seq, recorded, action, outcome, interaction, agent) VALUES (?, ?, ?, ?, ?, ?)"
_PATIENT: Final = "INSERT INTO audit_patient (patient, seq) VALUES (?, ?)"
_ENTITY: Final = "INSERT INTO audit_entity (entity, seq) VALUES (?, ?)"
_ONCE: Final = " ON CONFLICT DO NOTHING"
_BATCH: Final = 2000


def entity_of(target: str) -> str:
    """Name the resource that a target is a version of: "Claim/1/_history/3" is of "Claim/1"."""
    return target.partition("/_history/")[0]


def entity_hash(entity: str) -> int:
    """Hash a name to a signed 64-bit integer, the same in every process and release."""
    return int.from_bytes(blake2b(entity.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big", signed=True)


def add_to_index(tx: Tx, records: Sequence[tuple[int, Kept]], *, again: bool = False) -> None:
    """Index sealed records, each with its number; `again` where some rows may be there already."""
    once = _ONCE if again else ""
    tx.many(_ENTRY + once, [(seq, kept.recorded, kept.action, kept.outcome, kept.interaction, kept.agent) for seq, kept in records])
    tx.many(_PATIENT + once, sorted(patients_of(records)))
    tx.many(_ENTITY + once, sorted(entities_of(records)))


def patients_of(records: Iterable[tuple[int, Kept]]) -> set[tuple[str, int]]:
    """Give the rows that the index by patient holds of some records."""
    return {(patient, seq) for seq, kept in records for patient in kept.patients}


def entities_of(records: Iterable[tuple[int, Kept]]) -> set[tuple[int, int]]:
    """Give the rows that the index by entity holds of some records."""
    return {(entity_hash(entity_of(target)), seq) for seq, kept in records for target in kept.targets}


def index_older(database: Database, directory: Path) -> int:
    """Index a batch of records that were sealed before there was an index, the newest of them first; return how many were looked at."""
    with database.read() as session:
        start = int(state.value(session, INDEXED_FROM) or 1)
        if start <= 1:
            return 0
        stop = max(1, start - _BATCH)
        found = [(record.seq, kept) for record in sealed_records(session, directory, start, start - stop) if (kept := read_kept(record.body))]

    def work(tx: Tx) -> None:
        add_to_index(tx, found, again=True)
        state.remember(tx, INDEXED_FROM, str(stop))

    database.write(work)
    return start - stop


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records are looked for; an empty tuple asks nothing.

    Attributes:
        patients: References of patients, any of them.
        entities: Names of resources, any of them.
        agents: Who asked, any of them.
        interactions: Words, any of them.
        not_interactions: Words, none of them.
        actions: C, R, U, D, E.
        outcomes: "0", "4", "8".
        since: Recorded at or after this microsecond; None asks nothing.
        until: Recorded before this microsecond.
    """

    patients: tuple[str, ...] = ()
    entities: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    interactions: tuple[str, ...] | None = None
    not_interactions: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    outcomes: tuple[str, ...] = ()
    since: int | None = None
    until: int | None = None


def find(session: Session, wanted: Wanted, *, before: int | None = None, limit: int = 50) -> list[int]:
    """Find the numbers of records, the newest first; by patient and entity they are driven by those, never by a walk through the log."""
    if wanted.interactions == ():
        return []
    source, place, conditions, params = _driven(wanted)
    for column, values in (("agent", wanted.agents), ("interaction", wanted.interactions or ()), ("action", wanted.actions), ("outcome", wanted.outcomes)):
        if values:
            conditions.append(f"e.{column} IN ({_marks(values)})")
            params += values
    if wanted.not_interactions:
        conditions.append(f"e.interaction NOT IN ({_marks(wanted.not_interactions)})")
        params += wanted.not_interactions
    for comparison, bound in (("e.recorded >=", wanted.since), ("e.recorded <", wanted.until), (f"{place} <", before)):
        if bound is not None:
            conditions.append(f"{comparison} ?")
            params.append(bound)
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    several = "DISTINCT " if len(wanted.patients) > 1 or len(wanted.entities) > 1 else ""
    rows = session.all(f"SELECT {several}{place} FROM {source}{where} ORDER BY {place} DESC LIMIT ?", (*params, limit))
    return [int(seq) for (seq,) in rows]


def _driven(wanted: Wanted) -> tuple[str, str, list[str], list[object]]:
    """Choose what drives the search: CROSS JOIN is where SQLite keeps to the order that is written."""
    params: list[object] = []
    if not wanted.patients and not wanted.entities:
        return "audit_entry e", "e.seq", [], params
    conditions: list[str] = []
    tables = []
    for table, alias, column, values in (
        ("audit_entity", "t", "entity", [entity_hash(entity) for entity in wanted.entities]),
        ("audit_patient", "p", "patient", list(wanted.patients)),
    ):
        if values:
            tables.append(f"{table} {alias}")
            conditions.append(f"{alias}.{column} IN ({_marks(values)}) AND e.seq = {alias}.seq")
            params += values
    if wanted.entities and wanted.patients:
        conditions.append("p.seq = t.seq")
    return " CROSS JOIN ".join([*tables, "audit_entry e"]), "t.seq" if wanted.entities else "p.seq", conditions, params


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))
