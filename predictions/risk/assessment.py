"""A prediction as a RiskAssessment, and the Provenance of each of its versions; pure.

One RiskAssessment per patient and model is updated in place: its history is the trend. Its id follows from both, so that there can be no
second one. What it was computed from is hashed into it; the same inputs make no new version.
Spec: https://hl7.org/fhir/R4/riskassessment.html
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from predictions.risk.features import SHOWN_UNITS, Features
from predictions.risk.model import Contribution, Insufficient, Prediction, Quantity, RiskModel
from predictions.risk.systems import (
    BASELINE,
    CONTRIBUTION,
    IDENTIFIER,
    INPUT,
    LABELS_SOURCE,
    MISSING,
    MODEL,
    MODEL_IDENTIFIER,
    PARTICIPANT,
    RISK,
    SNOMED,
    UCUM,
)

DIGITS = 12
"""Digits that are stored of probabilities and log-odds: more than anybody reads, so that who adds the contributions up finds the sum."""


def assessment_id(model_id: str, patient: str) -> str:
    """Return the id of the one RiskAssessment of a model and a patient."""
    return hashlib.sha256(f"{model_id}|{patient}".encode()).hexdigest()[:32]


def input_hash(model: RiskModel, features: Features) -> str:
    """Return the SHA-256 of the model's version and every value, date and source that it was given."""
    values = {name: [value.value, value.date, value.said, sorted(map(unversioned, value.basis))] for name, value in sorted(features.values.items())}
    said = [model.id, model.version, features.patient, features.sex, values]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def risk_assessment(model: RiskModel, features: Features, outcome: Prediction | Insufficient, *, at: str) -> dict[str, Any]:
    """Write what a model says of a patient, or what it lacks (status preliminary, no prediction)."""
    said: dict[str, Any] = {
        **_head(model, features.patient, at),
        "status": "final" if isinstance(outcome, Prediction) else "preliminary",
        "extension": [*_extensions(outcome), {"url": INPUT, "valueString": input_hash(model, features)}],
    }
    if model.labels_source:
        said["extension"].append({"url": LABELS_SOURCE, "valueString": model.labels_source})
    basis = sorted({unversioned(reference) for feature in features.values.values() for reference in feature.basis if not reference.startswith("Patient/")})
    if basis:
        said["basis"] = [{"reference": reference} for reference in basis]
    if isinstance(outcome, Prediction):
        said["prediction"] = [_prediction(model, outcome)]
    return said


def withdrawn(model: RiskModel, patient: str, *, at: str) -> dict[str, Any]:
    """Write that there is no prediction any more: the patient died, or the record was deleted."""
    return {**_head(model, patient, at), "status": "cancelled"}


def provenance(model: RiskModel, name: str, version: int, features: Features, *, at: str) -> dict[str, Any]:
    """Say which model made a version of a RiskAssessment, from which versions of which resources."""
    sources = sorted({reference for feature in features.values.values() for reference in feature.basis})
    who = {"type": "Device", "identifier": {"system": MODEL_IDENTIFIER, "value": f"{model.id}|{model.version}"}, "display": model.title}
    return {
        "resourceType": "Provenance",
        "target": [{"reference": f"{name}/_history/{version}"}],
        "recorded": at,
        "activity": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-DataOperation", "code": "CREATE" if version == 1 else "UPDATE"}]},
        "agent": [{"type": {"coding": [{"system": PARTICIPANT, "code": "assembler"}]}, "who": who}],
        **({"entity": [{"role": "source", "what": {"reference": reference}} for reference in sources]} if sources else {}),
    }


def stored_hash(resource: Mapping[str, Any]) -> str:
    """Return the input hash of a stored RiskAssessment, "" if it has none."""
    return next((str(e.get("valueString", "")) for e in resource.get("extension", ()) if e.get("url") == INPUT), "")


def unversioned(reference: str) -> str:
    """Return a reference without its version."""
    return reference.partition("/_history/")[0]


def _head(model: RiskModel, patient: str, at: str) -> dict[str, Any]:
    id_ = patient.partition("/")[2]
    return {
        "resourceType": "RiskAssessment",
        "id": assessment_id(model.id, patient),
        "identifier": [{"system": IDENTIFIER, "value": f"{model.id}|{id_}"}],
        "status": "",
        "method": {"coding": [{"system": MODEL, "code": model.id, "version": model.version, "display": model.title}]},
        "code": {"coding": [{"system": RISK, "code": f"stroke-{model.years:g}y"}], "text": f"{model.years:g}-year risk of stroke"},
        "subject": {"reference": patient},
        "occurrenceDateTime": at,
    }


def _prediction(model: RiskModel, outcome: Prediction) -> dict[str, Any]:
    return {
        "outcome": {"coding": [{"system": SNOMED, "code": "230690007"}], "text": "Stroke"},
        "probabilityDecimal": round(outcome.probability, DIGITS),
        "relativeRisk": round(outcome.probability / outcome.baseline, 4),
        "whenRange": {"low": _quantity(Quantity(0, "a")), "high": _quantity(Quantity(model.years, "a"))},
    }


def _extensions(outcome: Prediction | Insufficient) -> Iterator[dict[str, Any]]:
    if isinstance(outcome, Prediction):
        baseline = [{"url": "probability", "valueDecimal": round(outcome.baseline, DIGITS)}, {"url": "text", "valueString": outcome.baseline_text}]
        yield {"url": BASELINE, "extension": baseline}
        for contribution in sorted(outcome.contributions, key=lambda c: (-abs(c.log_odds), c.feature)):
            yield {"url": CONTRIBUTION, "extension": list(_contribution(contribution))}
    for text in outcome.missing:
        yield {"url": MISSING, "valueString": text}


def _contribution(contribution: Contribution) -> Iterable[dict[str, Any]]:
    yield {"url": "feature", "valueCode": contribution.feature}
    yield {"url": "label", "valueString": contribution.label}
    if isinstance(contribution.value, Quantity):
        yield {"url": "valueQuantity", "valueQuantity": _quantity(contribution.value)}
    else:
        yield {"url": "valueString", "valueString": contribution.value}
    if contribution.date:
        yield {"url": "date", "valueDateTime": contribution.date}
    yield {"url": "contribution", "valueDecimal": round(contribution.log_odds, DIGITS) + 0.0}  # never -0.0
    for reference in contribution.basis:
        yield {"url": "basis", "valueReference": {"reference": unversioned(reference)}}


def _quantity(quantity: Quantity) -> dict[str, Any]:
    value = int(quantity.value) if quantity.value == int(quantity.value) else quantity.value
    return {"value": value, "unit": SHOWN_UNITS.get(quantity.unit, quantity.unit), "system": UCUM, "code": quantity.unit}
