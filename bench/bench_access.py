"""How fast access is decided: `python bench/bench_access.py [--rows N]`."""

from __future__ import annotations

import argparse
import datetime as dt
import os
import platform
import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from chartloop.kernel.access.engine import Access
from chartloop.kernel.access.rows import RowAttributes
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from fhir_server.labels.service import LabelService
from fhir_server.redaction import redact

SEED = 7
TYPES = ("DocumentReference", "Claim", "Encounter", "Task", "Condition")


def processor() -> str:
    """Name of the processor."""
    cpu = Path("/proc/cpuinfo")
    names = [line.split(":", 1)[1].strip() for line in cpu.read_text().splitlines() if line.startswith("model name")] if cpu.exists() else []
    return names[0] if names else platform.processor()


def timed(name: str, work: Callable[[int], object], count: int) -> None:
    """Run a piece of work many times and print its median and 99th percentile."""
    times = []
    for number in range(count):
        start = time.perf_counter_ns()
        work(number)
        times.append((time.perf_counter_ns() - start) / 1000)
    total = sum(times) / 1e6
    print(f"{name:55} n={count:6}  p50 {statistics.median(times):8.1f} µs  p99 {sorted(times)[int(count * 0.99)]:8.1f} µs  {count / total:10,.0f}/s")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=20_000)
    count = parser.parse_args().rows
    print(f"command: python {' '.join(sys.argv)}   processor: {processor()}   cores: {os.cpu_count()}   date: {dt.date.today()}   seed: {SEED}")
    start = time.perf_counter()
    access = Access()
    print(f"{'start: read, validate, compile for every role and type':55} {1000 * (time.perf_counter() - start):8.1f} ms")
    chance = random.Random(SEED)
    roles = access.policies.roles

    def scope(number: int, user: str = "") -> Scope:
        return Scope(Subject("x", roles[number % len(roles)], user or f"Practitioner/{number}", f"Patient/{number}", ("user/*.cruds",)), "search")

    rows = [
        RowAttributes(chance.choice(TYPES), frozenset({"PSY"} if chance.random() < 0.1 else ()), f"Patient/{chance.randrange(5000)}", "", "Organization/9")
        for _ in range(count)
    ]
    warm = [scope(number, "Practitioner/1") for number in range(len(roles))]
    timed("row filter, cold (new subject: partial evaluation, SQL)", lambda n: access.row_filter(scope(n), TYPES[n % 5]), min(count, 5000))
    timed("row filter, cached", lambda n: access.row_filter(warm[n % len(warm)], TYPES[n % 5]), count)
    timed("decision of one row, cached by what rules look at", lambda n: access.decides(warm[n % len(warm)], rows[n]), count)
    timed("decision of one row, new subject (Cedar itself)", lambda n: access.decides(scope(n + 10**6), rows[n]), min(count, 3000))
    billing = Scope(Subject("x", "billing-administrator", "Practitioner/1", "", ("user/*.rs",)), "search")
    timed("elements of a row, cached", lambda n: access.elements(billing, rows[n]), count)
    claim = RowAttributes("Claim", frozenset({"PSY"}), "", "", "")
    allowed = access.elements(billing, claim) or frozenset()
    items = ",".join(f'{{"sequence":{n},"productOrService":{{"coding":[{{"system":"s","code":"99213"}}],"text":"x"}},"net":{{"value":72.50,"currency":"USD"}}}}' for n in range(5))
    body = f'{{"resourceType":"Claim","id":"1","meta":{{"versionId":"1"}},"status":"active","text":{{"div":"x"}},"item":[{items}],"total":{{"value":362.50}}}}'.encode()
    timed(f"redaction of a Claim of {len(body)} bytes", lambda _n: redact(body, allowed), min(count, 5000))
    service = LabelService()
    condition = {"resourceType": "Condition", "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "I10"}]}, "subject": {"reference": "Patient/1"}}
    timed("labels of a Condition", lambda _n: service.labels("Condition", condition), count)


if __name__ == "__main__":
    main()
