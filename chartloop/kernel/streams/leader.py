"""One of many processes does it: a lease with a token that grows with every owner."""

from chartloop.kernel import clock
from chartloop.kernel.broker import LeaseLost
from chartloop.kernel.db_session import Database, Tx

_SLOT = "leader"
_TAKE = (
    "INSERT INTO lease (consumer, slot, owner, token, until) VALUES (?, ?, ?, 1, ?) ON CONFLICT (consumer, slot)"
    " DO UPDATE SET owner = excluded.owner, token = lease.token + 1, until = excluded.until WHERE lease.until <= ? RETURNING token"
)


class Leader:
    """A candidate for one duty."""

    def __init__(self, database: Database, duty: str, owner: str, lease_s: float) -> None:
        """Take the duty's name, this process's, and how long the lease of a silent process lasts."""
        self._db = database
        self._duty = duty
        self._owner = owner
        self._lease_s = lease_s
        self._token = 0
        self._renewed_s = 0.0

    def lead(self) -> bool:
        """Become the leader, or stay it; say whether this is so."""
        if self._token:
            try:
                self.keep()
            except LeaseLost:
                return False
            return True
        now = clock.now_us()
        row = self._db.one("SELECT until FROM lease WHERE consumer = ? AND slot = ?", (self._duty, _SLOT))
        if row is not None and row[0] > now:
            return False
        values = (self._duty, _SLOT, self._owner, self._until(), now)
        taken = self._db.write(lambda tx: tx.one(_TAKE, values))
        self._token = taken[0] if taken else 0
        self._renewed_s = clock.monotonic_s()
        return taken is not None

    def keep(self) -> None:
        """Renew the lease when a third of it is over.

        Raises:
            LeaseLost: Another process leads.
        """
        if clock.monotonic_s() - self._renewed_s < self._lease_s / 3:
            return
        values = (self._until(), self._duty, _SLOT, self._token)
        if not self._db.write(lambda tx: tx.run("UPDATE lease SET until = ? WHERE consumer = ? AND slot = ? AND token = ?", values)):
            self._token = 0
            raise LeaseLost
        self._renewed_s = clock.monotonic_s()

    def fence(self, tx: Tx) -> None:
        """Refuse a process that another one has replaced; until the commit none can.

        Raises:
            LeaseLost: Another process leads.
        """
        lock = " FOR SHARE" if tx.dialect == "postgresql" else ""
        row = tx.one(f"SELECT token FROM lease WHERE consumer = ? AND slot = ?{lock}", (self._duty, _SLOT))
        if row is None or row[0] != self._token:
            self._token = 0
            raise LeaseLost

    def resign(self) -> None:
        """Let another process lead at once."""
        if self._token:
            values = (self._duty, _SLOT, self._token)
            self._token = 0
            self._db.write(lambda tx: tx.run("UPDATE lease SET until = 0 WHERE consumer = ? AND slot = ? AND token = ?", values))

    def _until(self) -> int:
        return clock.now_us() + round(self._lease_s * 1e6)
