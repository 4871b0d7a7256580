"""A clinic that fault tests disturb: the payers, the server and the listener as processes, driven over HTTP and MLLP alone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, TypeVar

import httpx

from chartloop.demo.fhir_client import FhirClient, FhirFailed, Resource
from chartloop.demo.messages import Visit, visit_messages
from chartloop.demo.mllp_client import MllpClient
from chartloop.demo.parts import Demo, start_payers
from chartloop.demo.population import Population, generate
from chartloop.demo.population_directory import PAYERS
from chartloop.demo.processes import Parts, command, free_port
from chartloop.demo.scripted_coder import OPEN_REVIEWS, review
from chartloop.demo.visiting import Visits

T = TypeVar("T")
SYSTEM = "https://chartloop.example/fhir"
HONEST = {"outage_rate": 0, "deny_rate": 0, "underpay_rate": 0, "split_rate": 0, "delay_s": 0}
"""A payer that takes every claim at the first try, and pays it at once."""
ENVIRONMENT = {
    "PYTHONFAULTHANDLER": "1",  # a crash of native code says where
    "CHARTLOOP_CODING__DEMO": "true",
    "CHARTLOOP_EGRESS__ALLOW_PRIVATE": "true",
    "CHARTLOOP_CLAIMS__POLL_INTERVAL_S": "0.2",
    "CHARTLOOP_CLAIMS__PAYER_TIMEOUT_S": "3",
    "CHARTLOOP_DATABASE__BUSY_TIMEOUT_S": "1",
}


def until(look: Callable[[], T], what: str, *, timeout_s: float = 150.0) -> T:
    """Look again and again until something true is seen."""
    deadline = time.monotonic() + timeout_s
    while True:
        seen = look()
        if seen:
            return seen
        assert time.monotonic() < deadline, f"waited {timeout_s:.0f} s for {what}"
        time.sleep(0.1)


@dataclass
class Clinic:
    """One data directory, its processes and its people; leaving it ends every process."""

    data: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    patients: int = 30

    def __post_init__(self) -> None:
        self.parts = Parts(self.data)
        self.port, self.mllp_port, self.payer_port = free_port(0), free_port(0), free_port(0)
        self.demo = Demo(self.data, f"http://127.0.0.1:{self.port}", self.mllp_port, f"http://127.0.0.1:{self.payer_port}")
        self.population: Population = generate(patients=self.patients, payer_address=self.demo.payer_base)

    def __enter__(self) -> Self:
        self.parts.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.parts.__exit__(*error)

    # processes

    def start(self) -> Self:
        """Start payers that are honest, and the server with everything in it."""
        self.start_payers()
        self.start_server()
        return self

    def start_payers(self) -> None:
        start_payers(self.parts, self.payer_port, seed=1)
        for payer in PAYERS:
            self.behave(payer.id, **HONEST)

    def start_server(self) -> None:
        serve = ["chartloop", "serve", "--data", str(self.data), "--port", str(self.port), "--mllp-port", str(self.mllp_port)]
        self.parts.start("server", serve, {**ENVIRONMENT, **self.environment}, ready=f"{self.demo.server}/readyz")

    def start_alone(self, name: str, *arguments: str) -> None:
        """Start `chartloop work` or `mllp`, which have no page that says they are ready."""
        log = (self.data / "demo" / f"{name}.log").open("ab")
        with log:
            self.parts.running[name] = subprocess.Popen(
                [sys.executable, "-m", "chartloop", name, "--data", str(self.data), *arguments],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **ENVIRONMENT, **self.environment}, start_new_session=True,
            )  # fmt: skip

    def kill(self, name: str = "server") -> int:
        """`kill -9` of a part with everything that it started; return the number of its session."""
        process = self.parts.running.pop(name)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        until(lambda: not session_members(process.pid), "the last of its processes to end")
        return process.pid

    def serving_process(self) -> int:
        """The process of the server that has the store open."""
        database = str(self.data / "chartloop.sqlite3")
        for process in session_members(self.parts.running["server"].pid):
            if any(link.is_symlink() and os.readlink(link) == database for link in Path(f"/proc/{process}/fd").iterdir()):
                return process
        raise AssertionError("no process has the store open")

    def chartloop(self, *arguments: str) -> str:
        """Run a command on this clinic's data directory."""
        return command([*arguments, "--data", str(self.data)], self.environment)

    def log(self, name: str = "server") -> str:
        return (self.data / "demo" / f"{name}.log").read_text(encoding="utf-8", errors="replace")

    # payers

    def behave(self, payer: str, **behaviour: object) -> None:
        answer = httpx.post(f"{self.demo.payer_base}/behaviour", json={"payer": payer, **behaviour}, timeout=10, trust_env=False)
        assert answer.status_code == 200, answer.text

    def stats(self) -> dict[str, dict[str, int]]:
        found: dict[str, dict[str, int]] = httpx.get(f"{self.demo.payer_base}/stats", timeout=10, trust_env=False).json()
        return found

    # people

    def as_role(self, role: str) -> FhirClient:
        return self.demo.as_role(role)

    def load(self, visits: Iterable[Visit]) -> None:
        """Load the directory, and the patients of some visits."""
        operator = self.as_role("operator")
        operator.transaction(self.population.directory)
        people = {person.mrn: bundle for person, bundle in zip(self.population.people, self.population.bundles, strict=True)}
        for visit in visits:
            operator.transaction(people[visit.person.mrn])

    def visits_of(self, payer: str) -> list[Visit]:
        """Visits whose claims go to a payer; none of them with psychiatry."""
        return [visit for visit in self.population.visits if visit.person.payer.id == payer and not visit.psychiatric]

    def send(self, visits: Iterable[Visit]) -> None:
        """Send the messages of visits; a message that is not accepted fails the test."""
        with MllpClient("127.0.0.1", self.mllp_port) as client:
            for visit in visits:
                for message in visit_messages(visit):
                    client.deliver(message.text)

    def review_what_waits(self, visits: Sequence[Visit]) -> int:
        """Let the scripted coder decide every open review; return how many there were."""
        client, known, count = self.as_role("behavioral-health-coder"), Visits(visits), 0
        for task in list(client.each(OPEN_REVIEWS)):
            review(client, task, self.demo.user_of("behavioral-health-coder"), known.codes_of(client, task))
            count += 1
        return count

    def sent(self) -> int:
        return self.as_role("billing-administrator").total(f"Claim?status=active&identifier={self.demo.sent_identifier}")

    def settled(self) -> int:
        """Claims that a payer has paid or refused."""
        return self.as_role("billing-administrator").total("ClaimResponse?outcome=complete,partial,error")

    def finish(self, visits: Sequence[Visit], settled: int | None = None) -> None:
        """Review and wait until the claims of all visits have their final answers."""
        wanted = len(visits) if settled is None else settled

        def look() -> bool:
            try:
                self.review_what_waits(visits)
                return self.settled() >= wanted
            except (FhirFailed, httpx.TransportError):
                return False  # somebody else wrote the Task, or the server is being killed

        until(look, f"{wanted} claims to be settled", timeout_s=240)

    def trace(self, wanted: str) -> list[dict[str, str]]:
        steps: list[dict[str, str]] = json.loads(self.chartloop("claims", "trace", wanted, "--json"))["steps"]
        return steps

    def claims(self) -> list[Resource]:
        return list(self.as_role("billing-administrator").each("Claim?_count=200"))

    def interchange_state(self, claim: str) -> str:
        return next((step["state"] for step in self.trace(claim) if step["kind"] == "isa13"), "")

    def assert_each_claim_once(self, count: int) -> None:
        """The store holds each claim once, the payers count each once, and nobody was sent anything twice."""
        claims = self.claims()
        encounters = [i["value"] for claim in claims for i in claim["identifier"] if i["system"] == f"{SYSTEM}/claim-of-encounter"]
        assert len(claims) == len(set(encounters)) == count
        stats = self.stats().values()
        assert sum(payer["distinct_claims"] for payer in stats) == count
        assert sum(payer["duplicates"] + payer["repeated"] for payer in stats) == 0

    def assert_audit_holds(self) -> None:
        report = json.loads(self.chartloop("audit", "verify", "--json"))
        assert (report["ok"], report["problems"]) == (True, [])


def session_members(session: int) -> list[int]:
    """Processes of a session that are alive."""
    found = []
    for directory in Path("/proc").iterdir():
        if not directory.name.isdigit():
            continue
        try:
            fields = (directory / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(directory.name))
    return found
