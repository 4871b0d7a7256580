"""Which patient a resource belongs to, by the parameters of the Patient compartment.

Spec: https://hl7.org/fhir/R4/compartmentdefinition-patient.html
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from fhir_server.indexing.compiler import LISTS, Extractor, compile_extractor
from fhir_server.search.params import SearchParam, for_type, leaves_of
from fhir_server.spec.definitions import r4

_REFERENCES = tuple(LISTS).index("reference")


def patient_of(type_: str, resource: Mapping[str, Any], *, base: str = "") -> str:
    """Reference ("Patient/1") of the one patient whose compartment holds the resource; empty for none or several."""
    if type_ == "Patient":
        return f"Patient/{resource['id']}" if resource.get("id") else ""
    extractor = _extractor(type_)
    if extractor is None:
        return ""
    rows: list[list[tuple[Any, ...]]] = [[] for _ in LISTS]
    extractor(resource, *rows, base)
    return patient_among(type_, "", rows[_REFERENCES])


def patient_among(type_: str, id_: str, references: Iterable[tuple[Any, ...]]) -> str:
    """The same, of a resource with this id whose references (param, type, id, original) have been extracted already."""
    if type_ == "Patient":
        return f"Patient/{id_}"
    numbers = _numbers(type_)
    patients = {row[2] for row in references if row[1] == "Patient" and row[2] and row[0] in numbers} if numbers else set()
    return f"Patient/{patients.pop()}" if len(patients) == 1 else ""


@cache
def compartment_params(type_: str) -> SearchParam | None:
    """Return one parameter for all that say whose compartment a resource of a type is in; None where none does."""
    numbers = tuple(sorted(param.id for param in for_type(type_).values() if param.id in _numbers(type_) and param.type == "reference"))
    return SearchParam(numbers[0], "patient", "reference", ("Patient",), (), parts=numbers) if numbers else None


@cache
def _numbers(type_: str) -> frozenset[int]:
    codes = r4().compartment("Patient").get(type_, ())
    return frozenset(param.id for code, param in for_type(type_).items() if code in codes)


@cache
def _extractor(type_: str) -> Extractor | None:
    leaves = [leaf for leaf in leaves_of(type_) if leaf.param in _numbers(type_)]
    return compile_extractor(f"patients_{type_}", leaves) if leaves else None
