"""What slow and failing payers cost everybody else: `python -m bench.bench_payers [--seconds N] [--visits N] [--rate N]`.

A served process of the product. Reads and risk cards under a fixed rate, and the time from a finished visit to its claim at the payer, with
quiet payers alone, and beside one that hangs, one that trickles, one that answers 500 and one that answers 200 with an error.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.load import pace, request
from bench.machine import machine
from tests.integration.claims.faults_payer import WirePayer
from tests.integration.product.billing import open_accounts, visit
from tests.integration.product.clinic import Clinic, until

SLOW = ("hang", "trickle", "error", "excuse")
QUICK = ("quick-1", "quick-2")
SETTINGS = {"CHARTLOOP_CLAIMS__NOTE_WAIT_S": "0", "CHARTLOOP_CLAIMS__PAYER_TIMEOUT_S": "300", "CHARTLOOP_AUTH__TOKEN_TTL_S": "36000"}
CARD = {
    "hook": "patient-view", "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea", "context": {"userId": "Practitioner/dr", "patientId": "pat-1"},
    "prefetch": {"patient": {"resourceType": "Patient", "id": "pat-1"}, "risk": {"resourceType": "Bundle", "type": "searchset", "entry": []}},
}  # fmt: skip


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of each run of requests")
    parser.add_argument("--rate", type=float, default=50.0, help="requests a second")
    parser.add_argument("--visits", type=int, default=20, help="visits of each quick payer in a round")
    said = parser.parse_args()
    print(f"{machine()}\ncommand: python -m bench.bench_payers {' '.join(sys.argv[1:])}".rstrip())
    payers = {name: WirePayer() for name in (*SLOW, *QUICK)}
    with tempfile.TemporaryDirectory(prefix="chartloop-bench-") as name, Clinic(Path(name) / "data", environment=SETTINGS) as clinic:
        clinic.start_server()
        open_accounts(clinic.as_role("operator"), payers)
        _deliver(clinic, payers, range(2))  # warm
        measure(clinic, payers, said, "quiet", range(2, 2 + said.visits))
        for slow in SLOW:
            payers[slow].mode = slow
        for number in range(1, len(SLOW) + 1):
            visit(clinic.as_role("operator"), number, range(10))
        until(lambda: all(payers[slow].received for slow in SLOW), "the slow payers to be sent something")
        measure(clinic, payers, said, "beside slow payers", range(2 + said.visits, 2 + 2 * said.visits))
    for payer in payers.values():
        payer.stop()


def measure(clinic: Clinic, payers: dict[str, WirePayer], said: argparse.Namespace, where: str, visits: range) -> None:
    """Print reads, cards and deliveries."""
    token = clinic.as_role("operator").token
    body = json.dumps(CARD).encode()
    head = f"POST /cds-services/stroke-risk HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    for name, call in (("read", request("GET", "/fhir/Patient/pat-1", token)), ("card", head.encode() + body)):

        def endless(call: bytes = call) -> Iterator[bytes]:
            while True:
                yield call

        run = pace(clinic.port, said.rate, endless, said.seconds)
        print(f"{where:<20} {name:<10} p50 {run.percentile(0.5):>8.2f} ms  p99 {run.percentile(0.99):>8.2f} ms  n={len(run.latencies)} {run.statuses}")
    times = _deliver(clinic, payers, visits)
    print(f"{where:<20} {'delivery':<10} p50 {statistics.median(times):>8.2f} s   p99 {times[int(len(times) * 0.99)]:>8.2f} s   n={len(times)}", flush=True)


def _deliver(clinic: Clinic, payers: dict[str, WirePayer], visits: range) -> list[float]:
    """Finish visits of the quick payers one after another; return the seconds until each claim was there, in order."""
    times = []
    for each in visits:
        for number, name in enumerate(QUICK, len(SLOW) + 1):
            before, began = len(payers[name].received), time.perf_counter()
            visit(clinic.as_role("operator"), number, range(each, each + 1))
            while len(payers[name].received) == before:
                time.sleep(0.002)
            times.append(time.perf_counter() - began)
    return sorted(times)


if __name__ == "__main__":
    main()
