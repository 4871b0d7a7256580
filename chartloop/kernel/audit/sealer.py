"""The sealer: takes committed rows and journal segments into one log, under signed tree heads."""

import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chartloop.kernel import clock
from chartloop.kernel.audit.heads import NO_HEAD, TreeHead, append_heads, read_heads, sign
from chartloop.kernel.audit.journal import audit_directory
from chartloop.kernel.audit.merkle import Frontier
from chartloop.kernel.audit.record import leaf_of, opened, patients_of
from chartloop.kernel.audit.segment import HEADER_SIZE, MAGIC, frames, segments, unframe
from chartloop.kernel.db_session import Database, Session, Tx
from chartloop.kernel.errors import Conflict
from chartloop.kernel.vault.envelope import Altered

HEAD_COLUMNS = "size, root, recorded, previous, signature"
_BATCH = 2000
_READ_BYTES = 4 * 1024 * 1024
_SETTLED = "AND xid < pg_snapshot_xmin(pg_current_snapshot())::text::bigint"


class _Tail(NamedTuple):
    """Where sealing goes on."""

    head: TreeHead | None
    xid: int
    seq: int
    frontier: Frontier


class _Found(NamedTuple):
    """Records that are not sealed yet; entries are (leaf, source, position), patients (place in entries, reference)."""

    entries: list[tuple[bytes, int, int]]
    patients: list[tuple[int, str]]
    segments: list[tuple[int, str, int]]
    xid: int
    seq: int


class Sealer:
    """Seals what is durable; any process may, one at a time succeeds."""

    def __init__(self, database: Database, data: Path, key: Ed25519PrivateKey, *, heads_file: Path | None = None) -> None:
        """Seal the audit log of this database and of this data directory."""
        self._db = database
        self._directory = audit_directory(data)
        self._heads_file = heads_file or self._directory / "heads.jsonl"
        self._key = key
        self._lock = threading.Lock()
        self._published: int | None = None

    def seal(self) -> int:
        """Seal everything there is; return how many records."""
        with self._lock:
            sealed = 0
            with suppress(Conflict):  # another process has sealed these records
                while count := self._seal_batch():
                    sealed += count
            self._publish_heads()
            return sealed

    def _seal_batch(self) -> int:
        with self._db.read(snapshot=True) as session:
            tail = self._tail(session)
            found = self._changes(session, tail)
            self._accesses(session, found)
        if not found.entries:
            return 0
        first = tail.frontier.size + 1
        tail.frontier.extend(entry[0] for entry in found.entries)
        previous = tail.head.link() if tail.head else NO_HEAD
        head = sign(self._key, tail.frontier.size, tail.frontier.root(), clock.now_us(), previous)
        self._db.write(lambda tx: self._store(tx, first, found, head, tail.frontier))
        return len(found.entries)

    def _tail(self, session: Session) -> _Tail:
        row = session.one(f"SELECT {HEAD_COLUMNS}, change_xid, change_seq, frontier FROM audit_head ORDER BY size DESC LIMIT 1")
        if row is None:
            return _Tail(None, -1, 0, Frontier())
        head = TreeHead(*row[:5])
        return _Tail(head, row[5], row[6], Frontier(head.size, row[7]))

    def _changes(self, session: Session, tail: _Tail) -> _Found:
        settled = _SETTLED if session.dialect == "postgresql" else ""
        rows = session.all(
            f"SELECT xid, seq, leaf, body, codec FROM audit_change WHERE (xid, seq) > (?, ?) {settled} ORDER BY xid, seq LIMIT ?",
            (tail.xid, tail.seq, _BATCH),
        )
        xid, seq = (rows[-1][0], rows[-1][1]) if rows else (tail.xid, tail.seq)
        patients = [(at, patient) for at, row in enumerate(rows) for patient in self._patients(row[4], bytes(row[3]))]
        return _Found([(row[2], 0, row[1]) for row in rows], patients, [], xid, seq)

    def _accesses(self, session: Session, found: _Found) -> None:
        """Add what segments hold beyond their sealed part."""
        known = {name: (number, sealed) for number, name, sealed in session.all("SELECT id, name, sealed FROM audit_segment")}
        following = max((number for number, _ in known.values()), default=0) + 1
        for file in segments(self._directory):
            if len(found.entries) >= _BATCH:
                return
            number, sealed = known.get(file.name, (following, len(MAGIC)))
            if file.stat().st_size <= sealed:
                continue
            end = sealed
            for framed in frames(_durable_bytes(file, sealed), sealed):
                found.patients.extend((len(found.entries), patient) for patient in self._patients(framed.codec, framed.body))
                found.entries.append((leaf_of(framed.body), number, framed.position))
                end = framed.end
                if len(found.entries) >= _BATCH:
                    break
            if end > sealed:
                found.segments.append((number, file.name, end))
                following = max(following, number + 1)

    def _patients(self, codec: int, body: bytes) -> tuple[str, ...]:
        """Whom a record concerns; nobody where its bytes were altered: verification says that."""
        with suppress(Altered):
            return patients_of(opened(codec, body, self._db.columns.vault))
        return ()

    def _store(self, tx: Tx, first: int, found: _Found, head: TreeHead, frontier: Frontier) -> None:
        rows = [(first + at, *entry) for at, entry in enumerate(found.entries)]
        tx.many("INSERT INTO audit_leaf (seq, leaf, source, position) VALUES (?, ?, ?, ?)", rows)
        concerned = {(patient, first + at) for at, patient in found.patients}
        tx.many("INSERT INTO audit_patient (patient, seq) VALUES (?, ?)", sorted(concerned))
        tx.many(
            "INSERT INTO audit_segment (id, name, sealed) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET sealed = excluded.sealed",
            found.segments,
        )
        tx.run(
            f"INSERT INTO audit_head ({HEAD_COLUMNS}, change_xid, change_seq, frontier) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (head.size, head.root, head.recorded, head.previous, head.signature, found.xid, found.seq, frontier.to_bytes()),
        )

    def _publish_heads(self) -> None:
        """Write heads outside the database, those of a run that was cut off too."""
        if self._published is None:
            self._published = max((head.size for head in read_heads(self._heads_file)), default=0)
        with self._db.read() as session:
            rows = session.all(f"SELECT {HEAD_COLUMNS} FROM audit_head WHERE size > ? ORDER BY size", (self._published,))
        if rows:
            append_heads(self._heads_file, [TreeHead(*row) for row in rows])
            self._published = rows[-1][0]


def _durable_bytes(file: Path, start: int) -> bytes:
    """Read from a segment what is certain to survive: another process may still be writing it."""
    handle = os.open(file, os.O_RDWR)
    try:
        if not any(os.pread(handle, HEADER_SIZE, start)):
            return b""  # zeros that wait for records
        size = os.fstat(handle).st_size
        os.fdatasync(handle)
        data = os.pread(handle, min(size - start, _READ_BYTES), start)
        if unframe(data) is None and len(data) < size - start:  # one record larger than that
            data = os.pread(handle, size - start, start)
        return data
    finally:
        os.close(handle)
