"""Resources of a small chart: a woman of 60 with everything that the equation needs."""

from __future__ import annotations

from typing import Any

PATIENT: dict[str, Any] = {"resourceType": "Patient", "id": "p1", "gender": "female", "birthDate": "1966-03-01"}
PANEL: dict[str, Any] = {
    "resourceType": "Observation",
    "id": "bp",
    "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "85354-9"}]},
    "subject": {"reference": "Patient/p1"},
    "effectiveDateTime": "2026-11-20T09:00:00Z",
    "component": [
        {
            "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
            "valueQuantity": {"value": value, "unit": "mmHg", "system": "http://unitsofmeasure.org", "code": "mm[Hg]"},
        }
        for code, value in (("8480-6", 158), ("8462-4", 92))
    ],
}
SMOKER: dict[str, Any] = {
    "resourceType": "Observation",
    "id": "smoking",
    "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "72166-2"}]},
    "subject": {"reference": "Patient/p1"},
    "effectiveDateTime": "2026-10-01",
    "valueCodeableConcept": {"coding": [{"system": "http://snomed.info/sct", "code": "266919005", "display": "Never smoked tobacco"}]},
}
DIABETES: dict[str, Any] = {
    "resourceType": "Condition",
    "id": "dm",
    "clinicalStatus": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]},
    "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "E11.9"}]},
    "subject": {"reference": "Patient/p1"},
    "onsetDateTime": "2020-05-01",
}
LISINOPRIL: dict[str, Any] = {
    "resourceType": "MedicationRequest",
    "id": "rx",
    "status": "active",
    "intent": "order",
    "medicationCodeableConcept": {
        "coding": [{"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": "314076", "display": "lisinopril 10 MG Oral Tablet"}]
    },
    "subject": {"reference": "Patient/p1"},
    "authoredOn": "2026-01-10",
}


def measured(id_: str, code: str, value: float, unit: str, date: str = "2026-06-01T08:00:00Z", **more: Any) -> dict[str, Any]:
    """An Observation with one quantity."""
    return {
        "resourceType": "Observation",
        "id": id_,
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
        "subject": {"reference": "Patient/p1"},
        "effectiveDateTime": date,
        "valueQuantity": {"value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit},
        **more,
    }


LABS = [measured("tc", "2093-3", 220, "mg/dL"), measured("hdl", "2085-9", 45, "mg/dL"), measured("crea", "2160-0", 0.9, "mg/dL")]
CHART = [PATIENT, PANEL, SMOKER, DIABETES, LISINOPRIL, *LABS]
