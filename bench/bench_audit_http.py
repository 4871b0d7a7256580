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

from bench.bench_fhir import CREATE, THREADS, start_server
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
        server, self.port = start_server(url, home, THREADS, without=without)
        self._pid = server.pid
        open_.callback(server.wait)
        open_.callback(server.terminate)
        drive(self.port, 1, lambda: iter([self._put(number) for number in range(PATIENTS)]), 3600)

    def _put(self, number: int) -> bytes:
        return request("PUT", f"/fhir/Patient/p{number}", self.token, b'{"resourceType":"Patient","id":"p%d","name":[{"family":"Family"}]}' % number)

    def busy_s(self) -> float:
        """Processor time of the server and its worker, which other work on the machine disturbs less than the clock."""
        parents: dict[int, list[tuple[int, int]]] = {}
        for file in Path("/proc").glob("[0-9]*/stat"):
            try:
                said = file.read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it ended just now
            parents.setdefault(int(said[1]), []).append((int(file.parent.name), int(said[11]) + int(said[12])))
        ticks = sum(spent for processes in parents.values() for pid, spent in processes if pid == self._pid)
        waiting = [self._pid]
        while waiting:
            for pid, spent in parents.get(waiting.pop(), ()):
                ticks += spent
                waiting.append(pid)
        return ticks / os.sysconf("SC_CLK_TCK")

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
    costs: dict[str, list[float]] = {mode: [] for mode in sides}
    for turn in range(rounds + 1):
        for mode, side in sides.items():
            before = side.busy_s()
            run = drive(side.port, clients, getattr(side, name), seconds)
            cost = (side.busy_s() - before) / len(run.latencies) * 1e6
            if set(run.statuses) - {200, 201}:
                raise RuntimeError(f"unexpected answers: {run.statuses}")
            if turn:  # the first round warms up
                rates[mode].append(run.rate())
                costs[mode].append(cost)
    for mode in sides:
        print(f"{name:<8} {clients} clients, {mode:<26} {statistics.median(rates[mode]):8,.0f}/s, {statistics.median(costs[mode]):7.0f} µs of processor time each; "
              f"everything on: {ratio(rates, mode)} of the rate, {ratio(costs, mode)} of the time")  # fmt: skip


def ratio(figures: dict[str, list[float]], mode: str) -> str:
    """What everything on is of this, round by round: the median, and from where to where."""
    found = sorted(on / each for on, each in zip(figures["everything on"], figures[mode], strict=True))
    return f"{statistics.median(found):.2f} ({found[0]:.2f} to {found[-1]:.2f})"


if __name__ == "__main__":
    main()
