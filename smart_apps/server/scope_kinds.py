"""Kinds of entries within a resource type that a scope can name by category, and how patients call them.

Spec: https://hl7.org/fhir/R4/valueset-observation-category.html, https://hl7.org/fhir/R4/valueset-condition-category.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_OBSERVATION: Final = "http://terminology.hl7.org/CodeSystem/observation-category"
_CONDITION: Final = "http://terminology.hl7.org/CodeSystem/condition-category"
_US_CORE: Final = "http://hl7.org/fhir/us/core/CodeSystem"

KINDS: Final[Mapping[str, Mapping[str, tuple[str, str]]]] = {
    "Observation": {
        "laboratory": (_OBSERVATION, "laboratory results"),
        "vital-signs": (_OBSERVATION, "vital signs, such as blood pressure and weight"),
        "social-history": (_OBSERVATION, "notes on way of life, such as smoking"),
        "survey": (_OBSERVATION, "answers to questionnaires"),
        "exam": (_OBSERVATION, "findings of examinations"),
        "imaging": (_OBSERVATION, "findings of imaging"),
        "procedure": (_OBSERVATION, "measurements of procedures"),
        "therapy": (_OBSERVATION, "results of therapy"),
        "activity": (_OBSERVATION, "activity, such as steps"),
    },
    "Condition": {
        "problem-list-item": (_CONDITION, "problems on the problem list"),
        "encounter-diagnosis": (_CONDITION, "diagnoses of visits"),
        "health-concern": (f"{_US_CORE}/condition-category", "health concerns"),
    },
    "DocumentReference": {"clinical-note": (f"{_US_CORE}/us-core-documentreference-category", "clinical notes")},
}
"""Resource type -> code of category -> its system, and words."""
