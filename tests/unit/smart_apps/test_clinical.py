"""Clinical resources in words, and the chart's rows of them."""

from typing import Any

import pytest

from smart_apps import clinical
from smart_apps.ehr.clinical_rows import findings, medication_row
from tests.journeys import risk_chart


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ({"value": 158, "unit": "mm[Hg]"}, "158 mmHg"),
        ({"value": 72.50, "code": "kg"}, "72.5 kg"),
        ({"value": 88, "unit": "mL/min/{1.73_m2}"}, "88 mL/min/1.73 m2"),
        ({"comparator": "<", "value": 0.01, "unit": "ng/mL"}, "<0.01 ng/mL"),
        ({"value": 0, "unit": "Cel"}, "0 °C"),
        ({"value": 10**400}, ""),
        ({"value": float("nan")}, ""),
        ({"value": True}, ""),
        (None, ""),
    ],
)
def test_a_quantity_is_written_with_its_unit(value: Any, written: str) -> None:
    assert clinical.quantity(value) == written


@pytest.mark.parametrize(
    ("observation", "written"),
    [
        ({"valueString": "clear"}, "clear"),
        ({"valueBoolean": False}, "no"),
        ({"valueInteger": 3}, "3"),
        ({"valueCodeableConcept": {"coding": [{"display": "Former smoker"}]}}, "Former smoker"),
        ({"valueSampledData": {"data": "60 61 E 62"}}, "series of 4 values"),
        ({"dataAbsentReason": {"text": "refused"}}, "refused"),
        ({}, ""),
    ],
)
def test_what_an_observation_found_is_written(observation: dict[str, Any], written: str) -> None:
    assert clinical.measured(observation) == written


def test_text_is_what_xml_can_hold_and_cut() -> None:
    assert clinical.text("a\x00b\ud800c\ufffe") == "abc"
    assert clinical.text("x" * 400) == "x" * 299 + "…"
    assert clinical.text(None) == clinical.text([]) == clinical.text(True) == ""


def test_the_latest_of_each_kind_is_shown_and_the_rest_counted() -> None:
    newest_first = sorted((r for r in risk_chart.resources() if r["resourceType"] == "Observation"), key=clinical.when, reverse=True)
    groups = dict(findings(newest_first))
    assert [(row.name, row.value, row.earlier) for row in groups["Vital signs"]] == [("Blood pressure panel", "158/92 mmHg", 1), ("Heart rate", "74 /min", 0)]
    assert {row.name for row in groups["Laboratory"]} == {"Total cholesterol", "eGFR"}


def test_a_single_pressure_newer_than_the_panel_stands_for_itself() -> None:
    panel, single = risk_chart.resources()[2], {**risk_chart.resources()[1], "effectiveDateTime": "2026-11-21T09:00:00Z"}
    groups = dict(findings([single, panel]))
    assert [row.value for row in groups["Vital signs"]] == ["149 mmHg", "158/92 mmHg"]


def test_flags_implausible_values_and_odd_statuses_are_told() -> None:
    base = risk_chart.observation("o", "2345-7", "Glucose", 400, "mg/dL", "2026-11-20T08:00:00Z", "laboratory")
    odd = {
        **base,
        "status": "preliminary",
        "interpretation": [{"coding": [{"code": "H"}]}],
        "extension": [{"url": clinical.IMPLAUSIBLE, "valueBoolean": True}],
    }
    gone = {**base, "code": {"text": "Gone"}, "status": "entered-in-error"}
    ((_, (row,)),) = findings([odd, gone])
    assert (row.flag, row.implausible, row.status and row.status.text) == ("H", True, "preliminary")


def test_a_medication_is_named_with_its_dosage() -> None:
    row = medication_row(risk_chart.resources()[-1])
    assert (row["name"], row["dosage"], row["since"]) == ("amlodipine 5 MG Oral Tablet", "One tablet each morning", "2024-05-06")
    assert medication_row({"medicationReference": {"reference": "Medication/1"}})["name"] == "Medication/1"
