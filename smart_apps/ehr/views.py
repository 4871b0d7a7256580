"""What each page of the EHR shows: searches under the person's rights, turned into rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from smart_apps.ehr import clinical_rows, rows
from smart_apps.ehr.way import rows_to_stations, steps_to_stations
from smart_apps.systems import BASE

if TYPE_CHECKING:
    from smart_apps.ehr.chart import Chart, Found
    from smart_apps.ehr.way import Station

PAGE_SIZE = 25
CHART_SIZE = 50
MAX_PAYMENTS = 200
MAX_OBSERVATIONS = 300
REVIEW = f"{BASE}/CodeSystem/task|review-coding"


@dataclass(frozen=True, slots=True)
class Place:
    """One entry of the navigation."""

    endpoint: str
    title: str


def places(chart: Chart) -> list[Place]:
    """List the pages for which the policies could permit anything at all."""
    every = (
        (Place("ehr.work", "Work list"), chart.may("search", "Task") and chart.may_take("Task")),
        (Place("ehr.patients", "Patients"), chart.may("search", "Patient")),
        (Place("ehr.claims", "Claims"), chart.may("search", "Claim")),
        (Place("privacy.home", "Privacy"), chart.may("audit-read", "AuditEvent")),
        (Place("omop.home", "Research"), chart.may("omop-read", "omop")),
        (Place("operations.home", "Operations"), chart.may("operations-read", "operations")),
    )
    return [place for place, offered in every if offered]


def patients(chart: Chart, name: str, page: str) -> dict[str, Any]:
    """List patients by name."""
    wanted = f"name={quote(name)}&" if name else ""
    found = chart.search("Patient", page or f"{wanted}_sort=family&_count={PAGE_SIZE}")
    return {"rows": [rows.patient_row(resource) for resource in found.resources], "next": found.next}


def patient(chart: Chart, id_: str) -> dict[str, Any] | None:
    """Open one chart."""
    resource = chart.read(f"Patient/{id_}")
    if resource is None:
        return None
    of = f"patient=Patient/{quote(id_)}&_count={CHART_SIZE}"
    tasks = [rows.task_row(t) for t in chart.search("Task", f"{of}&code={quote(REVIEW)}&_sort=-_lastUpdated").resources]
    return {
        "patient": rows.patient_row(resource),
        "encounters": [rows.encounter_row(e) for e in chart.search("Encounter", f"{of}&_sort=-date").resources],
        "notes": [rows.note_row(d) for d in chart.search("DocumentReference", f"{of}&_sort=-date").resources],
        "findings": clinical_rows.findings(chart.search("Observation", f"patient=Patient/{quote(id_)}&_sort=-date&_count={MAX_OBSERVATIONS}").resources),
        "medications": [
            *(clinical_rows.medication_row(m) for m in chart.search("MedicationRequest", f"{of}&_sort=-authoredon").resources),
            *(clinical_rows.medication_row(m) for m in chart.search("MedicationStatement", f"{of}&_sort=-effective").resources),
        ],
        "conditions": [rows.condition_row(c) for c in chart.search("Condition", of).resources],
        "claims": [rows.claim_row(c) for c in chart.search("Claim", f"{of}&_sort=-created").resources],
        "tasks": tasks,
        "may_review": chart.may_take("Task"),
        "may_see_cards": may_see_cards(chart),
        "closed": chart.is_closed(id_),
        "may_break_glass": chart.may_break_glass(id_),
        "glass_minutes": chart.glass_minutes,
    }


def may_see_cards(chart: Chart) -> bool:
    """Whether somebody treats: reads estimates and observations, and may add to them; cards are for who can act on them."""
    return chart.may("search", "RiskAssessment", "Observation") and chart.may("create", "Observation")


def work(chart: Chart, user: str, page: str) -> dict[str, Any]:
    """List the review Tasks that are open, oldest first."""
    query = f"code={quote(REVIEW)}&status=requested,in-progress&_sort=_lastUpdated&_count={PAGE_SIZE}"
    found = chart.search("Task", page or query)
    listed = [rows.task_row(resource) for resource in found.resources]
    names = chart.names([row["patient"] for row in listed])
    for row in listed:
        row["name"] = rows.person(names[row["patient"]]) if row["patient"] in names else "Not visible to you"
        row["mine"] = bool(user) and row["owner"] == user
    return {"rows": listed, "next": found.next}


def claims(chart: Chart, page: str) -> dict[str, Any]:
    """List claims, newest first."""
    found = chart.search("Claim", page or f"_sort=-created&_count={PAGE_SIZE}")
    return {"rows": _named(chart, found), "next": found.next}


def _named(chart: Chart, found: Found) -> list[dict[str, Any]]:
    listed = [rows.claim_row(resource) for resource in found.resources]
    names = chart.names([row["patient"] for row in listed] + [row["insurer"] for row in listed])
    for row in listed:
        row["patient_name"] = rows.person(names.get(row["patient"])) if row["patient"] in names else ""
        row["insurer_name"] = str(names.get(row["insurer"], {}).get("name", ""))
    return listed


def claim(chart: Chart, id_: str) -> dict[str, Any] | None:
    """Open one claim with its way from the note to the payment."""
    resource = chart.read(f"Claim/{id_}")
    if resource is None:
        return None
    this = f"Claim/{id_}"
    row = rows.claim_row(resource)
    names = chart.names([row["patient"], row["insurer"]])
    steps = chart.way(this)
    return {
        "claim": row,
        "patient_name": rows.person(names.get(row["patient"])) if row["patient"] in names else "",
        "insurer_name": str(names.get(row["insurer"], {}).get("name", "")),
        "stations": _visible_way(chart, this, row["insurer"]) if steps is None else steps_to_stations(steps),
    }


def _visible_way(chart: Chart, claim: str, insurer: str) -> list[Station]:
    """Give what somebody may see of a way that is not all theirs to see."""
    responses = chart.search("ClaimResponse", f"request={quote(claim)}&_sort=created&_count={CHART_SIZE}").resources
    payments = chart.search("PaymentReconciliation", f"payment-issuer={quote(insurer)}&_sort=-created&_count={MAX_PAYMENTS}").resources
    paid = [row for row in (rows.payment_row(payment, claim) for payment in payments) if row["matches"]]
    return rows_to_stations([rows.response_row(response) for response in responses], paid)
