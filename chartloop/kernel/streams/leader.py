"""A candidate for a duty, which knows whether it leads and renews its lease in time."""

from chartloop.kernel import clock, duties
from chartloop.kernel.broker import LeaseLost
from chartloop.kernel.db_session import Database, Tx


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
        if not duties.is_free(self._db, self._duty):
            return False
        self._token = self._db.write(lambda tx: duties.take(tx, self._duty, self._owner, self._lease_s)) or 0
        self._renewed_s = clock.monotonic_s()
        return bool(self._token)

    def keep(self) -> None:
        """Renew the lease when a third of it is over.

        Raises:
            LeaseLost: Another process leads.
        """
        if clock.monotonic_s() - self._renewed_s < self._lease_s / 3:
            return
        try:
            self._db.write(lambda tx: duties.renew(tx, self._duty, self._token, self._lease_s))
        except LeaseLost:
            self._token = 0
            raise
        self._renewed_s = clock.monotonic_s()

    def fence(self, tx: Tx) -> None:
        """Refuse a process that another one has replaced; until the commit none can.

        Raises:
            LeaseLost: Another process leads.
        """
        try:
            duties.fence(tx, self._duty, self._token)
        except LeaseLost:
            self._token = 0
            raise

    def resign(self) -> None:
        """Let another process lead at once."""
        if self._token:
            token, self._token = self._token, 0
            self._db.write(lambda tx: duties.release(tx, self._duty, token))
