"""Opening the vault of a database: every master key that is needed is there, or the process does not start."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

from chartloop.kernel.db_session import Database
from chartloop.kernel.errors import Unavailable
from chartloop.kernel.settings_sections import VaultSettings
from chartloop.kernel.vault import data_keys
from chartloop.kernel.vault.master import key_file, open_masters
from chartloop.kernel.vault.vault import Vault, missing_master

ON: Final = "on"

_log = logging.getLogger(__name__)


def open_vault(database: Database, settings: VaultSettings, keys: Path) -> Vault | None:
    """Open the vault and let the database's columns use it; None where it is off and nothing is sealed.

    Args:
        database: Where the wrapped data keys are.
        settings: Whether to seal, and where the master key is.
        keys: Directory of the key file that nobody named.

    Raises:
        Unavailable: A master key is missing; the sentence names it.
    """
    with database.read() as session:
        wrapped_with, first = data_keys.masters(session), not data_keys.any_key(session)
    if settings.mode != ON and first:
        return None
    masters = open_masters(settings, keys, first=first)
    for fingerprint, count in wrapped_with.items():
        if fingerprint not in masters.known:
            raise Unavailable(missing_master(fingerprint, f"{count} data key is" if count == 1 else f"{count} data keys are"))
    vault = Vault(database, masters, sealing=settings.mode == ON, rotate_days=settings.rotate_days)
    database.columns.use(vault)
    return vault


def beside_the_data(settings: VaultSettings, keys: Path, data: Path) -> bool:
    """Whether the master key is a file below the data directory: who copies the one has the other."""
    if settings.mode != ON or settings.command or settings.key.get_secret_value():
        return False
    return key_file(settings, keys).resolve().is_relative_to(data.resolve())


def warn_of_place(settings: VaultSettings, keys: Path, data: Path) -> None:
    """Say so at the start, once."""
    if beside_the_data(settings, keys, data):
        _log.warning(
            "The master key lies in the data directory: a copy of the directory can be read. Set vault.key_file, or see docs/howto/keys.md.",
            extra={"action": "vault.key_beside_data"},
        )
