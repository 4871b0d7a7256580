"""The vault: seals with the data key of a scope, opens with whichever key is named in front of the sealed bytes.

A scope is the store, the audit log, or one patient: destroying a patient's keys makes every stored version about that patient unreadable,
in this database and in every copy whose wrapped keys are lost with the master key. Keys are unwrapped once and kept in memory.
"""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from chartloop.kernel import clock
from chartloop.kernel.db_session import Database, Tx
from chartloop.kernel.errors import Gone, Unavailable
from chartloop.kernel.vault import data_keys
from chartloop.kernel.vault.data_keys import DataKey
from chartloop.kernel.vault.envelope import MOST_USES, number_of, seal, unseal
from chartloop.kernel.vault.master import Masters

STORE: Final = "store"
AUDIT: Final = "audit"
SCOPES: Final = (STORE, AUDIT)
"""Scopes whose keys are there from the start and rotate by themselves."""

MOST_KEPT: Final = 20_000
"""Most keys of patients in memory, ready for use: 2.5 kB each."""

REFRESH_S: Final = 60.0
"""How often a process looks what was rotated or destroyed."""

_DAY_US: Final = 86_400_000_000
_LATE_US: Final = 300_000_000
_FORGOTTEN_US: Final = 3_600_000_000
_TIRED: Final = MOST_USES // 2
"""Counted uses after which a key is retired: uses that a crash left uncounted fit between this and MOST_USES."""

_log = logging.getLogger(__name__)


class Destroyed(Gone):
    """The key of this was destroyed on purpose; it cannot be read again."""


class _Current:
    """The key that a scope seals with."""

    __slots__ = ("cipher", "count", "counted", "key")

    def __init__(self, key: DataKey, cipher: AESGCM) -> None:
        self.key = key
        self.cipher = cipher
        self.count: Iterator[int] = itertools.count(1)
        self.counted = 0


class Vault:
    """Seals and opens; threads may share it."""

    def __init__(self, database: Database, masters: Masters, *, sealing: bool, rotate_days: float = 365.0) -> None:
        """Take where the data keys are and what unwraps them; `sealing` False opens what is sealed and seals nothing."""
        self.sealing = sealing
        self._db = database
        self._masters = masters
        self._rotate_us = round(rotate_days * _DAY_US)
        self._lock = threading.Lock()
        self._unsettled: dict[int, DataKey] = {}
        self._ciphers: dict[int, AESGCM] = {}
        self._current: dict[str, _Current] = {}
        self._patients: dict[str, tuple[int, AESGCM]] = {}
        if sealing:
            for scope in SCOPES:
                self._take(scope)

    def seal(self, clear: bytes, place: str, scope: str = STORE) -> bytes:
        """Encrypt bytes for a place with the key of a scope.

        The first sealing for a patient makes a key: whoever stores the bytes calls `settle` in the same transaction.
        """
        current = self._current.get(scope)
        if current is not None:
            next(current.count)
            return seal(current.cipher, current.key.id, clear, place)
        number, cipher = self._patients.get(scope) or self._of_patient(scope)
        return seal(cipher, number, clear, place)

    def open(self, sealed: bytes, place: str) -> bytes:
        """Decrypt what was sealed for a place.

        Raises:
            Destroyed: Its key was destroyed.
            Unavailable: Its key is missing.
            Altered: It was changed, or stands where it does not belong.
        """
        number = number_of(sealed)
        return unseal(self._ciphers.get(number) or self._find(number), sealed, place)

    def settle(self, tx: Tx, sealed: Iterable[bytes]) -> None:
        """Store the keys that some sealed bytes need and that are not stored yet, with them."""
        if not self._unsettled:
            return
        for number in sorted({number_of(each) for each in sealed} & self._unsettled.keys()):
            data_keys.add(tx, self._unsettled[number])
            tx.after_commit(partial(self._settled, number))

    def _settled(self, number: int) -> None:
        self._unsettled.pop(number, None)

    def refresh(self) -> None:
        """Count uses, retire what is old or tired, take over what others rotated and forget what they destroyed; a Periodic calls it."""
        now = clock.now_us()
        if self.sealing:
            for scope in SCOPES:
                self._count(self._current[scope])
                self._take(scope)
        with self._db.read() as session:
            gone = data_keys.destroyed_since(session, now - _LATE_US)
        self._patients = {}
        for key in [key for key in list(self._unsettled.values()) if key.created < now - _FORGOTTEN_US]:
            self._unsettled.pop(key.id, None)
        for number in gone:
            self._ciphers.pop(number, None)

    def close(self) -> None:
        """Count the uses since the last time."""
        for current in self._current.values():
            self._count(current)

    def unwrapped(self, key: DataKey) -> bytes:
        """Decrypt a data key.

        Raises:
            Destroyed: There is nothing to decrypt.
            Unavailable: Its master key is not known here.
        """
        if key.destroyed:
            raise Destroyed
        master = self._masters.known.get(key.master)
        if master is None:
            raise Unavailable(missing_master(key.master, f"data key {key.id} is"))
        return master.unwrap(key.wrapped, key.scope)

    def _take(self, scope: str) -> None:
        """Take the newest key of a scope, or make one where there is none that may still seal."""
        now = clock.now_us()
        with self._db.read() as session:
            found = data_keys.sealing(session, scope)
        if found is not None and (found.used > _TIRED or found.created + self._rotate_us < now):
            self._db.write(lambda tx: data_keys.retire(tx, scope, now))
            _log.info("A data key was retired.", extra={"action": "vault.rotated", "key": found.id})
            found = None
        known = self._current.get(scope)
        if found is not None and known is not None and known.key.id == found.id:
            return
        row, key = (found, self.unwrapped(found)) if found is not None else self._made(scope)
        if found is None:
            self._db.write(lambda tx: data_keys.add(tx, row))
        cipher = AESGCM(key)
        self._ciphers[row.id] = cipher
        self._current[scope] = _Current(row, cipher)

    def _made(self, scope: str) -> tuple[DataKey, bytes]:
        """Make a key of a scope; it is not stored yet."""
        key, master = AESGCM.generate_key(256), self._masters.current
        return data_keys.new(scope, master.fingerprint, master.wrap(key, scope), clock.now_us()), key

    def _of_patient(self, scope: str) -> tuple[int, AESGCM]:
        with self._db.read() as session:
            found = data_keys.sealing(session, scope)
        with self._lock:
            known = self._patients.get(scope)
            if known is not None:
                return known
            row, key = (found, self.unwrapped(found)) if found is not None else self._made(scope)
            if found is None:
                self._unsettled[row.id] = row
            if len(self._patients) >= MOST_KEPT:
                self._patients = {}
            self._patients[scope] = made = (row.id, self._remembered(row.id, key))
        return made

    def _find(self, number: int) -> AESGCM:
        with self._db.read() as session:
            row = data_keys.by_number(session, number)
        if row is None:
            raise Unavailable(f"Data key {number} is missing from the table data_key: restore it from a backup.")
        return self._remembered(number, self.unwrapped(row))

    def _remembered(self, number: int, key: bytes) -> AESGCM:
        if len(self._ciphers) >= MOST_KEPT:
            unsettled = {other: self._ciphers[other] for other in list(self._unsettled) if other in self._ciphers}
            self._ciphers = {current.key.id: current.cipher for current in self._current.values()} | unsettled
        cipher = self._ciphers[number] = AESGCM(key)
        return cipher

    def _count(self, current: _Current) -> None:
        total = next(current.count)
        uses, current.counted = total - current.counted - 1, total
        if uses:
            self._db.write(lambda tx: data_keys.count_uses(tx, current.key.id, uses))


def missing_master(fingerprint: str, whose: str) -> str:
    """Say which master key is missing, and what to do."""
    return (
        f"The master key {fingerprint} is missing: {whose} wrapped with it. Set vault.key_file, vault.key or vault.command to where it is, "
        "or name its file in vault.earlier_key_files."
    )
