"""What trust costs over HTTP: reads and creates with everything on, without audit, and without audit and sealing, in turns in one run.

Run: python -m bench.bench_audit_http [--seconds 2] [--rounds 5]
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import cycle
from pathlib import Path

from bench.bench_fhir import CREATE, start_server
from bench.fhir_app import OPERATOR, open_tables
from bench.load import drive, request
from bench.machine import fdatasyncs_per_second, machine
from chartloop.kernel import auth

MODES = {"everything on": "", "without audit": "audit", "without audit and sealing": "audit,vault"}
PATIENTS = 200


class Side:
    """A server with a store of its own."""

    def __init__(self, home: Path, without: str, open_: ExitStack) -> None:
        home.mkdir()
        url = f"sqlite:///{home / 'bench.sqlite3'}"
        database = open_tables(url)
        self.token = database.write(lambda tx: auth.issue(tx, OPERATOR, 36_000))
        database.close()
        server, self.port = start_server(url, home, 64, without=without)
        open_.callback(server.wait)
        open_.callback(server.terminate)
        drive(self.port, 1, lambda: iter([self._put(number) for number in range(PATIENTS)]), 3600)

    def _put(self, number: int) -> bytes:
        return request("PUT", f"/fhir/Patient/p{number}", self.token, b'{"resourceType":"Patient","id":"p%d","name":[{"family":"Family"}]}' % number)

    def reads(self) -> Iterator[bytes]:
        return cycle([request("GET", f"/fhir/Patient/p{number}", self.token) for number in range(PATIENTS)])

    def creates(self) -> Iterator[bytes]:
        return cycle([request("POST", "/fhir/Observation", self.token, CREATE)])


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=5)
    said = parser.parse_args()
    print(f"python -m bench.bench_audit_http {' '.join(sys.argv[1:])}; {machine()}; SQLite; {fdatasyncs_per_second():.0f} fdatasync/s; load average {os.getloadavg()[0]:.1f}")
    with ExitStack() as open_:
        home = Path(open_.enter_context(tempfile.TemporaryDirectory(prefix="chartloop-bench-")))
        sides = {mode: Side(home / str(number), without, open_) for number, (mode, without) in enumerate(MODES.items())}
        for name, clients in (("reads", 32), ("creates", 16)):
            compare(name, sides, clients, said.seconds, said.rounds)


def compare(name: str, sides: dict[str, Side], clients: int, seconds: float, rounds: int) -> None:
    """Take turns; a ratio is that of one round, and the median of the rounds is told."""
    rates: dict[str, list[float]] = {mode: [] for mode in sides}
    for turn in range(rounds + 1):
        for mode, side in sides.items():
            run = drive(side.port, clients, getattr(side, name), seconds)
            if set(run.statuses) - {200, 201}:
                raise RuntimeError(f"unexpected answers: {run.statuses}")
            if turn:  # the first round warms up
                rates[mode].append(run.rate())
    base = rates["everything on"]
    for mode, found in rates.items():
        middle = statistics.median(found)
        ratios = sorted(on / each for on, each in zip(base, found, strict=True))
        print(f"{name:<8} {clients} clients, {mode:<26} {middle:8,.0f}/s, {1e6 / middle:7.0f} µs each; everything on is {statistics.median(ratios):.2f} of it (rounds: {ratios[0]:.2f} to {ratios[-1]:.2f})")


if __name__ == "__main__":
    main()
