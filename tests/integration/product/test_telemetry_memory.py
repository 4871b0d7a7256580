"""A large export sent to a real server: it is streamed, so that the server's memory does not grow with it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

HEAD = b'<?xml version="1.0" encoding="UTF-8"?>\n<HealthData locale="en_US">\n'
TAIL = b"</HealthData>\n"
APART = timedelta(seconds=5)
KEPT_ONLY = {"CHARTLOOP_TELEMETRY__OBSERVATIONS_PER_REQUEST": "0", "CHARTLOOP_TELEMETRY__PUBLISH_INTERVAL_S": "3600"}
"""What becomes of readings afterwards fills caches of the store, whose size is set: not part of taking an export."""


def export(first: datetime, records: int) -> Iterator[bytes]:
    """A heart rate every five seconds, a thousand records at a time."""
    yield HEAD
    for start in range(0, records, 1000):
        yield b"".join(record(first + n * APART, 60 + n % 40) for n in range(start, start + 1000))
    yield TAIL


def record(time: datetime, value: int) -> bytes:
    written = f"{time:%Y-%m-%d %H:%M:%S} +0000"
    device = "&lt;&lt;HKDevice: 0x283d6a5b0&gt;, name:Apple Watch, manufacturer:Apple Inc., model:Watch, hardware:Watch6,7, software:11.2&gt;"
    return (
        f' <Record type="HKQuantityTypeIdentifierHeartRate" sourceName="Apple Watch" sourceVersion="11.2" device="{device}" unit="count/min"'
        f' creationDate="{written}" startDate="{written}" endDate="{written}" value="{value}"/>\n'
    ).encode()


class Memory:
    """The most memory of its own that a process had meanwhile, in kB; pages of files that the system may take back are not counted."""

    def __init__(self, process: int) -> None:
        self._status = Path(f"/proc/{process}/status")
        self._done = threading.Event()
        self._watching = threading.Thread(target=self._watch)
        self.peak = 0

    def __enter__(self):
        self._watching.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        self._watching.join()

    def _watch(self) -> None:
        while not self._done.wait(0.02):
            lines = dict(line.split(":", 1) for line in self._status.read_text().splitlines())
            self.peak = max(self.peak, int(lines["RssAnon"].split()[0]))


@pytest.mark.long
@pytest.mark.conformance("Observations come in", "an Apple Health export is streamed: the memory of a server does not grow with it")
def test_an_export_fifteen_times_as_large_takes_no_more_memory(open_clinic):
    clinic = open_clinic(environment=KEPT_ONLY)
    clinic.start_server()
    operator, process = clinic.as_role("operator"), clinic.serving_process()
    patient = operator.request("POST", "Patient", body={"resourceType": "Patient"}).json()["id"]

    def send(year: int, records: int) -> tuple[int, int]:
        """Size of the export and most memory, in kB."""
        size = sum(map(len, export(datetime(year, 1, 1, tzinfo=UTC), records)))
        headers = {"Authorization": f"Bearer {operator.token}", "Content-Type": "application/xml", "Content-Length": str(size)}
        url = f"{clinic.demo.server}/intake/telemetry/apple-health?subject=Patient/{patient}"
        with Memory(process) as memory:
            answer = httpx.post(url, content=export(datetime(year, 1, 1, tzinfo=UTC), records), headers=headers, timeout=540, trust_env=False)
        assert (answer.status_code, answer.json()["new"]) == (201, records)
        return size // 1024, memory.peak

    small_size, small = send(2020, 20_000)
    large_size, large = send(2021, 300_000)
    assert large_size > 14 * small_size
    assert large < 1.3 * small, f"{small_size} kB took {small} kB, {large_size} kB took {large} kB"
    assert large - small < large_size / 4
