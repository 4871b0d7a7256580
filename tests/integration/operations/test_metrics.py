"""What /metrics says of queues, payers, jobs, the audit log and the disk; zeroes included, nothing stale."""

from __future__ import annotations

import re

import pytest
from prometheus_client import CollectorRegistry

from chartloop.kernel import signals
from chartloop.kernel.clock import FakeClock
from chartloop.kernel.gauges import StoreCollector
from chartloop.kernel.metrics import METRICS, Metrics
from tests.integration.operations.conftest import Operated


def lines(operated: Operated) -> list[str]:
    answer = operated.ask("GET", "/metrics")
    assert answer.status_code == 200
    return answer.text.splitlines()


@pytest.mark.conformance("Operations", "/metrics says lag, oldest age, depth, retries, dead letters, breakers, job runs, the seal's lag and the disk; zeroes are said")
def test_everything_is_said_and_so_are_zeroes(operated: Operated) -> None:
    operated.give_up("Observation/metrics")
    operated.lives()
    said = lines(operated)
    for line in (
        'chartloop_events_waiting{consumer="predictions",state="ready"} 0.0',
        'chartloop_events_retried_total{consumer="predictions"} 7.0',
        'chartloop_payer_breaker{lane="sending",payer="P1"} 0.0',
        'chartloop_payer_breaker{lane="sending",payer="P2"} 2.0',
        "chartloop_workers 1.0",
        'chartloop_job_runs_total{name="telemetry",outcome="failed"} 1.0',
        'chartloop_job_runs_total{name="telemetry",outcome="done"} 0.0',
        'chartloop_job_failures_in_a_row{name="claims-drafts"} 0.0',
        'chartloop_job_paused{name="forget-audit"} 0.0',
        'chartloop_job_late_seconds{name="forget-audit"} 0.0',
        "chartloop_events_held_back_age_seconds 0.0",
        'chartloop_scrape_failed{part="events"} 0.0',
        'chartloop_http_requests_total{interaction="read",status="500"} 0.0',
    ):
        assert line in said, line
    assert any(line.startswith('chartloop_dead_letters{consumer="predictions"}') and not line.endswith(" 0.0") for line in said)
    free = next(float(line.split()[1]) for line in said if line.startswith("chartloop_disk_free_bytes "))
    size = next(float(line.split()[1]) for line in said if line.startswith("chartloop_disk_size_bytes "))
    assert 0 < free <= size
    exposed = {line.split()[2] for line in said if line.startswith("# TYPE")}
    assert METRICS.keys() <= exposed


def test_no_series_names_a_patient(operated: Operated) -> None:
    operated.give_up("Patient/mrn-4711")
    assert not [line for line in lines(operated) if re.search(r"(?<!\d)4711|Müller", line)]


@pytest.mark.conformance("Operations", "a part of /metrics that cannot be read is left out and named; the others are there")
def test_a_part_that_cannot_be_read_is_left_out(operated: Operated, caplog: pytest.LogCaptureFixture) -> None:
    operated.lives()
    metrics = Metrics(CollectorRegistry())
    metrics.registry.register(StoreCollector(operated.kernel.database, operated.data / "nowhere"))
    said = metrics.render().decode().splitlines()
    assert 'chartloop_scrape_failed{part="disk"} 1.0' in said
    assert 'chartloop_scrape_failed{part="events"} 0.0' in said
    assert "chartloop_workers 1.0" in said
    assert not [line for line in said if line.startswith("chartloop_disk")]


@pytest.mark.conformance("Operations", "what a process said is not quoted once it fell silent")
def test_an_old_number_is_not_quoted(operated: Operated, fake_clock: FakeClock) -> None:
    database = operated.kernel.database
    database.write(lambda tx: signals.tell(tx, "other", signals.WORKERS, {"": 1}))
    assert "chartloop_workers 0.0" not in lines(operated)
    fake_clock.advance(signals.FRESH_S + 1)
    assert "chartloop_workers 0.0" in lines(operated)
