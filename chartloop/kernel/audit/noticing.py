"""What is in force when a process starts is recorded once, when it is not what was in force before."""

from chartloop.kernel.access.subject import Subject
from chartloop.kernel.audit import state
from chartloop.kernel.audit.journal import Audit
from chartloop.kernel.audit.record import AuditRecord
from chartloop.kernel.db_session import Database, Tx

POLICY_CHANGED = "policy-changed"
_SERVER = Subject(id="engine:server", role="")


def notice_policies(database: Database, audit: Audit, fingerprint: str) -> bool:
    """Record that other policies are in force than before; return whether they are.

    Args:
        database: Where it is remembered.
        audit: The audit log.
        fingerprint: Hash of every policy file.
    """
    with database.read() as session:
        if state.value(session, POLICY_CHANGED) == fingerprint:
            return False

    def work(tx: Tx) -> bool:
        before = state.value(tx, POLICY_CHANGED)
        if before == fingerprint:
            return False  # another process that started with this one was faster
        state.remember(tx, POLICY_CHANGED, fingerprint)
        audit.change(tx, AuditRecord("U", POLICY_CHANGED, "0", _SERVER, (f"policy/{fingerprint}",), (), f"before={before or 'none'}"))
        return True

    return database.write(work)
