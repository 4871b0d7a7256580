"""Where requests leave their record: a change in its own transaction, an access in the journal."""

from pathlib import Path

from chartloop.kernel.audit.record import PLAIN_JSON, AuditRecord, encode, leaf_of
from chartloop.kernel.audit.requests import Requests
from chartloop.kernel.audit.segment import SegmentWriter
from chartloop.kernel.db_session import Tx

_INSERT = "INSERT INTO audit_change (xid, codec, leaf, body) VALUES ({xid}, ?, ?, ?)"
_STATEMENTS = {"sqlite": _INSERT.format(xid="0"), "postgresql": _INSERT.format(xid="pg_current_xact_id()::text::bigint")}


def audit_directory(data: Path) -> Path:
    """Where journal and heads are kept."""
    return data / "audit"


class Audit:
    """The audit log, as a request sees it."""

    def __init__(self, data: Path, *, segment_max_bytes: int = 64_000_000) -> None:
        """Keep the journal of this process under the data directory."""
        self._writer = SegmentWriter(audit_directory(data), max_bytes=segment_max_bytes)
        self.requests = Requests()

    def change(self, tx: Tx, record: AuditRecord) -> None:
        """Record a change with it: both are durable, or neither."""
        self.record(tx, record, self.requests.origin(record.request))
        durable = self.requests.when_durable(record.request)
        if durable is not None:
            tx.after_commit(durable)

    @staticmethod
    def record(tx: Tx, record: AuditRecord, origin: str = "") -> None:
        """Record what belongs to no request, with a change: both are durable, or neither."""
        body = encode(record, origin)
        tx.run(_STATEMENTS[tx.dialect], (PLAIN_JSON, leaf_of(body), body))

    def access(self, *records: AuditRecord) -> None:
        """Record accesses; return when all of them are on disk, with one wait, raise Unavailable when they cannot be."""
        if records:
            self._writer.append(*(encode(record, self.requests.origin(record.request)) for record in records))
            for record in records:
                self.requests.durable(record.request)

    def close(self) -> None:
        """Close the journal."""
        self._writer.close()
