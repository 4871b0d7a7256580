"""People to learn from: rows of features and who had a stroke; read from a table, or from a stream of the store."""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from chartloop.kernel.errors import Invalid
from fhir_server.compartments import patient_of
from fhir_server.store import Stored
from predictions.risk import codes
from predictions.risk.eligibility import RANGES
from predictions.risk.features import AGE, CARDIOVASCULAR, FEATURES, MALE
from predictions.risk.reading import DOUBTED, Entry, Limits, began, chart_to_features, codings, instant_us, status_in, with_medication
from predictions.risk.recalibration import Vector

OUTCOME: Final = "stroke"
STREAMED: Final = ("Patient", "Observation", "Condition", "Medication", "MedicationRequest", "MedicationStatement")


@dataclass(frozen=True, slots=True)
class Cohort:
    """Features and outcomes.

    Attributes:
        names: Of the columns.
        rows: float64, shape (n, len(names)), NaN where not recorded.
        labels: 1 for who had the outcome, else 0, shape (n,).
    """

    names: tuple[str, ...]
    rows: Vector
    labels: Vector

    def column(self, name: str) -> Vector:
        """Return one column."""
        found: Vector = self.rows[:, self.names.index(name)]
        return found


def table_to_cohort(path: Path) -> Cohort:
    """Read a CSV whose columns are names of FEATURES and `stroke` (1 or 0); an empty cell is not recorded.

    Raises:
        Invalid: An unknown or missing column, or a cell that is no number; the line is named.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        columns = tuple(reader.fieldnames or ())
        unknown = sorted(set(columns) - {*FEATURES, OUTCOME})
        absent = sorted({AGE, MALE, OUTCOME} - set(columns))
        if unknown or absent:
            raise Invalid(
                f"Columns must be features and {OUTCOME}: unknown {unknown or 'none'}, absent {absent or 'none'}; features are {', '.join(FEATURES)}."
            )
        names = tuple(name for name in FEATURES if name in columns)
        table = [[_number(row[name], reader.line_num, name) for name in (*names, OUTCOME)] for row in reader]
    if any(row[-1] not in {0.0, 1.0} for row in table):
        raise Invalid(f"Every {OUTCOME} must be 1 or 0.")
    data = np.array(table, dtype=np.float64).reshape(len(table), len(names) + 1)
    return Cohort(names, data[:, :-1], data[:, -1])


def _number(cell: str | None, line: int, name: str) -> float:
    try:
        return float(cell) if cell and cell.strip() else math.nan
    except ValueError:
        raise Invalid(f"Line {line}, column {name}: this is not a number.") from None


def stored_to_cohort(resources: Iterable[Stored], *, index_us: int, end_us: int, limits: Limits, base: str = "") -> Cohort:
    """Make a cohort of the people in a store: features as they were at the index date, the label what came after.

    Who had a stroke or another cardiovascular disease before the index date is left out (prevalent, not incident), and who was dead then
    or outside the ages of the models. A stroke counts if its Condition began after the index date and not after the end. Nothing dated
    after the index date becomes a feature; of a medicine and a condition only today's status is known, which is a leak the size of the
    follow-up: a medicine stopped since counts as not taken.

    Args:
        resources: Of the types of STREAMED, in any order.
        index_us: Features are as of this instant.
        end_us: Strokes are counted until here.
        limits: How old a value may be at the index date.
        base: FHIR base of the store: references under it are its own.
    """
    charts: dict[str, dict[str, list[Entry]]] = defaultdict(lambda: defaultdict(list))
    concepts: dict[str, object] = {}
    for stored in resources:
        body = stored.json()
        if stored.type == "Medication":
            concepts[stored.id] = body.get("code")
            continue
        patient = patient_of(stored.type, body, base=base)
        charts[patient][stored.type].append(Entry(body, f"{stored.type}/{stored.id}"))
    rows: list[list[float]] = []
    labels: list[float] = []
    for chart in charts.values():
        if not chart["Patient"]:
            continue
        medicines = [with_medication(entry, concepts) for entry in chart["MedicationRequest"] + chart["MedicationStatement"]]
        features = chart_to_features(chart["Patient"][0], chart["Observation"], chart["Condition"], medicines, at_us=index_us, limits=limits)
        low, high = RANGES[AGE]
        if not features.alive or not features.sex or features.flag(CARDIOVASCULAR) or not low <= features.number(AGE) <= high:
            continue
        rows.append([features.number(name) for name in FEATURES])
        labels.append(float(had_stroke(chart["Condition"], index_us, end_us)))
    return Cohort(tuple(FEATURES), np.array(rows, dtype=np.float64).reshape(len(rows), len(FEATURES)), np.array(labels, dtype=np.float64))


def had_stroke(conditions: Iterable[Entry], after_us: int, until_us: int) -> bool:
    """Whether a stroke (ICD-10 I60-I64 or its SNOMED CT codes) began in a time; one without a date does not count."""
    return any(
        (began_us := instant_us(began(resource))) is not None
        and after_us < began_us <= until_us
        and status_in(resource, "verificationStatus") not in DOUBTED
        and any(codes.STROKE.holds(system, code) for system, code, _ in codings(resource.get("code")))
        for resource, _ in conditions
    )
