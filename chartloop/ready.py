"""Whether this process can take requests now: /readyz tells what a load balancer must know, /healthz only that the process lives."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from chartloop.app import Kernel
from chartloop.backup.keys_apart import AUDIT_KEY
from chartloop.kernel import clock
from chartloop.kernel.audit import state
from chartloop.kernel.audit.heads import TreeHead, is_signed
from chartloop.kernel.audit.journal import audit_directory
from chartloop.kernel.audit.sealer import HEAD_COLUMNS
from chartloop.kernel.db import Database
from chartloop.kernel.db_copies import sqlite_file
from chartloop.kernel.errors import ChartloopError, Unavailable
from chartloop.kernel.health import Check, database_check
from chartloop.kernel.vault import data_keys
from chartloop.kernel.vault.vault import STORE, Vault
from chartloop.kernel.worker import Worker
from chartloop.schema import said_of, status_of
from predictions.calibration import DEMO_RECORD
from predictions.coder_model import SHIPPED
from terminology.icd10cm import load as load_icd10cm

_WRITTEN: Final = "written"
"""Name of the state that the probe writes: a write that stores nothing would not find a disk that is full."""
_FRESH_S: Final = 5.0
_WAIT_S: Final = 2.0
_SILENT_S: Final = 60.0
_MB: Final = 1_000_000


class Readiness:
    """What must hold before this process is sent requests."""

    def __init__(self, kernel: Kernel, stopping: threading.Event | None = None) -> None:
        """Take what everything stands on, and what is set when the end begins; workers are added as they start."""
        self._kernel = kernel
        self._workers: list[Worker] = []
        self._stopping = stopping or threading.Event()
        self._probe = WriteProbe(kernel.database)

    def watch(self, worker: Worker) -> None:
        """Be ready only while this worker works."""
        self._workers.append(worker)

    def stop(self) -> None:
        """Be ready no more: the server is stopping, and what it stands on may be closed at any moment."""
        self._stopping.set()

    def checks(self) -> Mapping[str, Check]:
        """Every check by name; each raises where it fails, and all do while the server stops."""
        found: dict[str, Check] = {
            "database": database_check(self._kernel.database),
            "schema": self._schema,
            "writable": self._probe.check,
            "disk": self._disk,
            "keys": self._keys,
            "bus": self._bus,
            "worker": self._worker,
            "terminology": _terminology,
            "models": self._models,
        }
        return {"stopping": self._going_on, **{name: self._unless_stopping(check) for name, check in found.items()}}

    def _unless_stopping(self, check: Check) -> Check:
        def checked() -> None:
            self._going_on()
            check()

        return checked

    def _going_on(self) -> None:
        if self._stopping.is_set():
            raise Unavailable("The server is stopping.")

    def _schema(self) -> None:
        with self._kernel.database.read() as session:
            status = status_of(session)
        if not status.fits:
            raise Unavailable(said_of(status))

    def _disk(self) -> None:
        settings = self._kernel.settings
        places = {audit_directory(settings.data), *([sqlite_file(settings.database_url).parent] if settings.embedded else [])}
        for place in places:
            found = os.statvfs(place if place.exists() else settings.data)
            free_mb = found.f_bavail * found.f_frsize / _MB
            if free_mb < settings.audit.free_min_mb:
                raise Unavailable(f"The disk of {place} has {free_mb:,.0f} MB left; audit.free_min_mb asks for {settings.audit.free_min_mb:,.0f}.")

    def _keys(self) -> None:
        keys, database = self._kernel.settings.keys, self._kernel.database
        row = database.one(f"SELECT {HEAD_COLUMNS} FROM audit_head ORDER BY size DESC LIMIT 1")
        try:
            (keys / "hmac.key").read_bytes()
            if row is not None and not is_signed(_signing(keys), TreeHead(*row)):  # without a head the first sealing makes the key
                raise Unavailable(f"{keys / AUDIT_KEY} is not the key that has signed the audit log.")
        except (OSError, ValueError) as error:
            raise Unavailable(f"A key in {keys} cannot be read ({type(error).__name__}).") from None
        if self._kernel.vault is not None:
            _opens(database, self._kernel.vault)

    def _bus(self) -> None:
        self._kernel.bus.pending()

    def _worker(self) -> None:
        if not all(worker.alive() for worker in self._workers):
            raise Unavailable("The worker has stopped: events are not handled, and the audit log is not sealed.")

    def _models(self) -> None:
        directory = self._kernel.settings.coding.model_directory
        (directory / SHIPPED.name if directory else SHIPPED).stat()
        DEMO_RECORD.stat()


class WriteProbe:
    """Writes one small row now and then: a store that answers reads may take no write any more.

    A write may wait behind a large transaction. That is no failure: only where nothing was written for a minute the store counts as
    one that cannot be written.
    """

    def __init__(self, database: Database, *, wait_s: float = _WAIT_S, silent_s: float = _SILENT_S, perf_s: Callable[[], float] = clock.perf_s) -> None:
        """Take the store; nothing is written yet."""
        self._db = database
        self._wait_s = wait_s
        self._silent_s = silent_s
        self._now_s = perf_s
        self._lock = threading.Lock()
        self._writing: threading.Thread | None = None
        self._failed = ""
        self._written_s = self._begun_s = perf_s() - _FRESH_S

    def check(self) -> None:
        """Write, unless a write has just gone well.

        Raises:
            Unavailable: The store refuses, or has taken no write for a minute.
        """
        with self._lock:
            if not self._failed and self._now_s() - self._written_s < _FRESH_S:
                return
            if self._writing is None or not self._writing.is_alive():
                self._begun_s = self._now_s()
                self._writing = threading.Thread(target=self._write, name="chartloop-ready", daemon=True)
                self._writing.start()
            writing = self._writing
        writing.join(self._wait_s)
        if self._failed:
            raise Unavailable(f"The store cannot be written: {self._failed}")
        if writing.is_alive() and self._now_s() - self._begun_s > self._silent_s:
            raise Unavailable(f"The store has taken no write for {self._silent_s:.0f} s.")

    def _write(self) -> None:
        try:
            self._db.write(lambda tx: state.remember(tx, _WRITTEN, str(clock.now_us())))
        except ChartloopError as error:
            self._failed = str(error)
        except Exception as error:
            self._failed = type(error).__name__
        else:
            self._failed, self._written_s = "", self._now_s()


def _signing(keys: Path) -> Ed25519PublicKey:
    """Read the key of the audit log; none is made."""
    return Ed25519PrivateKey.from_private_bytes((keys / AUDIT_KEY).read_bytes()).public_key()


def _terminology() -> None:
    load_icd10cm()


def _opens(database: Database, vault: Vault) -> None:
    """See that the data key in force can be unwrapped with a master key that this process has."""
    with database.read() as session:
        key = data_keys.sealing(session, STORE)
    if key is not None:
        vault.unwrapped(key)
