"""Literal requests and stored predictions, in the shape that the risk engine writes."""

from __future__ import annotations

import copy
import json
from typing import Any

BASE = "https://chartloop.example/fhir"
ROOT = "http://127.0.0.1:8080"
FHIR = f"{ROOT}/fhir"
INSTANCE = "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea"
PREVENT = "prevent-stroke-10y"
LIGHTGBM = "lightgbm-stroke"
KEY = b"0123456789abcdef0123456789abcdef"


def contribution(feature: str, label: str, value: dict[str, Any], log_odds: float, date: str = "2026-11-20T09:00:00Z") -> dict[str, Any]:
    return {
        "url": f"{BASE}/StructureDefinition/risk-contribution",
        "extension": [
            {"url": "feature", "valueCode": feature},
            {"url": "label", "valueString": label},
            value,
            {"url": "date", "valueDateTime": date},
            {"url": "contribution", "valueDecimal": log_odds},
            {"url": "basis", "valueReference": {"reference": "Observation/o1"}},
        ],
    }


def quantity(value: float, unit: str) -> dict[str, Any]:
    return {"url": "valueQuantity", "valueQuantity": {"value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit}}


def words(text: str) -> dict[str, Any]:
    return {"url": "valueString", "valueString": text}


RISK: dict[str, Any] = {
    "resourceType": "RiskAssessment",
    "id": "r1",
    "meta": {"versionId": "3", "lastUpdated": "2026-11-22T07:00:00.100Z"},
    "identifier": [{"system": f"{BASE}/risk", "value": f"{PREVENT}|p1"}],
    "status": "final",
    "method": {"coding": [{"system": f"{BASE}/CodeSystem/risk-model", "code": PREVENT, "version": "1.0.0", "display": "AHA PREVENT 2023, stroke, 10 years"}]},
    "code": {"coding": [{"system": f"{BASE}/CodeSystem/risk", "code": "stroke-10y"}], "text": "10-year risk of stroke"},
    "subject": {"reference": "Patient/p1"},
    "occurrenceDateTime": "2026-11-22T07:00:00.000Z",
    "basis": [{"reference": "Observation/o1"}],
    "prediction": [{
        "outcome": {"coding": [{"system": "http://snomed.info/sct", "code": "230690007"}], "text": "Stroke"},
        "probabilityDecimal": 0.054,
        "relativeRisk": 1.9,
        "whenRange": {"low": {"value": 0, "system": "http://unitsofmeasure.org", "code": "a"}, "high": {"value": 10, "system": "http://unitsofmeasure.org", "code": "a"}},
    }],
    "extension": [
        {"url": f"{BASE}/StructureDefinition/risk-baseline", "extension": [
            {"url": "probability", "valueDecimal": 0.028},
            {"url": "text", "valueString": "a woman of 60 with the reference values of the equation"},
        ]},
        contribution("systolic-blood-pressure", "Systolic blood pressure", quantity(158, "mm[Hg]"), 0.4183),
        contribution("current-smoker", "Current smoker", words("yes"), 0.31, "2026-10-02"),
        contribution("egfr", "Estimated GFR", quantity(92, "mL/min/{1.73_m2}"), -0.0442, "2026-09-01T08:00:00+02:00"),
        {"url": f"{BASE}/StructureDefinition/risk-missing", "valueString": "HDL cholesterol"},
        {"url": f"{BASE}/StructureDefinition/risk-input", "valueString": "7d865e959b2466918c9863afca942d0fb89d7c9ac0c99bafc3749504ded97730"},
    ],
}  # fmt: skip


def risk(**changes: Any) -> dict[str, Any]:
    """The prediction with other members; None takes one away."""
    changed = {**copy.deepcopy(RISK), **changes}
    return {name: value for name, value in changed.items() if value is not None}


def learned(probability: float = 0.09, **changes: Any) -> dict[str, Any]:
    """A prediction of the learned model."""
    found = risk(id="r2", **changes)
    found["method"]["coding"][0].update(code=LIGHTGBM, version="sha256-ab12", display="LightGBM, stroke")
    if "prediction" in found:
        found["prediction"][0]["probabilityDecimal"] = probability
    found["extension"].append({"url": f"{BASE}/StructureDefinition/risk-labels-source", "valueString": "synthetic patients of the demo; no real outcome"})
    return found


def incomplete() -> dict[str, Any]:
    """What is stored where inputs were not enough."""
    found = risk(status="preliminary", prediction=None)
    missing = f"{BASE}/StructureDefinition/risk-missing"
    found["extension"] = [{"url": missing, "valueString": "HDL cholesterol"}, {"url": missing, "valueString": "smoking status"}]
    return found


def bundle(*resources: dict[str, Any], following: bool = False) -> dict[str, Any]:
    found: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": resource, "search": {"mode": "match"}} for resource in resources]}
    if following:
        found["link"] = [{"relation": "next", "url": f"{FHIR}/RiskAssessment?_cursor=x"}]
    return found


OUTCOME = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "exception", "diagnostics": "the search failed"}]}


def call(**changes: Any) -> dict[str, Any]:
    """A patient-view call without authorization, with a whole prefetch; None takes a member away."""
    made = {
        "hook": "patient-view",
        "hookInstance": INSTANCE,
        "context": {"userId": "Practitioner/1", "patientId": "p1"},
        "prefetch": {"patient": {"resourceType": "Patient", "id": "p1"}, "risk": bundle(RISK)},
    }
    changed = {**made, **changes}
    return {name: value for name, value in changed.items() if value is not None}


def authorization(token: str, **changes: Any) -> dict[str, Any]:
    return {"access_token": token, "token_type": "Bearer", "expires_in": 300, "scope": "user/RiskAssessment.rs", "subject": "chartloop-cds", **changes}


def encoded(value: Any) -> bytes:
    return json.dumps(value).encode()
