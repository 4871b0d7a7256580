"""What a scope lets an app do, in words that a patient understands."""

from __future__ import annotations

import re
from urllib.parse import unquote

from chartloop.kernel.access.smart_scopes import SmartScope, parse
from smart_apps.server.scope_kinds import KINDS

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
NOUNS = {
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
_KIND = "category"
_CRITERIA = {
    "category": "of the kind {}",
    "class": "of the kind {}",
    "code": "with the code {}",
    "clinical-status": "that are {}",
    "status": "that are {}",
    "type": "of the type {}",
    "verification-status": "that are {}",
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
    asked = [(name, [each.rpartition("|")[2] for each in value.split(",")]) for name, _, value in (unquote(pair).partition("=") for pair in scope.query.split("&") if pair)]
    kinds = _kinds(scope.type, asked)
    what = kinds or NOUNS.get(scope.type) or f"every {_WORDS.sub(' ', scope.type)}"
    only = " and ".join(_CRITERIA.get(name, f"with {name.replace('-', ' ')} {{}}").format(" or ".join(codes)) for name, codes in asked if not (kinds and name == _KIND))
    return f"{said.capitalize()} {what} {_WHOSE[scope.context]}{f', only those {only}' if only else ''}"


def _kinds(type_: str, asked: list[tuple[str, list[str]]]) -> str:
    """Name the kinds of entries that a scope is limited to, if each of them has a name."""
    known = KINDS.get(type_, {})
    wanted = [codes for name, codes in asked if name == _KIND]
    return " or ".join(known[code][1] for code in wanted[0]) if len(wanted) == 1 and all(code in known for code in wanted[0]) else ""


def is_fixed(text: str) -> bool:
    """Whether a scope only says what is open, so that there is nothing to untick."""
    return text == "launch" or text.startswith("launch/")


def writes(text: str) -> bool:
    """Whether a scope lets an app change the record."""
    scope = parse(text)
    return scope is not None and bool(set(scope.letters) & {"c", "u", "d"})
