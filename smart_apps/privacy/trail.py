"""Records of the audit log as accesses of people: what the pages list and the rules look at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from chartloop.kernel.audit import state
from chartloop.kernel.audit.anchors import MISMATCH, last_head
from chartloop.kernel.audit.disclosures import Disclosure, disclosures
from chartloop.kernel.audit.index import Wanted, entity_of, find
from chartloop.kernel.audit.reading import records_at
from chartloop.kernel.audit.record import Kept, read_kept
from chartloop.kernel.audit.verify import VERIFIED
from chartloop.kernel.db import Database
from smart_apps.privacy.rules import Access

PAGE_SIZE: Final = 50
LOOKED_AT: Final = 2_000
"""Newest records that the rules look at."""

_PEOPLE: Final = ("Practitioner/", "PractitionerRole/", "Patient/", "RelatedPerson/")


class Row(NamedTuple):
    """One record for a page."""

    seq: int
    kept: Kept
    things: tuple[str, ...]


class LogState(NamedTuple):
    """How the log is.

    Attributes:
        sealed: Records under a signed head; 0: none yet.
        sealed_at: When the newest head was signed.
        places: Each file of heads, with the size of its last one.
        mismatch: What the log and its places disagree on; empty where they agree.
        verified: When the log was last checked, in microseconds; 0: never.
        holds: Whether it held then.
    """

    sealed: int
    sealed_at: int
    places: tuple[tuple[str, int], ...]
    mismatch: str
    verified: int
    holds: bool


@dataclass(frozen=True, slots=True)
class Trail:
    """The log, as the pages ask it."""

    database: Database
    directory: Path
    files: tuple[Path, ...]

    def page(self, wanted: Wanted, before: int | None) -> tuple[list[Row], int | None]:
        """Read one page, the newest first, and the number that the next one is before."""
        with self.database.read(snapshot=True) as session:
            numbers = find(session, wanted, before=before, limit=PAGE_SIZE + 1)
            records = records_at(session, self.directory, numbers[:PAGE_SIZE])
        rows = [Row(record.seq, kept, _things(kept)) for record in records if (kept := read_kept(record.body)) is not None]
        return rows, numbers[PAGE_SIZE - 1] if len(numbers) > PAGE_SIZE else None

    def recent(self, since: int) -> list[Access]:
        """Read the newest accesses of people since a moment."""
        with self.database.read(snapshot=True) as session:
            records = records_at(session, self.directory, find(session, Wanted(since=since), limit=LOOKED_AT))
        return [access for record in records if (kept := read_kept(record.body)) is not None for access in accesses(record.seq, kept)]

    def disclosed(self, patient: str) -> list[Disclosure]:
        """Account for the disclosures of a patient."""
        with self.database.read(snapshot=True) as session:
            return disclosures(session, self.directory, patient)

    def state(self) -> LogState:
        """Say how the log is."""
        with self.database.read() as session:
            row = session.one("SELECT size, recorded FROM audit_head ORDER BY size DESC LIMIT 1") or (0, 0)
            mismatch, said = state.value(session, MISMATCH), state.value(session, VERIFIED).split(" ")
        ends = tuple((str(file), last.size if (last := last_head(file)) else 0) for file in self.files)
        return LogState(int(row[0]), int(row[1]), ends, mismatch, int(said[0] or 0), said[1:2] == ["ok"])


def accesses(seq: int, kept: Kept) -> list[Access]:
    """Give the accesses of a record that a person made and that succeeded: one for each patient."""
    if kept.outcome != "0" or not kept.agent.startswith(_PEOPLE) or kept.interaction == "audit-read":
        return []
    return [Access(seq, kept.recorded, kept.agent, patient, kept.interaction, kept.subject.purpose, kept.reason) for patient in kept.patients or ("",) if patient != kept.agent]


def _things(kept: Kept) -> tuple[str, ...]:
    return tuple(dict.fromkeys(map(entity_of, kept.targets)))
