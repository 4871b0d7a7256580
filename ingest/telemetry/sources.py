"""Sources of a subject's readings: known by number in the tables, and by a Device in FHIR."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from ingest.telemetry import tables as _tables  # noqa: F401 declares the tables that these statements are about
from ingest.vendors.reading import Source

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chartloop.kernel.db_session import Session, Tx


class StoredSource(NamedTuple):
    """A source as the table holds it."""

    id: int
    subject: str
    key: str
    source: Source
    device: str


def source_key(source: Source) -> str:
    """Hash of what makes it one source."""
    return sha256(source.key.encode()).hexdigest()


def ensure(tx: Tx, subject: str, sources: Iterable[Source]) -> None:
    """Give numbers to sources that have none."""
    for source in sources:
        key = source_key(source)
        tx.run(
            "INSERT INTO telemetry_source (subject, key, body, device) VALUES (?, ?, ?, '') ON CONFLICT DO NOTHING",
            (subject, key, tx.columns.keep_text(msgspec.json.encode(source).decode(), "telemetry_source.body", subject, key)),
        )


def numbers(session: Session, subject: str, sources: Iterable[Source]) -> dict[Source, int]:
    """Numbers of the sources that have one."""
    found = {}
    for source in sources:
        row = session.one("SELECT id FROM telemetry_source WHERE subject = ? AND key = ?", (subject, source_key(source)))
        if row is not None:
            found[source] = int(row[0])
    return found


def load(session: Session, id_: int) -> StoredSource:
    """One source by its number."""
    row = session.one("SELECT id, subject, key, body, device FROM telemetry_source WHERE id = ?", (id_,))
    if row is None:
        raise LookupError("A source is missing.")
    said = session.columns.kept_text(str(row[3]), "telemetry_source.body", row[1], row[2])
    return StoredSource(int(row[0]), str(row[1]), str(row[2]), Source(*msgspec.json.decode(said, type=list[str])), str(row[4]))


def name_device(tx: Tx, id_: int, device: str) -> None:
    """Remember the Device of a source."""
    tx.run("UPDATE telemetry_source SET device = ? WHERE id = ?", (device, id_))
