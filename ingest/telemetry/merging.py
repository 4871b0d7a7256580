"""Readings that are kept meet readings that come: the same one counts once, a newer version of it wins, in whatever order they come."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from ingest.vendors.reading import Reading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Counts(NamedTuple):
    """What became of readings that came."""

    new: int = 0
    duplicates: int = 0
    corrected: int = 0

    def plus(self, other: Counts) -> Counts:
        """Add two counts."""
        return Counts(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


class Merged(NamedTuple):
    """Readings by time after a merge.

    Attributes:
        readings: All of them.
        counts: What became of those that came.
        changed: Whether anything that is kept differs from before.
        visible: Whether a time, a value or a flag differs: something that an Observation shows.
    """

    readings: list[Reading]
    counts: Counts
    changed: bool
    visible: bool


def merge(kept: Iterable[Reading], coming: Iterable[Reading], same: Callable[[Reading], object] = attrgetter("key")) -> Merged:
    """Join two sets of readings of one source; associative, commutative and idempotent in what it keeps.

    Args:
        kept: What is kept, each once.
        coming: What came.
        same: What is equal in two versions of one reading.
    """
    found = {same(reading): reading for reading in kept}
    new = duplicates = corrected = 0
    changed = False
    for reading in coming:
        name = same(reading)
        before = found.get(name)
        if before is None:
            found[name] = reading
            new += 1
            continue
        after = newer(before, reading)
        if after is reading and shown(before) != shown(reading):
            corrected += 1
        else:
            duplicates += 1
        if after is not before:
            found[name] = after
            changed = True
    visible = bool(new or corrected)
    return Merged(sorted(found.values(), key=_place), Counts(new, duplicates, corrected), changed or visible, visible)


def newer(one: Reading, other: Reading) -> Reading:
    """Of two versions of a reading the one that was updated last; where that does not tell, one of the two, always the same; `one` if they are equal."""
    return other if _rank(other) > _rank(one) else one


def shown(reading: Reading) -> tuple[object, ...]:
    """What an Observation shows of a reading."""
    return reading.start, reading.end, reading.offset, reading.value, reading.flags


def _rank(reading: Reading) -> tuple[object, ...]:
    return reading.updated, reading.start, reading.end, reading.offset, reading.value, str(reading.value), reading.flags, reading.detail


def _place(reading: Reading) -> tuple[object, ...]:
    return reading.start, reading.end, reading.vendor_id, reading.metric
