"""What a scope lets an app do, in words that a patient understands."""

from __future__ import annotations

import re
from urllib.parse import unquote

from chartloop.kernel.access.smart_scopes import SmartScope, parse

_CONTEXT = {
    "openid": "Know that it is you who signed in",
    "fhirUser": "Know which person in the record you are",
    "profile": "Know your name",
    "offline_access": "Keep this access when you are not there, until you end it",
    "online_access": "Keep this access while you stay signed in",
    "launch": "Know what is open in the record",
    "launch/patient": "Know whose record is open",
    "launch/encounter": "Know which visit is open",
}
_WHOSE = {"patient": "of this patient", "user": "that you may see", "system": "of everybody"}
_NOUNS = {
    "*": "everything",
    "AllergyIntolerance": "allergies",
    "Appointment": "appointments",
    "CarePlan": "care plans",
    "Claim": "bills",
    "Condition": "diagnoses and problems",
    "Coverage": "insurance",
    "DiagnosticReport": "reports",
    "DocumentReference": "notes and documents",
    "Encounter": "visits",
    "ExplanationOfBenefit": "what the insurance paid",
    "Immunization": "vaccinations",
    "MedicationRequest": "prescriptions",
    "MedicationStatement": "medication",
    "Observation": "measurements and results",
    "Patient": "the personal details",
    "Practitioner": "the people who treat",
    "Procedure": "procedures",
    "RiskAssessment": "estimates of risk",
    "Task": "tasks",
}
_VERBS = {"c": "add", "u": "change", "d": "delete"}
_WORDS = re.compile(r"(?<=[a-z])(?=[A-Z])")


def scope_words(text: str) -> str:
    """Say what one scope is for."""
    scope = parse(text)
    return _CONTEXT.get(text, text) if scope is None else _resource(scope)


def _resource(scope: SmartScope) -> str:
    verbs = ["see"] if set(scope.letters) & {"r", "s"} else []
    verbs += [_VERBS[letter] for letter in scope.letters if letter in _VERBS]
    said = verbs[0] if len(verbs) == 1 else f"{', '.join(verbs[:-1])} and {verbs[-1]}"
    what = _NOUNS.get(scope.type) or f"every {_WORDS.sub(' ', scope.type)}"
    return f"{said.capitalize()} {what} {_WHOSE[scope.context]}{_where(scope.query)}"


def _where(query: str) -> str:
    if not query:
        return ""
    parts = []
    for pair in query.split("&"):
        name, _, value = unquote(pair).partition("=")
        codes = " or ".join(each.rpartition("|")[2] for each in value.split(","))
        parts.append(f"{name} {codes}")
    return f", with {' and '.join(parts)} only"


def is_fixed(text: str) -> bool:
    """Whether a scope only says what is open, so that there is nothing to untick."""
    return text == "launch" or text.startswith("launch/")


def writes(text: str) -> bool:
    """Whether a scope lets an app change the record."""
    scope = parse(text)
    return scope is not None and bool(set(scope.letters) & {"c", "u", "d"})
