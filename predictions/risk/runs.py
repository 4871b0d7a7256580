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


def patient_of_key(database: Database, key: str) -> str:
    """Return the patient of an ordering key by the events that are kept, "" if none of them names the Patient itself.

    For an event whose resource is closed to the engine, of a patient for whom it has not run yet: then the event of the Patient's own
    creation waits beside it. There is no index for this; it is rare.
    """
    row = database.one("SELECT subject FROM event WHERE key = ? AND subject LIKE ? ORDER BY seq LIMIT 1", (key, "Patient/%"))
    return "" if row is None else str(row[0])


def remember_run(tx: Tx, key: str, run: Run) -> None:
    """Keep a run, in the transaction of what it wrote."""
    tx.run(
        "INSERT INTO risk_run (key, patient, started) VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET patient = excluded.patient, started = excluded.started",
        (key, run.patient, run.started_us),
    )
