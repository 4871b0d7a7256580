"""Provenance of codes on a claim: which model under which calibration record, or which coder.

Spec: https://hl7.org/fhir/R4/provenance.html
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from claims.coding.systems import CALIBRATION, PARTICIPANT, SUGGESTION


def model_provenance(claim: str, notes: Sequence[str], *, model: str, record: str, suggestions: Sequence[str], recorded: str) -> dict[str, Any]:
    """Say which model put codes onto a claim, from which notes, under which calibration record."""
    return {
        "resourceType": "Provenance",
        "extension": [{"url": CALIBRATION, "valueString": record}, *({"url": SUGGESTION, "valueString": s} for s in suggestions)],
        "target": [{"reference": claim}],
        "recorded": recorded,
        "agent": [{"type": _participant("assembler"), "who": {"type": "Device", "display": f"chartloop-coder {model}"}}],
        "entity": [{"role": "source", "what": {"reference": n}} for n in notes],
    }


def coder_provenance(claim: str, task: str, notes: Sequence[str], *, coder: str, recorded: str) -> dict[str, Any]:
    """Say which coder decided the codes of a claim, in which Task."""
    who = {"reference": coder} if coder else {"display": "a coder whom the Task does not name"}
    return {
        "resourceType": "Provenance",
        "target": [{"reference": claim}],
        "recorded": recorded,
        "agent": [{"type": _participant("author"), "who": who}],
        "entity": [{"role": "source", "what": {"reference": r}} for r in (task, *notes)],
    }


def _participant(code: str) -> dict[str, Any]:
    return {"coding": [{"system": PARTICIPANT, "code": code}]}
