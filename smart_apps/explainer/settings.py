"""What the explanation page is at an EHR: its client id, its name, its scopes."""

from __future__ import annotations

from smart_apps.client.settings import AppSettings

CLIENT_ID = "chartloop-explainer"
SCOPE = (
    "launch openid fhirUser patient/Patient.r patient/RiskAssessment.rs patient/Observation.rs patient/Condition.rs "
    "patient/MedicationRequest.rs patient/MedicationStatement.rs"
)


def explainer(base_url: str, issuers: tuple[str, ...]) -> AppSettings:
    """Give the settings of the explanation page at one place, "http://127.0.0.1:8501/explain"."""
    return AppSettings(CLIENT_ID, "explanation page", SCOPE, base_url.rstrip("/"), issuers)
