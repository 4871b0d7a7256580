"""Metrics that are read when somebody asks: queues, jobs, the audit log, the disk. What cannot be read is left out, never quoted from before."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from chartloop.kernel import clock, signals
from chartloop.kernel.db_session import Database, Session
from chartloop.kernel.held_back import held_back
from chartloop.kernel.jobs.table import job_rows
from chartloop.kernel.metrics import declared
from chartloop.kernel.queues import queues

_log = logging.getLogger(__name__)
Read = Callable[[Session], Iterable[Metric]]


class StoreCollector(Collector):
    """What the store says of events, jobs and the audit log; each part by itself, so that one that fails hides no other."""

    def __init__(self, database: Database, data: Path | None = None) -> None:
        """Read from this database, and look at the disk on which this directory is."""
        self._db, self._data = database, data

    def describe(self) -> Iterable[Metric]:
        """Say nothing: to be registered is not to be read."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Read everything."""
        failed = gauge("chartloop_scrape_failed")
        for part, read in _PARTS.items():
            yield from self._of(part, lambda read=read: self._from_store(read), failed)  # type: ignore[misc]
        if self._data is not None:
            data = self._data
            yield from self._of("disk", lambda: list(_disk(data)), failed)
        yield failed

    def _of(self, part: str, read: Callable[[], list[Metric]], failed: GaugeMetricFamily) -> list[Metric]:
        try:
            found = read()
        except Exception:
            _log.exception("A part of the metrics could not be read.", extra={"action": "metrics.failed", "part": part})
            failed.add_metric([part], 1.0)
            return []
        failed.add_metric([part], 0.0)
        return found

    def _from_store(self, read: Read) -> list[Metric]:
        with self._db.read() as session:
            return list(read(session))


def gauge(name: str, *samples: tuple[tuple[str, ...], float]) -> GaugeMetricFamily:
    """Make a gauge that METRICS declares, with these samples: values of its labels, and the number."""
    name, meaning, labels = declared(name)
    family = GaugeMetricFamily(name, meaning, labels=labels)
    for values, number in samples:
        family.add_metric(values, number)
    return family


def counter(name: str, *samples: tuple[tuple[str, ...], float]) -> CounterMetricFamily:
    """Make a counter that METRICS declares, in the same way."""
    name, meaning, labels = declared(name)
    family = CounterMetricFamily(name, meaning, labels=labels)
    for values, number in samples:
        family.add_metric(values, number)
    return family


def _events(session: Session) -> Iterator[Metric]:
    found = queues(session)
    waiting = [((each.consumer, state), float(count)) for each in found for state, count in (("ready", each.ready), ("held", each.held), ("parked", each.parked))]
    yield gauge("chartloop_events_waiting", *waiting)
    yield gauge("chartloop_events_oldest_age_seconds", *(((each.consumer,), each.age_s) for each in found))
    yield gauge("chartloop_events_behind", *(((each.consumer,), float(each.behind)) for each in found))
    yield gauge("chartloop_dead_letters", *(((each.consumer,), float(each.dead)) for each in found))
    yield counter("chartloop_events_retried_total", *(((each.consumer,), float(each.retried)) for each in found))
    held = held_back(session)
    yield gauge("chartloop_events_held_back", ((), float(held.events)))
    yield gauge("chartloop_events_held_back_age_seconds", ((), held.age_s))


def _processes(session: Session) -> Iterator[Metric]:
    yield gauge("chartloop_workers", ((), float(signals.workers(session))))


def _jobs(session: Session) -> Iterator[Metric]:
    rows, now = job_rows(session), clock.now_us()
    runs = [((row.name, outcome), float(count)) for row in rows for outcome, count in (("done", row.runs - row.failures), ("failed", row.failures))]
    yield counter("chartloop_job_runs_total", *runs)
    yield gauge("chartloop_job_failures_in_a_row", *(((row.name,), float(row.attempt)) for row in rows))
    yield gauge("chartloop_job_late_seconds", *(((row.name,), 0.0 if row.paused else max(0.0, (now - row.next_run) / 1e6)) for row in rows))
    yield gauge("chartloop_job_last_run_seconds", *(((row.name,), row.duration_us / 1e6) for row in rows))
    yield gauge("chartloop_job_paused", *(((row.name,), float(row.paused)) for row in rows))


def _audit(session: Session) -> Iterator[Metric]:
    disagrees, unsealed = _number(session, _DISAGREES), _number(session, _UNSEALED)
    sealed = _number(session, "SELECT coalesce(max(recorded), 0) FROM audit_head")
    first = _number(session, "SELECT count(*) FROM audit_head") == 0
    lag_s = max(0.0, (clock.now_us() - sealed) / 1e6) if unsealed and not first else 0.0
    yield gauge("chartloop_audit_disagrees", ((), disagrees))
    yield gauge("chartloop_audit_unsealed", ((), unsealed))
    yield gauge("chartloop_audit_seal_lag_seconds", ((), lag_s))


def _disk(data: Path) -> Iterator[Metric]:
    usage = shutil.disk_usage(data)
    yield gauge("chartloop_disk_free_bytes", ((), float(usage.free)))
    yield gauge("chartloop_disk_size_bytes", ((), float(usage.total)))


def _number(session: Session, statement: str) -> float:
    row = session.one(statement)
    return float(row[0]) if row else 0.0


_UNSEALED = (
    "SELECT count(*) FROM audit_change c WHERE (c.xid, c.seq) >"
    " (coalesce((SELECT change_xid FROM audit_head ORDER BY size DESC LIMIT 1), -1),"
    " coalesce((SELECT change_seq FROM audit_head ORDER BY size DESC LIMIT 1), 0))"
)
_DISAGREES = "SELECT count(*) FROM audit_state WHERE name = 'anchor-mismatch'"
_PARTS: dict[str, Read] = {"events": _events, "processes": _processes, "jobs": _jobs, "audit": _audit}

