"""The domain of the concept decides the table, not the type of the resource; one row for each concept that a code maps to.

Spec: https://ohdsi.github.io/CommonDataModel/dataModelConventions.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from omop_bridge.concepts import NO_CONCEPT
from omop_bridge.mapping.happening import Happening
from omop_bridge.mapping.moments import Moment
from omop_bridge.mapping.rows import Row

TABLE_OF_DOMAIN: Mapping[str, str] = {
    "Condition": "condition_occurrence",
    "Drug": "drug_exposure",
    "Procedure": "procedure_occurrence",
    "Measurement": "measurement",
    "Device": "device_exposure",
    "Observation": "observation",
}


def happening_to_rows(happening: Happening) -> Iterator[Row]:
    """Write a happening into the tables of its concepts; where no concept is known, into the table of its resource."""
    coded = happening.coded
    for number, target in enumerate(coded.targets or (None,)):
        domain = target.domain_id if target else coded.source_domain
        # Domains without an event table (Geography, Visit, …) are observations, as OHDSI's conventions have it.
        table = TABLE_OF_DOMAIN.get(domain, "observation") if domain else happening.table
        values = _BUILDERS[table](happening, target.concept_id if target else NO_CONCEPT)
        yield Row(table, f"{happening.key}#{number}", {**values, **happening.more.get(table, {})})


def _same(happening: Happening, table: str, concept_id: int) -> dict[str, Any]:
    return {
        f"{table}_concept_id": concept_id,
        f"{table}_type_concept_id": happening.type_concept_id,
        f"{table}_source_value": happening.coded.source_value,
        f"{table}_source_concept_id": happening.coded.source_concept_id,
        "visit_occurrence_id": happening.visit,
    }


def _span(happening: Happening, name: str, *, ended: Moment | None) -> dict[str, Any]:
    return {
        f"{name}_start_date": happening.start.date,
        f"{name}_start_datetime": happening.start.datetime,
        f"{name}_end_date": ended.date if ended else None,
        f"{name}_end_datetime": ended.datetime if ended else None,
    }


def _condition(happening: Happening, concept_id: int) -> dict[str, Any]:
    return {**_same(happening, "condition", concept_id), **_span(happening, "condition", ended=happening.end)}


def _drug(happening: Happening, concept_id: int) -> dict[str, Any]:
    """The end is required: the start, where the source says nothing else."""
    return {**_same(happening, "drug", concept_id), **_span(happening, "drug_exposure", ended=happening.end or Moment(happening.start.date))}


def _device(happening: Happening, concept_id: int) -> dict[str, Any]:
    return {**_same(happening, "device", concept_id), **_span(happening, "device_exposure", ended=happening.end)}


def _procedure(happening: Happening, concept_id: int) -> dict[str, Any]:
    start, end = happening.start, happening.end
    return {
        **_same(happening, "procedure", concept_id),
        "procedure_date": start.date,
        "procedure_datetime": start.datetime,
        "procedure_end_date": end.date if end else None,
        "procedure_end_datetime": end.datetime if end else None,
    }


def _measurement(happening: Happening, concept_id: int) -> dict[str, Any]:
    values = {
        **_same(happening, "measurement", concept_id),
        "measurement_date": happening.start.date,
        "measurement_datetime": happening.start.datetime,
    }
    if value := happening.value:
        values |= {
            "operator_concept_id": value.operator,
            "value_as_number": value.number,
            "value_as_concept_id": value.concept_id,
            "unit_concept_id": value.unit,
            "unit_source_value": value.unit_source,
            "range_low": value.low,
            "range_high": value.high,
            "value_source_value": value.source,
        }
    return values


def _observation(happening: Happening, concept_id: int) -> dict[str, Any]:
    values = {
        **_same(happening, "observation", concept_id),
        "observation_date": happening.start.date,
        "observation_datetime": happening.start.datetime,
    }
    if value := happening.value:
        values |= {
            "value_as_number": value.number,
            "value_as_string": value.string,
            "value_as_concept_id": value.concept_id,
            "unit_concept_id": value.unit,
            "unit_source_value": value.unit_source,
            "value_source_value": value.source,
        }
    return values


_BUILDERS: Mapping[str, Callable[[Happening, int], dict[str, Any]]] = {
    "condition_occurrence": _condition,
    "device_exposure": _device,
    "drug_exposure": _drug,
    "measurement": _measurement,
    "observation": _observation,
    "procedure_occurrence": _procedure,
}
