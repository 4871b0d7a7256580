"""The running parts of a demo: where they listen, and a client for each kind of user."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from chartloop.demo.fhir_client import FhirClient, Resource
from chartloop.demo.population_directory import CLINICIANS, PAYERS, PSYCHIATRIST, STAFF_SYSTEM
from chartloop.demo.population_ids import BASE, NPI
from chartloop.demo.processes import Parts, command, free_port
from chartloop.demo.steps import Steps

MADE_UP_PEOPLE = 20_000
EQUATION_ALONE = "LightGBM is not installed (extra `train`): the published equation predicts alone, and no card of a trained model is shown."
# Who plays which role: staff by their number, clinicians by their NPI.
STAFF_OF_ROLE = {
    "clinician": f"{NPI}|{CLINICIANS[0].npi}",
    "psychiatric-clinician": f"{NPI}|{PSYCHIATRIST.npi}",
    "coder": f"{STAFF_SYSTEM}|coder-1",
    "behavioral-health-coder": f"{STAFF_SYSTEM}|behavioral-coder-1",
    "billing-administrator": f"{STAFF_SYSTEM}|billing-1",
    "privacy-officer": f"{STAFF_SYSTEM}|privacy-1",
    "researcher": f"{STAFF_SYSTEM}|research-1",
}


class Choices(Protocol):
    """What the parts need of the demo's options."""

    @property
    def data(self) -> Path: ...
    @property
    def once(self) -> bool: ...
    @property
    def port(self) -> int: ...
    @property
    def mllp_port(self) -> int: ...
    @property
    def apps_port(self) -> int: ...
    @property
    def payer_port(self) -> int: ...
    @property
    def seed(self) -> int: ...


@dataclass(slots=True)
class Demo:
    """Addresses of the parts, and the tokens of the demo's users."""

    data: Path
    server: str
    mllp_port: int
    payer_base: str
    apps: str = ""
    _clients: dict[str, FhirClient] = field(default_factory=dict)
    _people: dict[str, Resource] = field(default_factory=dict)
    sent_identifier: str = f"{BASE}/isa13|"

    @property
    def fhir_base(self) -> str:
        return f"{self.server}/fhir"

    def user_of(self, role: str) -> str:
        """Reference of the person who plays a role."""
        return f"Practitioner/{self.person_of(role)['id']}"

    def person_of(self, role: str) -> Resource:
        """The Practitioner who plays a role."""
        if role not in self._people:
            self._people[role] = next(self.as_role("operator").each(f"Practitioner?identifier={STAFF_OF_ROLE[role]}"))
        return self._people[role]

    def as_role(self, role: str) -> FhirClient:
        """A client with a token for one role; the token lives as long as a demo runs to its end."""
        if role not in self._clients:
            arguments = ["token", "--data", str(self.data), "--role", role]
            if role in STAFF_OF_ROLE:
                arguments += ["--user", self.user_of(role)]
            self._clients[role] = FhirClient(self.fhir_base, command(arguments).strip())
        return self._clients[role]


def train_model(options: Choices, steps: Steps) -> None:
    """Train the second risk model on made-up people, once for a directory: its card says so, and counts in the demo alone.

    The parts run in this interpreter: what is not installed here, they lack too.
    """
    if find_spec("lightgbm") is None:
        steps.console.print(EQUATION_ALONE)
        return
    with steps.step("model", "Train a risk model on made-up people, beside the published equation") as counts:
        if not (options.data / "models" / "risk" / "model.json").exists():
            command(["predictions", "train", "--data", str(options.data), "--synthetic", str(MADE_UP_PEOPLE), "--seed", str(options.seed)])
        counts["made_up_people"] = MADE_UP_PEOPLE


def start_payers(parts: Parts, port: int, seed: int) -> None:
    """Start the simulated payers; they keep what they remember beside the logs of the parts."""
    named = [f"{payer.id}={payer.name}" for payer in PAYERS]
    arguments = ["chartloop.demo.payer", "--port", str(port), "--data", str(parts.data / "demo"), "--seed", str(seed), *named]
    parts.start("payer", arguments, ready=f"http://127.0.0.1:{port}/healthz")


def start_parts(parts: Parts, options: Choices, steps: Steps) -> Demo:
    """Start the payers, the server and, unless the demo runs once, the review app."""
    with steps.step("start", "Start the server, the MLLP listener and the simulated payers") as counts:
        payer_port = free_port(options.payer_port)
        start_payers(parts, payer_port, options.seed)
        port, mllp_port = free_port(options.port), free_port(options.mllp_port)
        apps_port = free_port(options.apps_port)
        demo = Demo(options.data, f"http://127.0.0.1:{port}", mllp_port, f"http://127.0.0.1:{payer_port}", f"http://127.0.0.1:{apps_port}")
        environment = {
            "CHARTLOOP_CODING__DEMO": "true",  # records certified on synthetic notes count here, and nowhere else
            "CHARTLOOP_EGRESS__ALLOW_PRIVATE": "true",  # the payers listen on 127.0.0.1
            "CHARTLOOP_CLAIMS__POLL_INTERVAL_S": "0.5",
            "CHARTLOOP_APPS__REVIEW_URL": demo.apps,
            "CHARTLOOP_PREDICTIONS__DEMO": "true",  # a model validated on made-up people counts here, and nowhere else
            "CHARTLOOP_PREDICTIONS__MIN_INTERVAL_S": "1",
        }
        serve = ["chartloop", "serve", "--data", str(options.data), "--port", str(port), "--mllp-port", str(mllp_port)]
        parts.start("server", serve, environment, ready=f"{demo.server}/readyz")
        counts["processes"] = 2
        if not options.once:
            apps = ["chartloop", "apps", "--data", str(options.data), "--port", str(apps_port), "--issuer", demo.fhir_base]
            parts.start("apps", apps, environment, ready=f"{demo.apps}/_stcore/script-health-check")
            counts["processes"] = 3
    return demo
