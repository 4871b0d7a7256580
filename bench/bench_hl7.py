"""How fast HL7 v2 messages are read, kept and mapped: `python -m bench.bench_hl7 [--seconds N]`."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

from bench.machine import fdatasyncs_per_second, machine
from chartloop.demo.messages import visit_messages
from chartloop.demo.messages_results import results_message
from chartloop.demo.mllp_client import MllpClient
from chartloop.demo.population import SEED, generate
from chartloop.kernel.access.engine import Access
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.audit.journal import Audit
from chartloop.kernel.broker_table import TableBus
from chartloop.kernel.config import corpus_directory
from chartloop.kernel.db import create_tables, open_database
from chartloop.kernel.outbox import Outbox
from chartloop.kernel.settings_sections import MllpSettings, WorkerSettings
from chartloop.kernel.worker import Worker
from fhir_server import tables  # noqa: F401 declares what create_tables makes
from fhir_server.labels.service import LabelService
from fhir_server.opening import open_store
from fhir_server.repository import Repository
from ingest.consumer import MessageConsumer
from ingest.hl7v2.parser import parse
from ingest.intake import Intake
from ingest.mapping.mapper import message_to_changes
from ingest.mllp import MllpServer


def corpus() -> list[bytes]:
    """Public messages where they are at hand, else the demo's own."""
    directory = corpus_directory()
    if directory is None or not (directory / "hl7v2").is_dir():
        return own(30)
    raws = [path.read_bytes() for path in sorted((directory / "hl7v2").rglob("*.hl7"))]
    lines = (directory / "hl7v2/messages-linuxforhealth/inline-test-messages.jsonl").read_text().splitlines()
    return raws + [json.loads(line)["message"].encode() for line in lines]


def own(patients: int) -> list[bytes]:
    return [message.text.encode() for visit in generate(patients=patients).visits for message in visit_messages(visit)]


def own_results(patients: int) -> list[bytes]:
    return [results_message(visit, SEED).text.encode() for visit in generate(patients=patients).visits]


def rate(name: str, work, items: list, seconds: float) -> float:
    """Repeat over all items for some seconds of CPU time; print items per CPU second."""
    start, count = time.process_time(), 0
    while time.process_time() - start < seconds:
        for item in items:
            work(item)
        count += len(items)
    spent = time.process_time() - start
    print(f"{name:72} n={count:7}  {count / spent:10,.0f}/s CPU")
    return count / spent


def parsing(seconds: float) -> None:
    import warnings

    raws = corpus()
    print(f"corpus: {len(raws)} messages, {sum(map(len, raws)) // len(raws)} bytes on average")

    def ours(raw: bytes) -> None:
        message, _ = parse(raw)
        if message is not None:
            _ = (message.control_id, message.value("PID", 3), message.value("PID", 5))

    def ours_all(raw: bytes) -> None:
        message, _ = parse(raw)
        for segment in message.segments if message is not None else ():
            for number in range(1, len(segment) + 1):
                for repetition in segment.repetitions(number):
                    repetition.value(1)

    mine = rate("parse, then read MSH-10, PID-3, PID-5 (ours)", ours, raws, seconds)
    rate("parse, then read every field and repetition (ours)", ours_all, raws, seconds)
    try:
        import hl7
    except ImportError:
        print("python-hl7 is not installed: no comparison")
        return
    texts = [raw.decode("utf-8", "replace").lstrip("\ufeff").replace("\r\n", "\r").replace("\n", "\r") for raw in raws]

    def theirs(text: str) -> None:
        try:
            hl7.parse(text)
        except Exception:
            failures.append(text)

    failures: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = rate(f"parse (python-hl7 {hl7.__version__})", theirs, texts, seconds)
    print(f"ours is {mine / other:.0f} times as fast; python-hl7 failed on {len(set(failures))} of {len(raws)} messages")


def mapping(seconds: float) -> None:
    messages = [parse(raw).message for raw in own(30)]
    rate("map a parsed message to FHIR changes (demo's A04, A08, T02, P03, A03)", message_to_changes, messages, seconds)
    results = [parse(raw).message for raw in own_results(30)]
    each = sum(change.key.type == "Observation" for message in results for change in message_to_changes(message).changes) / len(results)
    mapped = rate("map a parsed ORU^R01 to FHIR changes (demo's, 4 orders)", message_to_changes, results, seconds)
    print(f"{'  that is Observations':72} {'':9}  {mapped * each:10,.0f}/s CPU  ({each:.0f} a message)")


def socket_rate(directory: Path, connections: int, seconds: float) -> None:
    """MLLP: messages whose AA came back, each durable before it."""
    database = open_database(f"sqlite:///{directory / f'mllp{connections}.sqlite3'}")
    create_tables(database)
    server = MllpServer(MllpSettings(port=0), Intake(database, Outbox(TableBus(database), b"secret"), Audit(directory / f"mllp{connections}")))
    port, base = server.start(), [raw.decode() for raw in own(30)]
    waits: list[float] = []
    end = time.perf_counter() + seconds

    def send(number: int) -> None:
        with MllpClient("127.0.0.1", port) as client:
            turn = 0
            while time.perf_counter() < end:
                text = base[turn % len(base)]
                control_id = text.split("|", 10)[9]
                started = time.perf_counter()
                client.deliver(text.replace(f"|{control_id}|", f"|{control_id}.{number}.{turn}|", 1))
                waits.append(time.perf_counter() - started)
                turn += 1

    threads = [threading.Thread(target=send, args=(number,)) for number in range(connections)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spent = time.perf_counter() - start
    server.stop()
    database.close()
    waits.sort()
    percentiles = f"p50 {statistics.median(waits) * 1000:.2f} ms  p99 {waits[int(len(waits) * 0.99)] * 1000:.2f} ms"
    name = f"MLLP to durable AA, {connections} connection{'s' if connections > 1 else ''}, client in the same process"
    print(f"{name:72} n={len(waits):7}  {len(waits) / spent:10,.0f}/s wall  {percentiles}")


def committed(directory: Path, name: str, messages: list[bytes]) -> None:
    """Messages to FHIR: mapped, validated, authorized, audited, indexed, committed; from kept messages, by the worker."""
    directory = directory / name.replace(" ", "-")
    directory.mkdir()
    database = open_database(f"sqlite:///{directory / 'store.sqlite3'}")
    create_tables(database)
    audit = Audit(directory / "audit")
    bus = TableBus(database)
    outbox = Outbox(bus, b"secret")
    store = open_store(database, Access(), audit, outbox, LabelService(), secret=b"0123456789abcdef", base="http://127.0.0.1/fhir")
    intake = Intake(database, outbox, audit)
    consumer = MessageConsumer(database, Repository(store), Subject(id="engine:integration", role="integration-engine", scopes=("system/*.cruds",)))
    for raw in messages:
        intake.receive(raw)
    worker = Worker(database, bus, [consumer], [], WorkerSettings())
    start = time.perf_counter()
    worker.start()
    time.sleep(0.2)
    idle = worker.idle(600)
    spent = time.perf_counter() - start
    worker.stop()
    with database.read() as session:
        mapped = session.one("SELECT COUNT(*) FROM hl7_message WHERE state = 'mapped'")
    count = mapped[0] if mapped else 0
    print(f"{f'{name} committed as FHIR by the worker':72} n={count:7}  {count / spent:10,.0f}/s wall{'' if idle else '  (not finished)'}")
    audit.close()
    database.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--patients", type=int, default=100)
    arguments = parser.parse_args()
    print(f"command: python -m bench.bench_hl7 {' '.join(sys.argv[1:])}".rstrip() + f"; seed {SEED}; {machine()}; load {os.getloadavg()[0]:.1f}")
    parsing(arguments.seconds)
    mapping(arguments.seconds / 2)
    with tempfile.TemporaryDirectory() as directory:
        print(f"disk {fdatasyncs_per_second():.0f} fdatasync/s")
        for connections in (1, 8):
            socket_rate(Path(directory), connections, arguments.seconds)
        committed(Path(directory), "messages", own(arguments.patients))
        committed(Path(directory), "ORU messages", own_results(arguments.patients))
    print("targets: parse 15,000/s; MLLP to durable ACK 1,000/s; committed as FHIR 300/s")


if __name__ == "__main__":
    main()
