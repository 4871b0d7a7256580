"""When a patient's risk was computed last, kept in the database: a restart or another worker does not forget it."""

from __future__ import annotations

from typing import NamedTuple

from chartloop.kernel.db import Database, Tx


class Run(NamedTuple):
    """One patient's last run."""

    patient: str
    started_us: int


def last_run(database: Database, key: str) -> Run | None:
    """Return the last run of an ordering key."""
    row = database.one("SELECT patient, started FROM risk_run WHERE key = ?", (key,))
    return None if row is None else Run(str(row[0]), int(row[1]))


def remember_run(tx: Tx, key: str, run: Run) -> None:
    """Keep a run, in the transaction of what it wrote."""
    tx.run(
        "INSERT INTO risk_run (key, patient, started) VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET patient = excluded.patient, started = excluded.started",
        (key, run.patient, run.started_us),
    )
