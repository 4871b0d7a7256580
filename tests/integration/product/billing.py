"""Claims for many payers, made through the FHIR API alone: a clinic, a person with a coverage for each payer, finished visits with charges."""

from __future__ import annotations

import json
import statistics
import time
from typing import Any

import httpx

from chartloop.demo.fhir_client import FhirClient
from tests.integration.claims.faults_payer import WirePayer
from tests.integration.claims.world import World

Resource = dict[str, Any]


class Sheet:
    """Resources of one payer's patients, in the shapes that the claims tests use."""

    payer, people, charge, encounter = World.payer, World.people, World.charge, World.encounter

    def __init__(self, number: int) -> None:
        self.number = number
        self.resources: list[Resource] = []

    def put(self, resource: Resource) -> None:
        """Keep a resource, its person and coverage named after the payer."""
        text = json.dumps(resource, default=float)
        for name in ("pat", "cov"):
            text = text.replace(f'"{name}"', f'"{name}-{self.number}"').replace(f'/{name}"', f'/{name}-{self.number}"')
        self.resources.append(json.loads(text))


def open_accounts(client: FhirClient, payers: dict[str, WirePayer]) -> None:
    """Store every payer with its address, and a person whom it covers."""
    for number, (payer, wire) in enumerate(payers.items(), 1):
        sheet = Sheet(number)
        sheet.payer(payer, wire.address, number=str(number))
        sheet.people(payer=str(number))
        _store(client, sheet.resources)


def visit(client: FhirClient, number: int, visits: range) -> None:
    """Store finished visits of a payer's person, each with a charge: a claim of each follows."""
    sheet = Sheet(number)
    for each in visits:
        encounter = f"visit-{number}-{each}"
        sheet.charge(f"{number}-{each}", encounter=encounter)
        sheet.encounter(encounter)
    _store(client, sheet.resources)


def _store(client: FhirClient, resources: list[Resource]) -> None:
    entries = [{"resource": each, "request": {"method": "PUT", "url": f"{each['resourceType']}/{each['id']}"}} for each in resources]
    client.transaction({"resourceType": "Bundle", "type": "transaction", "entry": entries})


def read_times_s(client: FhirClient, path: str, count: int) -> list[float]:
    """Seconds of many reads over one connection."""
    with httpx.Client(trust_env=False, headers={"Authorization": f"Bearer {client.token}"}, timeout=60) as http:
        return [_timed(lambda: http.get(f"{client.base}/{path}").raise_for_status()) for _ in range(count)]


def card_times_s(server: str, count: int) -> list[float]:
    """Seconds of many calls of the risk service, everything prefetched: a patient, and no prediction."""
    patient = {"resourceType": "Patient", "id": "pat-1"}
    call = {
        "hook": "patient-view", "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea", "context": {"userId": "Practitioner/dr", "patientId": "pat-1"},
        "prefetch": {"patient": patient, "risk": {"resourceType": "Bundle", "type": "searchset", "entry": []}},
    }  # fmt: skip
    with httpx.Client(trust_env=False, timeout=60) as http:
        return [_timed(lambda: http.post(f"{server}/cds-services/stroke-risk", json=call).raise_for_status()) for _ in range(count)]


def _timed(action: Any) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def ratio(beside: list[float], quiet: list[float]) -> float:
    """How many times as long the middle one took."""
    return statistics.median(beside) / statistics.median(quiet)
