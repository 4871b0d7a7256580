"""Names of the coding workflow: systems, extensions, codes."""

from __future__ import annotations

from claims.mapping.systems import BASE

TASK_OUTPUT = f"{BASE}/CodeSystem/task-output"
TASK_REASON = f"{BASE}/CodeSystem/task-reason"
REVIEW_CODING = "review-coding"
SUGGESTION = f"{BASE}/StructureDefinition/suggestion"
DECISION = f"{BASE}/StructureDefinition/decision"
NOTE_VERSION = f"{BASE}/StructureDefinition/note-version"
CALIBRATION = f"{BASE}/StructureDefinition/calibration-record"
ICD_10_CM = "http://hl7.org/fhir/sid/icd-10-cm"
PARTICIPANT = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
OPEN_STATUSES = ("requested", "received", "accepted", "ready", "in-progress", "on-hold")
CLOSED_STATUSES = ("completed", "cancelled")
