"""Runs: when the CDM was rebuilt, synchronised or followed, with which vocabulary, how far, and what was left out.

A rebuild's run that is written and not finished says that the lineage is ahead of the CDM: nothing may follow until it was repeated.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from typing import Any, Final

from chartloop.kernel import clock
from chartloop.kernel.db import Database, Session, Tx
from chartloop.kernel.errors import Unavailable
from omop_bridge.lineage import excluded_counts

REBUILD: Final = "rebuild"
SYNC: Final = "sync"
FOLLOW: Final = "follow"
GUIDE: Final = "hl7.fhir.uv.omop 2.0.0-ballot"
"""The FHIR-to-OMOP guide whose requirements are followed (f2o-102)."""


class Interrupted(Unavailable):
    """A rebuild was interrupted between its two databases; run `chartloop omop rebuild` again."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run; times are microseconds since 1970 in UTC, `watermark` is the time of the newest event that it took."""

    number: int
    kind: str
    started: int
    finished: int | None
    watermark: int | None
    resources: int
    rows: int
    vocabulary: str
    software: str
    counts: dict[str, dict[str, int]]

    def shown(self) -> dict[str, Any]:
        """As JSON for people."""
        times = {name: None if value is None else clock.iso(value) for name, value in (("started", self.started), ("finished", self.finished), ("watermark", self.watermark))}
        return {**asdict(self), **times, "guide": GUIDE}


_FIELDS: Final = tuple(each.name for each in fields(Run))


def begin(tx: Tx, kind: str, vocabulary: str) -> int:
    """Write down that a run has begun; return its number."""
    row = tx.one("SELECT coalesce(max(number), 0) + 1 FROM omop_run")
    number = int(row[0]) if row else 1
    tx.run(
        "INSERT INTO omop_run (number, kind, started, resources, rows, vocabulary, software, counts) VALUES (?, ?, ?, 0, 0, ?, ?, '{}')",
        (number, kind, clock.now_us(), vocabulary, f"chartloop {version('chartloop')}"),
    )
    return number


def advance(tx: Tx, number: int, resources: int, rows: int, watermark: int | None) -> None:
    """Count what a pass did."""
    tx.run(
        "UPDATE omop_run SET resources = resources + ?, rows = rows + ?, watermark = CASE WHEN coalesce(watermark, 0) < ? THEN ? ELSE watermark END"
        " WHERE number = ?",
        (resources, rows, watermark or 0, watermark, number),
    )


def finish(tx: Tx, number: int) -> None:
    """Write down that a run is done, with what is left out now."""
    counts = json.dumps(excluded_counts(tx), sort_keys=True)
    tx.run("UPDATE omop_run SET finished = ?, counts = ? WHERE number = ?", (clock.now_us(), counts, number))


def latest(session: Session, kind: str = "") -> Run | None:
    """The newest run, of a kind or of any."""
    row = session.one(f"SELECT {', '.join(_FIELDS)} FROM omop_run WHERE ? = '' OR kind = ? ORDER BY number DESC LIMIT 1", (kind, kind))
    if row is None:
        return None
    values = dict(zip(_FIELDS, row, strict=True))
    return Run(**{**values, "counts": json.loads(values["counts"])})


def refuse_interrupted(lineage: Database) -> None:
    """Refuse to go on behind a rebuild that only the lineage saw.

    Raises:
        Interrupted: There is one.
    """
    if lineage.one("SELECT 1 FROM omop_run WHERE kind = ? AND finished IS NULL LIMIT 1", (REBUILD,)):
        raise Interrupted
