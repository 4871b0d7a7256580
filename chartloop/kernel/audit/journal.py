"""Where requests leave their record: a change in its own transaction, an access in the journal."""

from pathlib import Path

from chartloop.kernel.audit.record import AuditRecord, kept, leaf_of
from chartloop.kernel.audit.requests import Requests
from chartloop.kernel.audit.segment import SegmentWriter
from chartloop.kernel.db_session import Tx
from chartloop.kernel.vault.vault import Vault

_INSERT = "INSERT INTO audit_change (xid, codec, leaf, body) VALUES ({xid}, ?, ?, ?)"
_STATEMENTS = {"sqlite": _INSERT.format(xid="0"), "postgresql": _INSERT.format(xid="pg_current_xact_id()::text::bigint")}


def audit_directory(data: Path) -> Path:
    """Where journal and heads are kept."""
    return data / "audit"


class Audit:
    """The audit log, as a request sees it."""

    def __init__(self, data: Path, *, segment_max_bytes: int = 64_000_000, vault: Vault | None = None) -> None:
        """Keep the journal of this process under the data directory, sealed where there is a vault."""
        self._vault = vault
        self._writer = SegmentWriter(audit_directory(data), max_bytes=segment_max_bytes)
        self.requests = Requests()

    def change(self, tx: Tx, record: AuditRecord) -> None:
        """Record a change with it: both are durable, or neither."""
        _store(tx, *kept(record, self._vault, self.requests.origin(record.request)))
        durable = self.requests.when_durable(record.request)
        if durable is not None:
            tx.after_commit(durable)

    @staticmethod
    def plain(tx: Tx, record: AuditRecord) -> None:
        """Record what happened to the log itself and concerns no patient: unsealed, so that the log is verified without a key."""
        _store(tx, *kept(record, None))

    def access(self, *records: AuditRecord) -> None:
        """Record accesses; return when all of them are on disk, with one wait, raise Unavailable when they cannot be."""
        if records:
            self._writer.append(*(kept(record, self._vault, self.requests.origin(record.request)) for record in records))
            for record in records:
                self.requests.durable(record.request)

    def close(self) -> None:
        """Close the journal."""
        self._writer.close()


def _store(tx: Tx, codec: int, body: bytes) -> None:
    tx.run(_STATEMENTS[tx.dialect], (codec, leaf_of(body), body))
