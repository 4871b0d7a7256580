"""How fast telemetry is read, kept and published, and how many bytes a sample takes: `python -m bench.bench_telemetry [--records N]`."""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.machine import machine
from chartloop.kernel.access.engine import Access
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.audit.journal import Audit
from chartloop.kernel.broker_table import TableBus
from chartloop.kernel.db import create_tables, open_database
from chartloop.kernel.outbox import Outbox
from chartloop.kernel.settings_sections import TelemetrySettings
from fhir_server import tables  # noqa: F401 declares what create_tables makes
from fhir_server.labels.service import LabelService
from fhir_server.opening import open_store
from fhir_server.repository import Repository
from ingest.telemetry import chunk
from ingest.telemetry import tables as telemetry_tables  # noqa: F401 declares what create_tables makes
from ingest.telemetry.intake import Request, TelemetryIntake
from ingest.telemetry.publishing import Publisher
from ingest.vendors import apple_health, dexcom, open_mhealth
from ingest.vendors.measure import Context
from ingest.vendors.reading import Reading

SYSTEM = ("system/*.cruds",)
START = datetime(2021, 3, 1, tzinfo=UTC)


def export(records: int) -> bytes:
    """An export as Apple writes it: heart rate every 4 to 6 minutes, steps every 10, energy every 2, some measures."""
    rng, lines = random.Random(1), ['<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE HealthData [\n<!ELEMENT HealthData (Record*)>\n]>\n<HealthData locale="en_US">']
    device = "&lt;&lt;HKDevice: 0x283d6a5b0&gt;, name:Apple Watch, manufacturer:Apple Inc., model:Watch, hardware:Watch6,7, software:11.2&gt;"
    kinds = (("HeartRate", "count/min", 0.45, 0), ("StepCount", "count", 0.2, 600), ("ActiveEnergyBurned", "Cal", 0.3, 120), ("OxygenSaturation", "%", 0.05, 15))
    for name, unit, share, length in kinds:
        now = START
        for _ in range(int(records * share)):
            now += timedelta(seconds=length + rng.randint(240, 360))
            value = {"HeartRate": rng.randint(48, 140), "StepCount": rng.randint(1, 900), "ActiveEnergyBurned": rng.randint(1, 9999) / 1000, "OxygenSaturation": rng.randint(90, 100) / 100}[name]
            stamp, end, made = (f"{each:%Y-%m-%d %H:%M:%S} -0500" for each in (now, now + timedelta(seconds=length), now + timedelta(seconds=length + rng.randint(1, 60))))
            lines.append(
                f' <Record type="HKQuantityTypeIdentifier{name}" sourceName="Apple Watch" sourceVersion="11.2" device="{device}" unit="{unit}"'
                f' creationDate="{made}" startDate="{stamp}" endDate="{end}" value="{value}"/>'
            )
    return ("\n".join([*lines, "</HealthData>"])).encode()


def glucose(count: int) -> bytes:
    rng, now, records = random.Random(2), START, []
    for number in range(count):
        now += timedelta(minutes=5)
        time_ = f"{now:%Y-%m-%dT%H:%M:%SZ}"
        records.append({"recordId": f"{number:032x}", "systemTime": time_, "displayTime": time_, "transmitterId": "T1", "value": rng.randint(60, 250), "status": "ok", "trend": "flat", "unit": "mg/dL"})
    return json.dumps({"recordType": "egv", "recordVersion": "3.0", "records": records}).encode()


def series(count: int) -> bytes:
    header = {"uuid": "3b1e0a52-9dba-4fd8-8a1b-9f4bfae6e0b5", "schema_id": {"namespace": "omh", "name": "heart-rate", "version": "2.0"}, "source_creation_date_time": "2026-03-09T12:00:00Z"}
    body = [{"heart_rate": {"value": 60 + n % 9, "unit": "beats/min"}, "effective_time_frame": {"date_time": f"{START + timedelta(seconds=5 * n):%Y-%m-%dT%H:%M:%SZ}"}} for n in range(count)]
    return json.dumps({"header": header, "body": body}).encode()


def shown(name: str, count: int, spent: float, more: str = "") -> None:
    print(f"{name:72} n={count:8}  {count / spent:10,.0f}/s  {more}")


def read(name: str, items: Iterator[object]) -> list[Reading]:
    start, found = time.process_time(), []
    for item in items:
        if isinstance(item, Reading):
            found.append(item)
    shown(name, len(found), time.process_time() - start, "CPU")
    return found


def pure(xml: bytes, count: int) -> None:
    context = Context(None, 2**60)
    read("Apple Health: parsed and normalised", apple_health.read(io.BytesIO(xml), context))
    read("Dexcom v3: parsed and normalised", dexcom.read(glucose(count // 4), context))
    dense = read("IEEE 1752.1 series: parsed and normalised", open_mhealth.read(series(count // 4), context))
    hour = [reading for reading in dense if reading.start // 3_600_000_000 == dense[0].start // 3_600_000_000]
    blob, start, times = chunk.encode(hour), time.process_time(), 200
    for _ in range(times):
        chunk.decode(chunk.encode(hour), "heart-rate", hour[0].source)
    shown("chunk of an hour at 5 s: encoded and decoded", times * len(hour), time.process_time() - start, f"CPU  {len(blob) / len(hour):.2f} bytes/sample")


class World:
    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self.database = open_database(f"sqlite:///{directory / 'store.sqlite3'}")
        create_tables(self.database)
        self.audit = Audit(directory / "audit")
        store = open_store(self.database, Access(), self.audit, Outbox(TableBus(self.database), b"secret"), LabelService(), secret=b"0123456789abcdef", base="http://127.0.0.1/fhir")
        self.repository = Repository(store)
        self.operator = Subject(id="op", role="operator", scopes=SYSTEM)
        self.patient = self.repository.create(Scope(self.operator, "create"), {"resourceType": "Patient"}).stored.id
        self.publisher = Publisher(self.database, self.repository, Subject(id="engine:integration", role="integration-engine", scopes=SYSTEM))
        self.intake = TelemetryIntake(self.database, self.publisher, directory, TelemetrySettings(observations_per_request=0))

    def send(self, vendor: str, body: bytes) -> dict[str, object]:
        environ = {"CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body)}
        return self.intake.receive(environ, Request(f"Patient/{self.patient}", vendor, None, "bench"))[0]

    def sizes(self) -> tuple[int, int, int]:
        with self.database.read() as session:
            chunks = session.one("SELECT sum(count), sum(length(chunk)), count(*) FROM telemetry_block")
        return tuple(int(each or 0) for each in chunks or (0, 0, 0))

    def fhir(self) -> str:
        """Bytes per sample of the Observations of blocks: of their JSON, and as the store keeps it."""
        with self.database.read() as session:
            stored = session.one("SELECT sum(b.count), sum(length(v.body)) FROM version v JOIN resource r ON r.rid = v.rid JOIN telemetry_block b ON b.observation = r.fhir_id") or (0, 0)
            ids = session.all("SELECT observation FROM telemetry_block WHERE observation <> '' LIMIT 200")
        size = statistics.mean(len(self.repository.read(Scope(self.operator, "read"), "Observation", id_).body) for (id_,) in ids)
        each = int(stored[0]) / max(1, self.count())
        return f"{stored[0]} samples in {self.count()} Observations: {size / each:.2f} bytes/sample as JSON, {int(stored[1]) / int(stored[0]):.2f} as stored"

    def count(self) -> int:
        with self.database.read() as session:
            return int((session.one("SELECT count(*) FROM telemetry_block WHERE observation <> ''") or (0,))[0])

    def close(self) -> None:
        self.audit.close()
        self.database.close()


def waits(world: World, stop: threading.Event) -> list[float]:
    """How long another reader waits for a Patient, again and again."""
    found = []
    while not stop.is_set():
        start = time.perf_counter()
        world.repository.read(Scope(world.operator, "read"), "Patient", world.patient)
        found.append(time.perf_counter() - start)
        time.sleep(0.002)
    return found


def beside(world: World, work) -> tuple[float, str]:
    """Do work while somebody reads; give the time it took, and the reader's waits."""
    stop, found = threading.Event(), []
    reader = threading.Thread(target=lambda: found.extend(waits(world, stop)))
    reader.start()
    start = time.perf_counter()
    work()
    spent = time.perf_counter() - start
    stop.set()
    reader.join()
    found.sort()
    return spent, f"wall  a reader beside it: p50 {statistics.median(found) * 1000:.1f} ms  p99 {found[int(len(found) * 0.99)] * 1000:.1f} ms  max {found[-1] * 1000:.0f} ms"


def committed(directory: Path, xml: bytes) -> None:
    world = World(directory)
    spent, reader = beside(world, lambda: time.sleep(2))
    print(f"{'nothing beside it':72} {reader}")
    answer: dict[str, object] = {}
    spent, reader = beside(world, lambda: answer.update(world.send("apple-health", xml)))
    shown(f"Apple Health ({len(xml) / 1e6:.0f} MB): raw kept, checked, merged, committed", int(str(answer["readings"])), spent, reader)
    samples, size, blocks = world.sizes()
    print(f"{'kept in chunks':72} {samples} samples in {blocks} hour blocks: {size / samples:.2f} bytes/sample")
    spent, reader = beside(world, lambda: world.publisher.publish(limit=2000))
    shown("hour blocks published as Observations", 2000, spent, reader)
    print(f"{'stored as FHIR':72} {world.fhir()}")
    start = time.perf_counter()
    again = world.send("apple-health", xml)
    print(f"{'the same export again':72} {time.perf_counter() - start:.2f} s, new {again['new']}")
    world.close()


def dense(directory: Path, count: int) -> None:
    """A heart rate every 5 seconds."""
    world = World(directory)
    world.send("open-mhealth", series(count))
    samples, size, blocks = world.sizes()
    print(f"{'heart rate every 5 s, kept in chunks':72} {samples} samples in {blocks} hour blocks: {size / samples:.2f} bytes/sample")
    world.publisher.publish()
    print(f"{'heart rate every 5 s, stored as FHIR':72} {world.fhir()}")
    world.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=200_000)
    arguments = parser.parse_args()
    print(f"command: python -m bench.bench_telemetry {' '.join(sys.argv[1:])}".rstrip() + f"; {machine()}; load {os.getloadavg()[0]:.1f}")
    xml = export(arguments.records)
    pure(xml, arguments.records)
    with tempfile.TemporaryDirectory() as directory:
        committed(Path(directory) / "sparse", xml)
        dense(Path(directory) / "dense", arguments.records // 4)
    print("targets: normalised 50,000/s; Apple import 100,000 records/s; at most 4 bytes/sample in FHIR, 1 in columns")


if __name__ == "__main__":
    main()
