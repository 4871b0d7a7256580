"""From a CodeableConcept to concepts: which coding counts, which standard concepts it maps to, what stays as its source.

A coding that leads to a standard concept goes first; then the vocabulary (SNOMED CT, RxNorm, LOINC, CVX, others, ICD last), then
`userSelected`, then the order of the codings. Of parent and child of one code system the more specific should win (f2o-036): the
shipped seed has no ancestors, so the source's order decides.

Spec: https://build.fhir.org/ig/HL7/fhir-omop-ig/codemappings.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from omop_bridge.concepts import NO_CONCEPT, VOCABULARIES, Concept, Concepts

_PRECEDENCE: Mapping[str, int] = {"SNOMED": 0, "RxNorm": 1, "LOINC": 2, "CVX": 3, "ICD10CM": 8, "ICD9CM": 9}
_OTHERS, _UNKNOWN = 5, 10


class Coded(NamedTuple):
    """A source code and what it means: `targets` are standard concepts, none where there is no such."""

    source_value: str
    source_concept_id: int
    source_domain: str
    targets: tuple[Concept, ...]

    @property
    def concept_id(self) -> int:
        """The first standard concept, or 0."""
        return self.targets[0].concept_id if self.targets else NO_CONCEPT


class Coder:
    """Looks codes up, and remembers what it found: bound to one release of the vocabularies (f2o-111)."""

    def __init__(self, concepts: Concepts) -> None:
        """Take the vocabularies."""
        self.concepts = concepts
        self._found: dict[tuple[str, str], Coded] = {}

    def coded(self, concept: Mapping[str, Any] | None) -> Coded | None:
        """Choose the coding that counts; None where there is none with a code. Text alone is no code."""
        codings = [coding for coding in (concept or {}).get("coding", ()) if coding.get("code")]
        if not codings:
            return None
        if len(codings) == 1:
            return self.coding(codings[0])
        ranked = [(*self._rank(coding), number) for number, coding in enumerate(codings)]
        return self.coding(codings[min(ranked)[-1]])

    def coding(self, coding: Mapping[str, Any]) -> Coded:
        """Look one coding up."""
        key = (str(coding.get("system", "")), str(coding.get("code", "")))
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = self._lookup(*key)
        return found

    def _lookup(self, system: str, code: str) -> Coded:
        source = self.concepts.lookup(system, code)
        if source is None:
            return Coded(code, NO_CONCEPT, "", ())
        return Coded(code, source.concept_id, source.domain_id, tuple(self.concepts.standard(source)))

    def _rank(self, coding: Mapping[str, Any]) -> tuple[bool, int, bool]:
        vocabulary = VOCABULARIES.get(str(coding.get("system", "")))
        precedence = _UNKNOWN if vocabulary is None else _PRECEDENCE.get(vocabulary, _OTHERS)
        return not self.coding(coding).targets, precedence, coding.get("userSelected") is not True
