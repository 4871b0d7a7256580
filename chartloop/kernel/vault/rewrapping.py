"""Wrapping every data key anew with the master key in force, a part at a time, while servers run."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from chartloop.kernel.db_session import Database, Tx
from chartloop.kernel.errors import Unavailable
from chartloop.kernel.settings_sections import VaultSettings
from chartloop.kernel.vault import data_keys
from chartloop.kernel.vault.data_keys import DataKey
from chartloop.kernel.vault.master import Masters, open_masters
from chartloop.kernel.vault.vault import missing_master

AT_ONCE: Final = 500


def rewrap_all(database: Database, settings: VaultSettings, keys: Path) -> int:
    """Wrap every data key that an earlier master key wraps with the one in force; return how many.

    Raises:
        Unavailable: A master key that wraps one of them is not known here; what was done before stays done.
    """
    masters = open_masters(settings, keys, first=False)
    after, count = -1, 0
    while True:
        with database.read() as session:
            found = data_keys.page(session, after, AT_ONCE)
        if not found:
            return count
        after = found[-1].id
        wanted = [key for key in found if not key.destroyed and key.master != masters.current.fingerprint]
        if wanted:
            count += database.write(lambda tx, wanted=wanted: _write(tx, masters, wanted))  # type: ignore[misc]


def _write(tx: Tx, masters: Masters, found: list[DataKey]) -> int:
    count = 0
    for key in found:
        earlier = masters.known.get(key.master)
        if earlier is None:
            raise Unavailable(missing_master(key.master, f"data key {key.id} is"))
        wrapped = masters.current.wrap(earlier.unwrap(key.wrapped, key.scope), key.scope)
        count += data_keys.rewrap(tx, key, masters.current.fingerprint, wrapped)
    return count
