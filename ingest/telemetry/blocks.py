"""Hour blocks of series: the readings of one subject, metric, source and hour in one row."""

from __future__ import annotations

from collections import defaultdict
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple

from ingest.telemetry import chunk
from ingest.telemetry.merging import Counts, merge, newer
from ingest.telemetry.tables import NEVER
from ingest.vendors.metric import HOUR_US

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from chartloop.kernel.db_session import Session, Tx
    from ingest.telemetry.spool import Group
    from ingest.vendors.reading import Reading

_AT_ONCE: Final = 400


class Stale(Exception):
    """Somebody else changed what this was prepared on: prepare it again."""


class Series(NamedTuple):
    """What a block belongs to."""

    subject: str
    metric: str
    source: int


class StoredBlock(NamedTuple):
    """One row."""

    id: int
    version: int
    readings: list[Reading]


class NewBlock(NamedTuple):
    """What is to be written for one hour."""

    before: StoredBlock | None
    samples: int
    chunk: bytes
    visible: bool


class BlockChange(NamedTuple):
    """What is to be written for one series: blocks by hour, where ids are now, and the counts."""

    series: Series
    blocks: Mapping[int, NewBlock]
    places: Sequence[tuple[bytes, int, int | None]]
    newest: int
    newest_before: int
    counts: Counts


def prepare(session: Session, series: Series, group: Group) -> BlockChange:
    """Merge readings into what is kept, outside of any write."""
    coming, repeated = _once(group.readings)
    places = _places(session, series, coming)
    hours = {reading.start // HOUR_US for reading in coming} | set(places.values())
    stored, newest = _load(session, series, hours, group)
    by_hour: dict[int, list[Reading]] = defaultdict(list)
    taken: dict[int, set[tuple[str, int, int]]] = defaultdict(set)
    written: list[tuple[bytes, int, int | None]] = []
    counts = Counts(duplicates=repeated)
    for reading in coming:
        hour, before = reading.start // HOUR_US, places.get(place_key(reading.vendor_id))
        if before is not None and before != hour:
            kept = next((each for each in stored[before].readings if each.key == reading.key), None) if before in stored else None
            if kept is not None and newer(kept, reading) is kept:
                counts = counts.plus(Counts(duplicates=1))
                continue
            taken[before].add(reading.key)
            counts = counts.plus(Counts(new=-1, corrected=1))
        by_hour[hour].append(reading)
        if reading.vendor_id and before != hour:
            written.append((place_key(reading.vendor_id), hour, before))
    blocks = {}
    for hour in sorted(by_hour.keys() | taken.keys()):
        kept_here = stored[hour].readings if hour in stored else []
        left = [each for each in kept_here if each.key not in taken[hour]]
        found = merge(left, by_hour[hour])
        counts = counts.plus(found.counts)
        lost = len(left) != len(kept_here)
        if found.changed or lost:
            packed = chunk.encode(found.readings) if found.readings else b""
            blocks[hour] = NewBlock(stored.get(hour), len(found.readings), packed, found.visible or lost)
    return BlockChange(series, blocks, written, max([newest, *hours]), newest, counts)


def save(tx: Tx, change: BlockChange, now: int, close_after_us: int) -> None:
    """Write one series' change; blocks of hours that are over become due.

    Raises:
        Stale: A block is not what it was when this was prepared.
    """
    series = change.series
    for hour, block in change.blocks.items():
        over = hour < change.newest or (hour + 1) * HOUR_US + close_after_us <= now
        due = (now if over else (hour + 1) * HOUR_US + close_after_us) if block.visible else None
        _write(tx, series, hour, block, due)
    for key, hour, place in change.places:
        _place(tx, series, key, hour, place)
    if change.newest > change.newest_before:
        tx.run(
            "UPDATE telemetry_block SET due = ? WHERE subject = ? AND metric = ? AND source = ? AND hour < ? AND due > ? AND due < ?",
            (now, *series, change.newest, now, NEVER),
        )


def place_key(vendor_id: str) -> bytes:
    """Short hash of a vendor's id; empty for none."""
    return sha256(vendor_id.encode()).digest()[:12] if vendor_id else b""


def _once(readings: Iterable[Reading]) -> tuple[list[Reading], int]:
    """The newest version of each reading among those that came together, and how many came again."""
    found: dict[tuple[str, int, int], Reading] = {}
    count = 0
    for reading in readings:
        count += 1
        before = found.get(reading.key)
        found[reading.key] = reading if before is None else newer(before, reading)
    return list(found.values()), count - len(found)


def _places(session: Session, series: Series, readings: Iterable[Reading]) -> dict[bytes, int]:
    keys = [place_key(reading.vendor_id) for reading in readings if reading.vendor_id]
    found: dict[bytes, int] = {}
    for at in range(0, len(keys), _AT_ONCE):
        part = keys[at : at + _AT_ONCE]
        marks = ", ".join("?" * len(part))
        rows = session.all(f"SELECT key, hour FROM telemetry_place WHERE source = ? AND metric = ? AND key IN ({marks})", (series.source, series.metric, *part))
        found.update((bytes(key), int(hour)) for key, hour in rows)
    return found


def _load(session: Session, series: Series, hours: Iterable[int], group: Group) -> tuple[dict[int, StoredBlock], int]:
    where = "FROM telemetry_block WHERE subject = ? AND metric = ? AND source = ?"
    top = session.one(f"SELECT max(hour) {where}", series)
    newest = int(top[0]) if top and top[0] is not None else -(2**40)
    found: dict[int, StoredBlock] = {}
    wanted = sorted(hours)
    for at in range(0, len(wanted), _AT_ONCE):
        part = wanted[at : at + _AT_ONCE]
        marks = ", ".join("?" * len(part))
        for id_, hour, version, blob in session.all(f"SELECT id, hour, version, chunk {where} AND hour IN ({marks})", (*series, *part)):
            kept = session.columns.kept(bytes(blob), "telemetry_block.chunk", *series, hour) if blob else b""
            readings = chunk.decode(kept, group.metric, group.source) if kept else []
            found[int(hour)] = StoredBlock(int(id_), int(version), readings)
    return found, newest


def _write(tx: Tx, series: Series, hour: int, block: NewBlock, due: int | None) -> None:
    packed = tx.columns.keep(block.chunk, "telemetry_block.chunk", *series, hour)
    if block.before is None:
        done = tx.run(
            "INSERT INTO telemetry_block (subject, metric, source, hour, count, version, published, due, observation, chunk)"
            " VALUES (?, ?, ?, ?, ?, 1, 0, ?, '', ?) ON CONFLICT DO NOTHING",
            (*series, hour, block.samples, NEVER if due is None else due, packed),
        )
    else:
        done = tx.run(
            "UPDATE telemetry_block SET count = ?, version = version + 1, due = coalesce(?, due), chunk = ? WHERE id = ? AND version = ?",
            (block.samples, due, packed, block.before.id, block.before.version),
        )
    if done != 1:
        raise Stale


def _place(tx: Tx, series: Series, key: bytes, hour: int, before: int | None) -> None:
    if before is None:
        done = tx.run(
            "INSERT INTO telemetry_place (source, metric, key, hour) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", (series.source, series.metric, key, hour)
        )
    else:
        done = tx.run(
            "UPDATE telemetry_place SET hour = ? WHERE source = ? AND metric = ? AND key = ? AND hour = ?", (hour, series.source, series.metric, key, before)
        )
    if done != 1:
        raise Stale
