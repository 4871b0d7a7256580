"""OMOP concepts: found by code system and code, never by the code alone.

Spec: https://ohdsi.github.io/CommonDataModel/vocabulary.html
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import zstandard

FACTS = Path(__file__).with_name("concepts.json.zst")

NO_CONCEPT = 0
"""No matching concept: the source value stays beside it."""

VOCABULARIES: Mapping[str, str] = {
    "http://loinc.org": "LOINC",
    "http://snomed.info/sct": "SNOMED",
    "http://www.nlm.nih.gov/research/umls/rxnorm": "RxNorm",
    "http://hl7.org/fhir/sid/cvx": "CVX",
    "http://hl7.org/fhir/sid/ndc": "NDC",
    "http://hl7.org/fhir/sid/icd-10-cm": "ICD10CM",
    "http://hl7.org/fhir/sid/icd-9-cm": "ICD9CM",
    "http://www.cms.gov/Medicare/Coding/ICD10": "ICD10PCS",
    "http://www.ama-assn.org/go/cpt": "CPT4",
    "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets": "HCPCS",
    "https://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets": "HCPCS",
    "urn:oid:2.16.840.1.113883.6.285": "HCPCS",
    "http://unitsofmeasure.org": "UCUM",
    "http://nucc.org/provider-taxonomy": "NUCC",
}
"""FHIR's URI of a code system to OMOP's vocabulary_id."""

# Type concepts: where a row comes from (f2o-050: never 0).
TYPE_EHR = 32817
TYPE_EHR_ADMINISTRATION = 32818
TYPE_EHR_DISPENSING = 32825
TYPE_EHR_ENCOUNTER = 32827
TYPE_EHR_NOTE = 32831
TYPE_EHR_PRESCRIPTION = 32838
TYPE_EHR_PROBLEM_LIST = 32840
TYPE_LAB = 32856
TYPE_PATIENT_REPORT = 32865
TYPE_ALGORITHM = 32882

GENDERS: Mapping[str, int] = {"male": 8507, "female": 8532}
"""AdministrativeGender. The guide's 8521, 44814653 and 8551 are not standard: `other` and `unknown` are 0 with their source value."""

RACES: Mapping[str, int] = {"1002-5": 8657, "2028-9": 8515, "2054-5": 8516, "2076-8": 8557, "2106-3": 8527}
"""OMB race categories of CDCREC."""

ETHNICITIES: Mapping[str, int] = {"2135-2": 38003563, "2186-5": 38003564}
"""OMB ethnicity categories of CDCREC."""

VISIT_INPATIENT, VISIT_OUTPATIENT, VISIT_EMERGENCY, VISIT_EMERGENCY_INPATIENT = 9201, 9202, 9203, 262
VISIT_HOME, VISIT_TELEHEALTH = 581476, 5083

VISITS: Mapping[str, int] = {
    "IMP": VISIT_INPATIENT,
    "ACUTE": VISIT_INPATIENT,
    "NONAC": VISIT_INPATIENT,
    "OBSENC": VISIT_EMERGENCY_INPATIENT,
    "AMB": VISIT_OUTPATIENT,
    "SS": VISIT_OUTPATIENT,
    "EMER": VISIT_EMERGENCY,
    "HH": VISIT_HOME,
    "VR": VISIT_TELEHEALTH,
}
"""Encounter.class (v3-ActCode). VR is the Telehealth visit of CDM 5.4's own page, not the guide's 722455."""

OPERATORS: Mapping[str, int] = {"<": 4171756, "<=": 4171754, ">=": 4171755, ">": 4172704, "=": 4172703}
"""Quantity.comparator."""

_UNIT_SPELLINGS: Mapping[str, str] = {
    "U/L": "[U]/L",
    "[IU]/L": "[iU]/L",
    "[IU]/mL": "[iU]/mL",
    "[pH]": "pH",
    "{score}": "[score]",
    "mL/min/{1.73_m2}": "mL/min/(173.10*-2.m2)",
    "meq/l": "meq/L",
}
"""The same unit as FHIR's data write it and as OMOP's vocabulary does."""


class Concept(NamedTuple):
    """A row of the concept table; `standard` is S, C (classification) or empty. A code of "" is known to no public file."""

    concept_id: int
    concept_name: str
    domain_id: str
    vocabulary_id: str
    concept_class_id: str
    standard: str
    concept_code: str


class Concepts:
    """What this bridge knows of OMOP's vocabularies."""

    def __init__(self, release: str, concepts: Iterable[Concept], maps_to: Mapping[int, Iterable[int]] | None = None) -> None:
        """Take concepts, and for those that are not standard the standard ones that they map to."""
        self.release = release
        self.by_id: dict[int, Concept] = {concept.concept_id: concept for concept in concepts}
        self._by_code = {(concept.vocabulary_id, concept.concept_code): concept for concept in self.by_id.values() if concept.concept_code}
        self._maps_to = dict(maps_to or {})

    def lookup(self, system: str, code: str) -> Concept | None:
        """Find the concept of a coding: FHIR's URI of the code system, and the code. None when it is not known."""
        vocabulary = VOCABULARIES.get(system)
        return self._by_code.get((vocabulary, code)) if vocabulary else None

    def standard(self, concept: Concept) -> list[Concept]:
        """The standard concepts that stand for this one: itself where it is standard; else what it maps to, perhaps none."""
        if concept.standard == "S":
            return [concept]
        return [self.by_id[target] for target in self._maps_to.get(concept.concept_id, ()) if target in self.by_id]

    def unit(self, code: str) -> int:
        """The concept of a UCUM code, or 0."""
        found = self._by_code.get(("UCUM", _UNIT_SPELLINGS.get(code, code)))
        return found.concept_id if found else NO_CONCEPT

    def gender(self, code: str) -> int:
        """The concept of Patient.gender, or 0."""
        return GENDERS.get(code, NO_CONCEPT)

    def race(self, code: str) -> int:
        """The concept of an OMB race category, or 0."""
        return RACES.get(code, NO_CONCEPT)

    def ethnicity(self, code: str) -> int:
        """The concept of an OMB ethnicity category, or 0."""
        return ETHNICITIES.get(code, NO_CONCEPT)

    def visit(self, code: str) -> int:
        """The concept of Encounter.class.code, or 0."""
        return VISITS.get(code, NO_CONCEPT)


@cache
def shipped() -> Concepts:
    """The seed that travels with the product; see docs/explanation/omop.md for what it leaves out."""
    facts: dict[str, Any] = json.loads(zstandard.decompress(FACTS.read_bytes()))
    return Concepts(facts["release"], (Concept(*row) for row in facts["concepts"]))
