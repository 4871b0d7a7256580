"""Single measures: a row for each, with the readings of its components, so that a blood pressure is one row of two."""

from __future__ import annotations

from collections import defaultdict
from hashlib import sha256
from operator import attrgetter
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from ingest.telemetry.blocks import Series, Stale
from ingest.telemetry.merging import Counts, merge
from ingest.vendors.metric import metric
from ingest.vendors.reading import Reading

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from chartloop.kernel.db_session import Session, Tx

_AT_ONCE: Final = 400
encode: Final = msgspec.msgpack.Encoder().encode
decode: Final = msgspec.msgpack.Decoder(list[Reading]).decode


class StoredSpot(NamedTuple):
    """One row."""

    id: int
    version: int
    readings: list[Reading]


class SpotChange(NamedTuple):
    """What is to be written for the single measures of one metric and source."""

    series: Series
    stored: Mapping[str, StoredSpot]
    written: Mapping[str, tuple[list[Reading], bool]]
    counts: Counts


def panel(name: str) -> str:
    """Metric under which a single measure is kept: its panel, if it is a component of one."""
    return metric(name).panel or name


def prepare(session: Session, series: Series, readings: Iterable[Reading]) -> SpotChange:
    """Merge measures into what is kept, outside of any write."""
    coming: dict[str, list[Reading]] = defaultdict(list)
    for reading in readings:
        coming[spot_key(reading)].append(reading)
    stored = _load(session, series, list(coming))
    written, counts = {}, Counts()
    for key, listed in coming.items():
        kept = stored[key].readings if key in stored else []
        found = merge(kept, listed, attrgetter("metric"))
        counts = counts.plus(found.counts)
        if found.changed:
            written[key] = (found.readings, found.visible)
    return SpotChange(series, stored, written, counts)


def save(tx: Tx, change: SpotChange, now: int) -> None:
    """Write the measures; each is due at once.

    Raises:
        Stale: A row is not what it was when this was prepared.
    """
    for key, (readings, visible) in sorted(change.written.items()):
        before, body = change.stored.get(key), tx.columns.keep(encode(readings), "telemetry_spot.body", *change.series, key)
        if before is None:
            done = tx.run(
                "INSERT INTO telemetry_spot (subject, metric, source, key, version, published, due, observation, body)"
                " VALUES (?, ?, ?, ?, 1, 0, ?, '', ?) ON CONFLICT DO NOTHING",
                (*change.series, key, now, body),
            )
        else:
            done = tx.run(
                "UPDATE telemetry_spot SET version = version + 1, due = coalesce(?, due), body = ? WHERE id = ? AND version = ?",
                (now if visible else None, body, before.id, before.version),
            )
        if done != 1:
            raise Stale


def spot_key(reading: Reading) -> str:
    """Hash of what makes two readings one measure: the vendor's id, else the time."""
    return sha256("|".join(map(str, reading.key)).encode()).hexdigest()[:32]


def _load(session: Session, series: Series, keys: list[str]) -> dict[str, StoredSpot]:
    found: dict[str, StoredSpot] = {}
    for at in range(0, len(keys), _AT_ONCE):
        part = keys[at : at + _AT_ONCE]
        marks = ", ".join("?" * len(part))
        rows = session.all(
            f"SELECT id, key, version, body FROM telemetry_spot WHERE subject = ? AND metric = ? AND source = ? AND key IN ({marks})", (*series, *part)
        )
        for id_, key, version, body in rows:
            kept = session.columns.kept(bytes(body), "telemetry_spot.body", *series, key)
            found[str(key)] = StoredSpot(int(id_), int(version), decode(kept))
    return found
