"""The numbers on the first page: counted at most once in a while, because a count reads whole tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from chartloop.kernel.clock import monotonic_s
from chartloop.kernel.db import Database
from omop_bridge.coverage import TableCoverage, Unmapped, coverage, row_counts, unmapped
from omop_bridge.origins import Exclusion, exclusions
from omop_bridge.runs import Run, latest

KEPT_S = 10.0


class Figures(NamedTuple):
    """What is in the database, how it came there, and what did not."""

    counts: dict[str, int]
    coverage: tuple[TableCoverage, ...]
    unmapped: tuple[Unmapped, ...]
    vocabulary: str
    run: Run | None
    exclusions: tuple[Exclusion, ...]


class Counting:
    """Counts, and remembers for `kept_s` seconds."""

    def __init__(self, cdm: Callable[[], Database], lineage: Callable[[], Database], *, kept_s: float = KEPT_S) -> None:
        """Take the databases."""
        self._cdm, self._lineage, self._kept_s = cdm, lineage, kept_s
        self._known: tuple[float, Figures] | None = None

    def figures(self) -> Figures:
        """The numbers, not older than that."""
        known, now = self._known, monotonic_s()
        if known is not None and now - known[0] < self._kept_s:
            return known[1]
        counted = self._count()
        self._known = (now, counted)
        return counted

    def _count(self) -> Figures:
        with self._cdm().read(snapshot=True) as session:
            release = session.one("SELECT vocabulary_version FROM vocabulary WHERE vocabulary_id = 'None'")
            counts, tables, codes = row_counts(session), coverage(session), unmapped(session, 10)
        with self._lineage().read(snapshot=True) as session:
            run, left_out = latest(session), exclusions(session)
        return Figures(counts, tables, tuple(codes), str(release[0]) if release else "none", run, tuple(left_out))
