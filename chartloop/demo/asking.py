"""Ask for risk cards as an EHR does when a chart is opened, and hold the answers to what they promise.

Spec: https://cds-hooks.hl7.org/2.0/#calling-a-cds-service
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx

from chartloop.demo.fhir_client import FhirClient, Resource
from chartloop.demo.parts import Demo
from chartloop.demo.population_ids import BASE
from chartloop.demo.steps import Counts, StepFailed, require
from chartloop.demo.waiting import wait_for

SERVICE = "stroke-risk"
SUMMARY_MAX = 139
TOKEN_S = 300
MIN_PREDICTED = 5  # of the charts that are looked at: some people are too young for the equation, or too old
SETTLED_S = 2.5
EQUATION = f"{BASE}/CodeSystem/risk-model|prevent-stroke-10y"


@dataclass(frozen=True, slots=True)
class Answered:
    """What one chart showed: the card and the prediction behind it."""

    patient: str  # "Patient/1"
    assessment: Resource
    card: str  # its uuid


def predicted(client: FhirClient, patients: Sequence[str]) -> list[Resource]:
    """The RiskAssessments of the published equation that carry a probability, in the order of these patients ("Patient/1")."""
    found = client.each(f"RiskAssessment?method={EQUATION}&patient={','.join(patients)}&_count=200")
    by_patient = {str(each["subject"]["reference"]): each for each in found if each.get("prediction")}
    return [by_patient[patient] for patient in patients if patient in by_patient]


def wait_for_predictions(clinician: FhirClient, patients: Sequence[str]) -> list[Resource]:
    """Give the predictions of some charts once they no longer change: what came in last has been looked at."""
    seen: list[list[str]] = [[], []]

    def settled() -> bool:
        time.sleep(SETTLED_S / 2)
        seen.append([f"{each['id']}/{each['meta']['versionId']}" for each in predicted(clinician, patients)])
        return len(seen[-1]) >= MIN_PREDICTED and seen[-1] == seen[-2] == seen[-3]

    wait_for(settled, "predictions", lambda: f"{len(seen[-1])} of {len(patients)} charts")
    return predicted(clinician, patients)


def behind(assessment: Mapping[str, Any], feature: str) -> str:
    """Reference of the resource that one factor of a prediction stands on.

    Raises:
        StepFailed: The prediction does not say.
    """
    for contribution in assessment.get("extension", ()):
        facts = {part["url"]: part for part in contribution.get("extension", ())}
        if facts.get("feature", {}).get("valueCode") == feature and "basis" in facts:
            return str(facts["basis"]["valueReference"]["reference"])
    raise StepFailed(f"a prediction does not say what its {feature} stands on")


def ask(demo: Demo, assessments: Sequence[Resource], counts: Counts) -> list[Answered]:
    """Open every chart that has a prediction; then one without any right, and one that may not see predictions.

    Raises:
        StepFailed: A card is missing, too long, critical, or shown to somebody who may not see it.
    """
    clinician = demo.as_role("clinician")
    services = httpx.get(f"{demo.server}/cds-services", timeout=10, trust_env=False).json()["services"]
    service = next((each for each in services if each["id"] == SERVICE), None)
    require(service is not None and service["hook"] == "patient-view", "no stroke-risk service for patient-view is offered")
    answered = [_open(demo, clinician, assessment) for assessment in assessments]
    counts["charts_opened"] = len(answered)
    counts["cards"] = len({each.card for each in answered})
    _refused(demo, answered[0], counts)
    return answered


def _open(demo: Demo, client: FhirClient, assessment: Resource) -> Answered:
    patient = str(assessment["subject"]["reference"])
    cards = call(demo, patient, _authorization(demo, client, patient)).json()["cards"]
    for card in cards:
        require(len(card["summary"]) <= SUMMARY_MAX, "a card's summary is too long")
        require(card["indicator"] in {"info", "warning"}, "a model alone called something critical")
    mine = next((card for card in cards if _names(card, str(assessment["id"]))), None)
    if mine is None:
        raise StepFailed(f"no card stands on the prediction of {patient}")
    return Answered(patient, assessment, str(mine["uuid"]))


def _names(card: Mapping[str, Any], assessment_id: str) -> bool:
    return any(assessment_id in str(link.get("appContext", "")) for link in card.get("links", ()))


def _refused(demo: Demo, shown: Answered, counts: Counts) -> None:
    """No authorization, no rights beyond the prefetch; no right to predictions, no card."""
    bare = call(demo, shown.patient, {})
    require(bare.status_code == 412, f"a call without authorization or prefetch answered {bare.status_code}")
    billing = call(demo, shown.patient, _authorization(demo, demo.as_role("billing-administrator"), shown.patient))
    require(not (billing.status_code == 200 and billing.json()["cards"]), "somebody who may not see predictions saw a card")
    nothing = call(demo, shown.patient, {}, {"patient": None, "risk": None})
    require(nothing.status_code == 200 and not nothing.json()["cards"], "a prefetch without data gave a card")
    counts["refusals_checked"] = 3


def _authorization(demo: Demo, client: FhirClient, patient: str) -> dict[str, Any]:
    scope = "patient/Patient.rs patient/RiskAssessment.rs patient/Observation.rs"
    granted = {"access_token": client.token, "token_type": "Bearer", "expires_in": TOKEN_S, "scope": scope, "subject": "demo-ehr"}
    return {"fhirServer": demo.fhir_base, "fhirAuthorization": {**granted, "patient": patient.removeprefix("Patient/")}}


def call(demo: Demo, patient: str, authorization: Mapping[str, Any], prefetch: Mapping[str, Any] | None = None) -> httpx.Response:
    """Send one patient-view request."""
    request: dict[str, Any] = {
        "hook": "patient-view",
        "hookInstance": str(uuid4()),
        "context": {"userId": demo.user_of("clinician"), "patientId": patient.removeprefix("Patient/")},
        **authorization,
    }
    if prefetch is not None:
        request["prefetch"] = dict(prefetch)
    return httpx.post(f"{demo.server}/cds-services/{SERVICE}", json=request, timeout=10, trust_env=False)
