"""Rows whose Observation is to be written or written anew: find them, and mark them in the transaction that does it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from ingest.telemetry.tables import NEVER
from ingest.vendors.times import EPOCH

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chartloop.kernel.db_session import Session, Tx
    from ingest.telemetry.sources import StoredSource

_BLOCK: Final = "telemetry_block"
_SPOT: Final = "telemetry_spot"


class Taken(Exception):
    """The row is not what it was any more."""


class Due(NamedTuple):
    """A row to publish, of either table.

    Attributes:
        table: telemetry_block or telemetry_spot.
        key: Hour of a block, key of a single measure.
        body: Chunk of a block, readings of a single measure.
    """

    table: str
    id: int
    subject: str
    metric: str
    source: int
    key: str
    version: int
    published: int
    observation: str
    body: bytes

    @property
    def is_block(self) -> bool:
        """Whether this is an hour block."""
        return self.table == _BLOCK

    def identifier(self, source: StoredSource) -> str:
        """Stable value of the Observation's identifier."""
        what = f"{EPOCH + timedelta(hours=int(self.key)):%Y-%m-%dT%H}" if self.is_block else self.key
        return f"{self.subject.rpartition('/')[2]}|{self.metric.replace(' ', '-')}|{source.key[:12]}|{what}".replace("|", "/")


def load(session: Session, now: int, subject: str, limit: int) -> list[Due]:
    """What is due, the longest due first; of one subject or of all."""
    rows: list[Due] = []
    for table, key, body in ((_SPOT, "key", "body"), (_BLOCK, "hour", "chunk")):
        narrowed = " AND subject = ?" if subject else ""
        found = session.all(
            f"SELECT id, subject, metric, source, {key}, version, published, observation, {body} FROM {table} WHERE due <= ?{narrowed} ORDER BY due, id LIMIT ?",
            (now, *([subject] if subject else []), limit - len(rows)),
        )
        rows += [
            Due(
                table, int(row[0]), str(row[1]), str(row[2]), int(row[3]), str(row[4]), int(row[5]), int(row[6]), str(row[7]),
                session.columns.kept(bytes(row[8]), f"{table}.{body}", *row[1:5]),
            )
            for row in found
        ]
        if len(rows) >= limit:
            break
    return rows


def published(tx: Tx, row: Due) -> None:
    """Mark a row in the transaction that writes its Observation.

    Raises:
        Taken: It changed since it was read, or was published by somebody else.
    """
    done = tx.run(
        f"UPDATE {row.table} SET published = ?, due = ? WHERE id = ? AND version = ? AND published = ?",
        (row.version, NEVER, row.id, row.version, row.published),
    )
    if done != 1:
        raise Taken


def named(tx: Tx, rows: Iterable[tuple[Due, str]]) -> None:
    """Remember the ids of new Observations."""
    for row, observation in rows:
        tx.run(f"UPDATE {row.table} SET observation = ? WHERE id = ?", (observation, row.id))


def put_off(tx: Tx, row: Due, later: int | None) -> None:
    """Try a row again later; never, until it changes, where trying will not help."""
    tx.run(f"UPDATE {row.table} SET due = ? WHERE id = ? AND version = ?", (NEVER if later is None else later, row.id, row.version))


def waiting(session: Session, subject: str) -> int:
    """How many blocks and measures of a subject no Observation shows yet as they are."""
    total = 0
    for table in (_BLOCK, _SPOT):
        row = session.one(f"SELECT count(*) FROM {table} WHERE subject = ? AND due < ?", (subject, NEVER))
        total += int(row[0]) if row else 0
    return total
