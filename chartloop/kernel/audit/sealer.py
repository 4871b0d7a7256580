"""The sealer: takes committed rows and journal segments into one log, under signed tree heads."""

import logging
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chartloop.kernel import clock
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.audit import state
from chartloop.kernel.audit.anchors import MISMATCH, Anchors, heads_files
from chartloop.kernel.audit.heads import NO_HEAD, TreeHead, sign
from chartloop.kernel.audit.index import INDEXED_FROM, add_to_index, index_older
from chartloop.kernel.audit.journal import Audit, audit_directory
from chartloop.kernel.audit.merkle import Frontier
from chartloop.kernel.audit.record import AuditRecord, Kept, leaf_of, read_stored
from chartloop.kernel.audit.segment import HEADER_SIZE, MAGIC, frames, segments, unframe
from chartloop.kernel.db_session import Database, Session, Tx
from chartloop.kernel.errors import Conflict

_log = logging.getLogger(__name__)
_SEALER = Subject(id="engine:audit", role="")
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
    """Records that are not sealed yet; entries are (leaf, source, position), and what each says of itself."""

    entries: list[tuple[bytes, int, int]]
    kept: list[Kept | None]
    segments: list[tuple[int, str, int]]
    xid: int
    seq: int


class Sealer:
    """Seals what is durable; any process may, one at a time succeeds."""

    def __init__(self, database: Database, data: Path, key: Ed25519PrivateKey, *, heads_file: Path | None = None, anchor_file: Path | None = None) -> None:
        """Seal the audit log of this database and of this data directory, and publish heads in one place or two."""
        self._db = database
        self._data = data
        self._directory = audit_directory(data)
        self._anchors = Anchors(heads_files(self._directory, heads_file, anchor_file))
        self._key = key
        self._lock = threading.Lock()
        self._told: bool | None = None
        """Whether a disagreement was told; None: nobody has looked yet."""

    def seal(self) -> int:
        """Seal everything there is; return how many records.

        Where the places outside speak against the log, nothing is sealed: a head that is signed over it would cover that up. Records go
        on being kept, and sealing goes on when somebody has looked (`chartloop audit anchor`).
        """
        with self._lock:
            if not self._agreed():
                return 0
            sealed = 0
            with suppress(Conflict):  # another process has sealed these records
                while count := self._seal_batch():
                    sealed += count
            with self._db.read() as session:
                self._anchors.publish(session)
            index_older(self._db, self._directory)
            return sealed

    def _agreed(self) -> bool:
        """Whether the places outside agree with the log; where they do not, say so once: in the log, to who looks after it, and to this process's log."""
        problems = self._anchors.problems(self._db)
        if not problems:
            if self._told is not False:  # at the start, and after a disagreement
                self._db.write(lambda tx: state.forget(tx, MISMATCH))
                self._told = False
            return True
        if not self._told:
            _log.error("The audit log and its heads outside disagree; nothing is sealed.", extra={"action": f"audit.{MISMATCH}", "problems": problems})
            self._told = True
        with self._db.read() as session:
            known = state.value(session, MISMATCH)
        if known != problems[0]:
            self._db.write(lambda tx: self._alarm(tx, problems[0]))
        return False

    def _alarm(self, tx: Tx, problem: str) -> None:
        state.remember(tx, MISMATCH, problem)
        Audit.plain(tx, AuditRecord("E", MISMATCH, "8", _SEALER, ("audit/heads",), (), reason=problem))

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
        kept = [self._read(row[4], bytes(row[3])) for row in rows]
        return _Found([(row[2], 0, row[1]) for row in rows], kept, [], xid, seq)

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
                found.kept.append(self._read(framed.codec, framed.body))
                found.entries.append((leaf_of(framed.body), number, framed.position))
                end = framed.end
                if len(found.entries) >= _BATCH:
                    break
            if end > sealed:
                found.segments.append((number, file.name, end))
                following = max(following, number + 1)

    def _read(self, codec: int, body: bytes) -> Kept | None:
        return read_stored(codec, body, self._db.columns.vault)

    def _store(self, tx: Tx, first: int, found: _Found, head: TreeHead, frontier: Frontier) -> None:
        rows = [(first + at, *entry) for at, entry in enumerate(found.entries)]
        tx.many("INSERT INTO audit_leaf (seq, leaf, source, position) VALUES (?, ?, ?, ?)", rows)
        add_to_index(tx, [(first + at, kept) for at, kept in enumerate(found.kept) if kept is not None])
        if not state.value(tx, INDEXED_FROM):
            state.remember(tx, INDEXED_FROM, str(first))
        tx.many(
            "INSERT INTO audit_segment (id, name, sealed) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET sealed = excluded.sealed",
            found.segments,
        )
        tx.run(
            f"INSERT INTO audit_head ({HEAD_COLUMNS}, change_xid, change_seq, frontier) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (head.size, head.root, head.recorded, head.previous, head.signature, found.xid, found.seq, frontier.to_bytes()),
        )
        self._anchors.remember(tx)


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
