"""Patient to person and death; a Patient that was merged into another gives neither.

No identifier, name or address enters the database: which Patient a person is, only the lineage knows (f2o-020, f2o-022).

Spec: https://ohdsi.github.io/CommonDataModel/cdm54.html#person
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omop_bridge.concepts import NO_CONCEPT, TYPE_EHR
from omop_bridge.mapping.moments import INCOMPLETE, to_moment
from omop_bridge.mapping.rows import Context, Element, Excluded, Mapped, Row, excluded

MERGED = "merged"
_US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-"
_YEAR, _MONTH, _DAY = 4, 7, 10


def patient_to_rows(patient: Element, context: Context) -> Mapped:
    """Write the person, and the death where its day is known."""
    if replaced_by(patient):
        return excluded(MERGED)
    born = str(patient.get("birthDate", ""))
    if len(born) < _YEAR:
        return excluded("no-birth-date")
    gender = patient.get("gender")
    values = {
        "gender_concept_id": context.coder.concepts.gender(str(gender)) if gender else NO_CONCEPT,
        "gender_source_value": gender,
        "gender_source_concept_id": NO_CONCEPT,
        "year_of_birth": int(born[:_YEAR]),
        "month_of_birth": int(born[5:_MONTH]) if len(born) >= _MONTH else None,
        "day_of_birth": int(born[8:_DAY]) if len(born) >= _DAY else None,
        **_category(patient, "race", context.coder.concepts.race),
        **_category(patient, "ethnicity", context.coder.concepts.ethnicity),
    }
    death = _death(patient)
    rows = [Row("person", "person", values)]
    if isinstance(death, Row):
        return Mapped((*rows, death))
    return Mapped(tuple(rows), (death,) if death else ())


def replaced_by(patient: Element) -> str:
    """The reference of the Patient that this one was merged into; empty where it was not."""
    links = (link for link in patient.get("link", ()) if link.get("type") == "replaced-by")
    return next((str(link.get("other", {}).get("reference", "")) for link in links), "")


def _category(patient: Element, name: str, concept: Any) -> dict[str, Any]:
    """OMB categories of US Core; who named several is none of them alone, so the concept is 0 and the source says all."""
    found = [
        str(part.get("valueCoding", {}).get("code", ""))
        for extension in patient.get("extension", ())
        if extension.get("url") == f"{_US_CORE}{name}"
        for part in extension.get("extension", ())
        if part.get("url") == "ombCategory"
    ]
    return {
        f"{name}_concept_id": concept(found[0]) if len(found) == 1 else NO_CONCEPT,
        f"{name}_source_value": "|".join(found) or None,
        f"{name}_source_concept_id": NO_CONCEPT,
    }


def _death(patient: Mapping[str, Any]) -> Row | Excluded | None:
    """The row; or why there is none although the patient is dead: the day is required."""
    said = patient.get("deceasedDateTime")
    if said is None:
        return Excluded("deceased", "death-without-date") if patient.get("deceasedBoolean") is True else None
    died = to_moment(said)
    if died is None:
        return Excluded("deceased", INCOMPLETE)
    return Row("death", "deceased", {"death_date": died.date, "death_datetime": died.datetime, "death_type_concept_id": TYPE_EHR})
