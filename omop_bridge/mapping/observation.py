"""Observation to measurement or observation: the value, and each component, as rows of their own.

A panel whose results are its components or members gives no row itself. What a device measured and what a patient said keep type
concepts of their own (f2o-053). An hour of samples gives one row, its mean (category activity: its sum), beside the series in the chart.
A result flagged as implausible is left out with a count.

Spec: https://ohdsi.github.io/CommonDataModel/cdm54.html#measurement
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from omop_bridge.concepts import TYPE_EHR, TYPE_LAB, TYPE_PATIENT_REPORT
from omop_bridge.mapping.happening import Happening
from omop_bridge.mapping.moments import Moment, element, to_moment, why_not
from omop_bridge.mapping.references import reported_by_patient
from omop_bridge.mapping.route_by_domain import happening_to_rows
from omop_bridge.mapping.rows import Context, Element, Excluded, Mapped, Row, excluded
from omop_bridge.mapping.screening import NO_CODE, any_codes, modified, unrealised
from omop_bridge.mapping.values import Value, element_to_value
from omop_bridge.systems import BASE

IMPLAUSIBLE: Final = f"{BASE}/StructureDefinition/implausible"
TELEMETRY: Final = f"{BASE}/telemetry"
TYPE_SELF_TESTED: Final = 705183
"""Patient self-tested: what a device of the patient's own measured."""

MEMBERS: Final = "members"
"""A panel whose members are Observations of their own: they have the rows."""

_FINAL = frozenset({"final", "amended", "corrected"})
_MEASURED = frozenset({"vital-signs", "laboratory", "activity"})


def observation_to_rows(observation: Element, context: Context) -> Mapped:
    """Write a final result and its components."""
    if reason := unrealised(observation, _FINAL):
        return excluded(reason)
    if any(extension.get("url") == IMPLAUSIBLE and extension.get("valueBoolean") for extension in observation.get("extension", ())):
        return excluded("implausible")
    began, _ = element(observation, "effective")
    start = to_moment(began)
    if start is None:
        return excluded(why_not(began))
    rows: list[Row] = []
    left: list[Excluded] = []
    for found in _results(observation, start, context):
        if isinstance(found, Excluded):
            left.append(found)
        else:
            rows += happening_to_rows(found)
    return Mapped(tuple(rows), tuple(left))


def _results(observation: Element, start: Moment, context: Context) -> Iterator[Happening | Excluded]:
    categories = any_codes(observation.get("category"))
    source, fallback = _type(observation, categories), "measurement" if categories & _MEASURED else "observation"
    parts = [("", observation), *((f"component[{n}]", part) for n, part in enumerate(observation.get("component", ())))]
    for key, part in parts:
        if reason := modified(part):
            yield Excluded(key, reason)
            continue
        value = element_to_value(part, context.coder, words=context.profile.text, total="activity" in categories)
        coded = context.coder.coded(part.get("code"))
        if isinstance(value, str):
            yield Excluded(key, value)
        elif value is None and (key or observation.get("component") or observation.get("hasMember")):
            if key or not observation.get("component"):
                yield Excluded(key, "value-absent" if key else MEMBERS)
        elif coded is None:
            yield Excluded(key, NO_CODE)
        else:
            yield Happening(key or "value", coded, start, source, _table(value, fallback), visit=context.visit, value=value)


def _table(value: Value | None, fallback: str) -> str:
    """A number with a unit is a measurement even where no category says so."""
    return "measurement" if value is not None and value.number is not None and value.unit_source else fallback


def _type(observation: Element, categories: set[str]) -> int:
    if any(str(each.get("system", "")).startswith(TELEMETRY) for each in observation.get("identifier", ())):
        return TYPE_SELF_TESTED
    if reported_by_patient(observation.get("performer", ())):
        return TYPE_SELF_TESTED if observation.get("device") else TYPE_PATIENT_REPORT
    return TYPE_LAB if "laboratory" in categories else TYPE_EHR
