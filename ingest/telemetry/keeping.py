"""Checked readings go into the tables, a part at a time, each part in one short transaction that is prepared outside of it."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from chartloop.kernel import clock
from chartloop.kernel.errors import Conflict
from ingest.telemetry import blocks, sources, spots
from ingest.telemetry.blocks import BlockChange, Series, Stale
from ingest.telemetry.merging import Counts
from ingest.vendors.metric import SPOT, metric

if TYPE_CHECKING:
    from chartloop.kernel.db_session import Database, Session, Tx
    from ingest.telemetry.spool import Group
    from ingest.telemetry.spots import SpotChange
    from ingest.vendors.reading import Reading, Source

_ATTEMPTS: Final = 20
Changes = tuple[list[BlockChange], list["SpotChange"]]


class Keeper:
    """Stores groups of readings of one subject."""

    def __init__(self, database: Database, subject: str, close_after_us: int) -> None:
        """Take where readings are kept, whose they are, and how long an hour stays open after its end."""
        self._database = database
        self._subject = subject
        self._close_after_us = close_after_us
        self._numbers: dict[Source, int] = {}

    def keep(self, groups: list[Group]) -> Counts:
        """Merge groups into what is kept; nothing of them is kept unless all of them are."""
        self._number({group.source for group in groups})
        for _ in range(_ATTEMPTS):
            with self._database.read(snapshot=True) as session:
                changed = self._prepare(session, groups)
            try:
                self._database.write(lambda tx, changed=changed: self._save(tx, changed))  # type: ignore[misc]
            except Stale:
                continue
            counts = Counts()
            for found in (*(block.counts for block in changed[0]), *(spot.counts for spot in changed[1])):
                counts = counts.plus(found)
            return counts
        raise Conflict("These readings are being changed by others again and again; send the payload again.")

    def _prepare(self, session: Session, groups: list[Group]) -> Changes:
        series = []
        single: dict[tuple[str, Source], list[Reading]] = defaultdict(list)
        for group in groups:
            if metric(group.metric).mode == SPOT:
                single[spots.panel(group.metric), group.source].extend(group.readings)
            else:
                series.append(blocks.prepare(session, Series(self._subject, group.metric, self._numbers[group.source]), group))
        measures = [
            spots.prepare(session, Series(self._subject, name, self._numbers[source]), readings) for (name, source), readings in single.items()
        ]
        return series, measures

    def _save(self, tx: Tx, changed: Changes) -> None:
        now = clock.now_us()
        for block in changed[0]:
            blocks.save(tx, block, now, self._close_after_us)
        for spot in changed[1]:
            spots.save(tx, spot, now)

    def _number(self, wanted: set[Source]) -> None:
        missing = wanted - self._numbers.keys()
        if missing:
            self._database.write(lambda tx: sources.ensure(tx, self._subject, sorted(missing)))
            with self._database.read() as session:
                self._numbers.update(sources.numbers(session, self._subject, missing))
