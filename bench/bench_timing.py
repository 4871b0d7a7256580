"""How long a refusal takes: `python -m bench.bench_timing [--samples 1000]`: of what is forbidden and of what does not exist, asked in turns, over WSGI.

A reader who could tell the two apart by the clock would learn that something is there. Printed are both medians, and the Kolmogorov-Smirnov statistic of the
two samples beside that of the missing with itself (every other one): what the noise of this machine makes of equal things. p is the chance of such a statistic
if both were the same.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from werkzeug.test import Client

from bench.bench_flatness import BASE, OPERATOR, open_door
from bench.machine import machine
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from fhir_server.http.calls import Gate, Limits
from fhir_server.repository import Repository
from fhir_server.store import Store
from fhir_server.wsgi import fhir_wsgi

SEED = 7
ROWS = 300
PSY = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PSY"}]}
READER = Subject(id="bench", role="clinician", user="Practitioner/1", scopes=("user/*.cruds",))
FHIR = "application/fhir+json"


class Asked(NamedTuple):
    """A request about one id, which stands where {} does."""

    method: str
    path: str
    body: str = ""
    type: str = FHIR


def batch(count: int) -> Asked:
    """Many reads of one id in one request, which multiply what a clock can see."""
    entry = '{"request":{"method":"GET","url":"Observation/{}"}}'
    return Asked("POST", "", f'{{"resourceType":"Bundle","type":"batch","entry":[{",".join([entry] * count)}]}}')


ASKED = {
    "read": Asked("GET", "Observation/{}"),
    "vread": Asked("GET", "Observation/{}/_history/1"),
    "history": Asked("GET", "Observation/{}/_history"),
    "search by _id": Asked("GET", "Observation?_id={}"),
    "_has": Asked("GET", "Patient?_id=p1&_has:Observation:patient:_id={}"),
    "$meta": Asked("GET", "Observation/{}/$meta"),
    "update": Asked("PUT", "Observation/{}", '{"resourceType":"Observation","id":"{}","status":"final","code":{"text":"x"}}'),
    "patch": Asked("PATCH", "Observation/{}", "[]", "application/json-patch+json"),
    "delete": Asked("DELETE", "Observation/{}"),
    "batch of 1": batch(1),
    "batch of 20": batch(20),
}


def fill(store: Store) -> None:
    """A patient whom the reader treats, and as many labelled readings as open ones."""
    door, scope = Repository(store), Scope(OPERATOR, "load")
    door.update(scope, "Patient", "p1", {"resourceType": "Patient", "id": "p1", "generalPractitioner": [{"reference": "Practitioner/1"}]})
    for number in range(ROWS):
        for name, more in (("hidden", {"meta": PSY}), ("open", {})):
            body = {"resourceType": "Observation", "id": f"{name}{number}", "status": "final", "code": {"text": "x"}, "subject": {"reference": "Patient/p1"}, **more}
            door.update(scope, "Observation", f"{name}{number}", body)


def client(store: Store, reader: Subject) -> Callable[[Asked, str], int]:
    """Ask over WSGI; return the status."""
    made = Client(fhir_wsgi(Gate(Repository(store), lambda _: reader, BASE, Limits())))

    def ask(asked: Asked, id_: str) -> int:
        headers = {"Authorization": "Bearer x", **({"Content-Type": asked.type} if asked.body else {})}
        path = f"/fhir/{asked.path}".rstrip("/").replace("{}", id_)
        return made.open(path, method=asked.method, headers=headers, data=asked.body.replace("{}", id_) or None).status_code

    return ask


def sample(ask: Callable[[Asked, str], int], asked: Asked, samples: int, dice: random.Random) -> tuple[list[float], list[float]]:
    """Time both in turns, in a random order, in microseconds; ids have the same length."""
    took: dict[str, list[float]] = {"hidden": [], "absent": []}
    for _ in range(samples):
        for name in dice.sample(sorted(took), 2):
            id_ = f"{name}{dice.randrange(ROWS)}"
            began = time.perf_counter()
            ask(asked, id_)
            took[name].append((time.perf_counter() - began) * 1e6)
    return took["hidden"], took["absent"]


def kolmogorov_smirnov(one: Sequence[float], other: Sequence[float]) -> tuple[float, float]:
    """Largest distance of the two distributions, and its chance if they were one (asymptotic)."""
    events = sorted([(value, 1 / len(one)) for value in one] + [(value, -1 / len(other)) for value in other])
    height = largest = 0.0
    for place, (value, step) in enumerate(events):
        height += step
        if place + 1 == len(events) or events[place + 1][0] != value:
            largest = max(largest, abs(height))
    root = math.sqrt(len(one) * len(other) / (len(one) + len(other)))
    scaled = (root + 0.12 + 0.11 / root) * largest
    chance = 2 * sum((-1) ** (k - 1) * math.exp(-2 * (k * scaled) ** 2) for k in range(1, 101)) if scaled > 0.2 else 1.0
    return largest, min(max(chance, 0.0), 1.0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=1000)
    samples = parser.parse_args().samples
    print(f"python -m bench.bench_timing --samples {samples}; seed {SEED}; {machine()}; SQLite, {ROWS} hidden rows")
    print(f"{'asked':<16}{'forbidden p50':>15}{'missing p50':>15}{'KS':>8}{'p':>8}{'KS of noise':>13}")
    with tempfile.TemporaryDirectory() as home:
        database, store = open_door(f"sqlite:///{home}/timing.sqlite3", Path(home) / "data")
        fill(store)
        ask, dice = client(store, READER), random.Random(SEED)
        for name, asked in ASKED.items():
            sample(ask, asked, 50, dice)
            hidden, absent = sample(ask, asked, samples, dice)
            far, chance = kolmogorov_smirnov(hidden, absent)
            noise, _ = kolmogorov_smirnov(absent[::2], absent[1::2])
            print(f"{name:<16}{statistics.median(hidden):>12.0f} µs{statistics.median(absent):>12.0f} µs{far:>8.3f}{chance:>8.3f}{noise:>13.3f}", flush=True)
        database.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
