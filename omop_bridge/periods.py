"""observation_period: from a person's first event to the last, ended by death; one period a person.

Spec: https://ohdsi.github.io/CommonDataModel/cdm54.html#observation_period
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from chartloop.kernel.db import Tx
from omop_bridge.concepts import TYPE_EHR
from omop_bridge.database import insert_statement
from omop_bridge.lineage import Known, Reference, allocate, marks, person_source, reserve, update
from omop_bridge.shape import row_to_values

KEY: Final = "observation-period"
TABLE: Final = "observation_period"
_AT_ONCE: Final = 200
_SPANS: Mapping[str, tuple[str, str]] = {
    "visit_occurrence": ("visit_start_date", "visit_end_date"),
    "condition_occurrence": ("condition_start_date", "coalesce(condition_end_date, condition_start_date)"),
    "drug_exposure": ("drug_exposure_start_date", "drug_exposure_end_date"),
    "procedure_occurrence": ("procedure_date", "coalesce(procedure_end_date, procedure_date)"),
    "device_exposure": ("device_exposure_start_date", "coalesce(device_exposure_end_date, device_exposure_start_date)"),
    "measurement": ("measurement_date", "measurement_date"),
    "observation": ("observation_date", "observation_date"),
    "note": ("note_date", "note_date"),
}


def recompute(cdm: Tx, lineage: Tx, persons: Collection[int]) -> None:
    """Write the periods of these persons anew; the lineage gets their ids and what became of them."""
    ordered = sorted(persons)
    for start in range(0, len(ordered), _AT_ONCE):
        _part(cdm, lineage, ordered[start : start + _AT_ONCE])


def _part(cdm: Tx, lineage: Tx, persons: Sequence[int]) -> None:
    sources = person_source(lineage, persons)
    known = _known(lineage, persons)
    spans = _spans(cdm, persons)
    cdm.run(f"DELETE FROM {TABLE} WHERE person_id IN ({marks(persons)})", persons)
    missing = [person for person in spans if person not in known]
    first = allocate(lineage, TABLE, len(missing)) if missing else 0
    fresh = {person: Known(KEY, TABLE, first + n, person, 0, live=True) for n, person in enumerate(missing)}
    reserve(lineage, [(sources[person], row) for person, row in fresh.items()])
    rows = {**known, **fresh}
    changed: list[tuple[Reference, Known]] = [
        (sources[person], row._replace(person_id=person, live=person in spans)) for person, row in known.items() if row.live != (person in spans)
    ]
    update(lineage, changed)
    cdm.many(insert_statement(TABLE), [row_to_values(TABLE, _values(span), rows[person].row_id, person) for person, span in spans.items()])


def _values(span: tuple[str, str]) -> dict[str, object]:
    return {"observation_period_start_date": span[0], "observation_period_end_date": span[1], "period_type_concept_id": TYPE_EHR}


def _known(lineage: Tx, persons: Sequence[int]) -> dict[int, Known]:
    rows = lineage.all(
        "SELECT p.row_id, r.key, r.cdm_table, r.row_id, r.person_id, r.version, r.live FROM omop_row p"
        " JOIN omop_row r ON r.type = p.type AND r.id = p.id AND r.cdm_table = ? AND r.key = ?"
        f" WHERE p.cdm_table = 'person' AND p.row_id IN ({marks(persons)})",
        (TABLE, KEY, *persons),
    )
    return {row[0]: Known(row[1], row[2], row[3], row[4], row[5], live=bool(row[6])) for row in rows}


def _spans(cdm: Tx, persons: Sequence[int]) -> dict[int, tuple[str, str]]:
    """First and last day of everyone who is a person and had an event; a period that death would turn round is one day long."""
    marked = marks(persons)
    parts = (f"SELECT person_id, min({start}) AS first, max({end}) AS last FROM {table} WHERE person_id IN ({marked}) GROUP BY person_id" for table, (start, end) in _SPANS.items())
    sql = (
        "SELECT e.person_id, min(e.first), max(e.last), min(d.death_date) FROM ("
        + " UNION ALL ".join(parts)
        + ") e JOIN person p ON p.person_id = e.person_id LEFT JOIN death d ON d.person_id = e.person_id GROUP BY e.person_id ORDER BY e.person_id"
    )
    found = {}
    for person, first, last, died in cdm.all(sql, [each for _ in _SPANS for each in persons]):
        start, end = str(first), str(last) if died is None else min(str(last), str(died))
        found[int(person)] = (start, max(start, end))
    return found
