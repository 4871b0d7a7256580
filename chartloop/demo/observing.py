"""What is measured of the patients: results and vital signs as ORU^R01 over MLLP, and what their own devices send."""

from __future__ import annotations

from collections.abc import Sequence

import httpx

from chartloop.demo.fhir_client import FhirClient
from chartloop.demo.messages import Visit
from chartloop.demo.messages_results import results_message
from chartloop.demo.mllp_client import MllpClient
from chartloop.demo.parts import Demo
from chartloop.demo.steps import Counts, require
from chartloop.demo.telemetry import Payload, payloads

PATIENTS_WITH_DEVICES = 3
NAIVE = b'{"recordType":"egv","recordVersion":"3.0","userId":"u","records":[{"recordId":"1","displayTime":"2026-11-16T01:00:00","value":100,"unit":"mg/dL"}]}'


def send_results(demo: Demo, visits: Sequence[Visit], counts: Counts, seed: int) -> None:
    """Send one ORU^R01 for each visit; what was sent before changes nothing."""
    with MllpClient("127.0.0.1", demo.mllp_port) as client:
        for visit in visits:
            client.deliver(results_message(visit, seed).text)
    counts["messages"] = len(visits)


def send_telemetry(demo: Demo, visits: Sequence[Visit], counts: Counts, seed: int) -> None:
    """Upload what the devices of a few patients recorded, some of it twice, and something that has to be refused.

    Raises:
        StepFailed: An upload was refused, a repetition changed something, or a time without an offset was taken.
    """
    client = demo.as_role("integration-engine")
    counts.update({"uploads": 0, "readings": 0})
    for visit in visits[:PATIENTS_WITH_DEVICES]:
        patient = patient_of(client, visit)
        for payload in payloads(visit.person.mrn, visit.start.date(), seed):
            for repeated in (False, True):
                answer = _upload(demo, client, payload, patient)
                require(answer.status_code in {200, 201}, f"{payload.vendor} telemetry answered {answer.status_code}")
                facts = answer.json()
                require(not (repeated and facts["new"]), "the same upload brought something new")
                counts["uploads"] += 1
                counts["readings"] += facts["new"]
    refused = _upload(demo, client, Payload("dexcom", "application/json", NAIVE), patient)
    require(refused.status_code == 422 and "records[0]" in refused.text, "a time without an offset was not refused with its place")
    counts["refused"] = 1


def patient_of(client: FhirClient, visit: Visit) -> str:
    """Reference of the patient of a visit."""
    person = visit.person
    return next(f"Patient/{found['id']}" for found in client.each(f"Patient?identifier={person.mrn_system}|{person.mrn}"))


def _upload(demo: Demo, client: FhirClient, payload: Payload, patient: str) -> httpx.Response:
    return httpx.post(
        f"{demo.server}/intake/telemetry/{payload.vendor}",
        params={"subject": patient},
        content=payload.body,
        headers={"Authorization": f"Bearer {client.token}", "Content-Type": payload.media_type},
        timeout=60,
        trust_env=False,
    )
