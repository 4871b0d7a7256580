"""What the service says of itself, and the prefetch templates it asks for.

Spec: https://cds-hooks.hl7.org/2.0/#discovery, https://cds-hooks.hl7.org/2.0/#prefetch-template
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from cds_hooks.risk_models import RISK_MODEL, RISK_MODELS

SERVICE: Final = "stroke-risk"
HOOK: Final = "patient-view"
PATIENT: Final = "patient"
RISK: Final = "risk"

_IN_CONTEXT: Final = "{{context.patientId}}"
_METHODS: Final = ",".join(f"{RISK_MODEL}|{model}" for model in RISK_MODELS)
# The methods are named one by one: a token search for a system alone is not built, and a chart may hold assessments of others.
_SEARCH: Final = f"patient={_IN_CONTEXT}&method={_METHODS}&_sort=-date&_count=10"

PREFETCH: Final[Mapping[str, str]] = MappingProxyType({PATIENT: f"Patient/{_IN_CONTEXT}", RISK: f"RiskAssessment?{_SEARCH}"})


def risk_query(patient: str) -> str:
    """The search behind the prefetch key `risk`, for one patient id."""
    return _SEARCH.replace(_IN_CONTEXT, patient)


def services() -> list[dict[str, Any]]:
    """Every service of this server, as discovery lists them."""
    return [
        {
            "hook": HOOK,
            "id": SERVICE,
            "title": "Stroke risk",
            "description": "Shows the stored prediction of a stroke beside its baseline, with the values that moved it most and what was not recorded.",
            "prefetch": dict(PREFETCH),
            "usageRequirements": "Answers from predictions stored on this FHIR server and computes nothing. Without the prefetch key `risk` it needs fhirServer and"
            " fhirAuthorization of this server with the right to search RiskAssessment; `patient` is optional.",
        }
    ]
