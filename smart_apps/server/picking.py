"""Choosing a patient or a visit for a standalone launch: what this person may see, through the one door."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import msgspec

from chartloop.kernel.errors import NotFound
from smart_apps.ehr.rows import encounter_row, patient_row

if TYPE_CHECKING:
    from chartloop.kernel.access.subject import Subject
    from smart_apps.ehr.chart import Chart
    from smart_apps.server.pending import Pending

Charts = Callable[["Subject"], "Chart"]
"""Opens the chart for one request of somebody."""

PAGE_SIZE: Final = 20
_ID: Final = re.compile(r"[A-Za-z0-9.\-]{1,64}")
MAX_NAME: Final = 100


def rows(chart: Chart, pending: Pending, name: str, page: str) -> dict[str, Any]:
    """List what can be chosen next: patients by name, or the visits of the patient who was chosen, newest first."""
    if pending.wants[0] == "patient":
        wanted = f"name={quote(name[:MAX_NAME])}&" if name else ""
        found = chart.search("Patient", page or f"{wanted}_sort=family&_count={PAGE_SIZE}")
        return {"rows": [patient_row(each) for each in found.resources], "next": found.next}
    found = chart.search("Encounter", page or f"patient=Patient/{quote(pending.context.patient)}&_sort=-date&_count={PAGE_SIZE}")
    return {"rows": [{**encounter_row(each), "id": each["id"]} for each in found.resources], "next": found.next}


def chosen(chart: Chart, pending: Pending, id_: str) -> Pending:
    """Put the choice into the context; no id is no visit.

    Raises:
        NotFound: For this person there is no such patient, or no such visit of this patient.
    """
    what, left = pending.wants[0], pending.wants[1:]
    if what == "encounter" and not id_:
        return msgspec.structs.replace(pending, wants=left)
    if not _ID.fullmatch(id_):
        raise NotFound
    resource = chart.read(f"{'Patient' if what == 'patient' else 'Encounter'}/{id_}")
    if resource is None:
        raise NotFound
    if what == "patient":
        return msgspec.structs.replace(pending, wants=left, context=replace(pending.context, patient=id_))
    if resource.get("subject", {}).get("reference") != f"Patient/{pending.context.patient}":
        raise NotFound
    return msgspec.structs.replace(pending, wants=left, context=replace(pending.context, encounter=id_))
