"""One patient with a stored stroke risk: three versions of the estimate, and the observations behind it."""

from typing import Any

BASE = "https://chartloop.example/fhir"
PATIENT = {"reference": "Patient/anna"}
UCUM = "http://unitsofmeasure.org"
RISK_ID = "anna-stroke"


def concept(system: str, code: str, display: str) -> dict[str, Any]:
    """Write a CodeableConcept."""
    return {"coding": [{"system": system, "code": code, "display": display}], "text": display}


def quantity(value: float, unit: str) -> dict[str, Any]:
    """Write a Quantity in UCUM."""
    return {"value": value, "unit": unit, "system": UCUM, "code": unit}


def observation(id_: str, code: str, display: str, value: float, unit: str, at: str, category: str) -> dict[str, Any]:
    """Write an Observation as intake does."""
    return {
        "resourceType": "Observation",
        "id": id_,
        "status": "final",
        "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": category}]}],
        "code": concept("http://loinc.org", code, display),
        "subject": PATIENT,
        "effectiveDateTime": at,
        "valueQuantity": quantity(value, unit),
    }


def resources() -> list[dict[str, Any]]:
    """Give everything but the estimate, references first."""
    pressure = {
        "resourceType": "Observation",
        "id": "bp-2",
        "status": "final",
        "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs"}]}],
        "code": concept("http://loinc.org", "85354-9", "Blood pressure panel"),
        "subject": PATIENT,
        "effectiveDateTime": "2026-11-20T09:00:00+01:00",
        "component": [
            {"code": concept("http://loinc.org", "8480-6", "Systolic blood pressure"), "valueQuantity": quantity(158, "mm[Hg]")},
            {"code": concept("http://loinc.org", "8462-4", "Diastolic blood pressure"), "valueQuantity": quantity(92, "mm[Hg]")},
        ],
    }
    condition = {
        "resourceType": "Condition",
        "id": "dm",
        "clinicalStatus": concept("http://terminology.hl7.org/CodeSystem/condition-clinical", "active", "Active"),
        "code": concept("http://snomed.info/sct", "44054006", "Diabetes mellitus type 2"),
        "subject": PATIENT,
        "onsetDateTime": "2019-04-02",
    }
    medication = {
        "resourceType": "MedicationRequest",
        "id": "amlo",
        "status": "active",
        "intent": "order",
        "medicationCodeableConcept": concept("http://www.nlm.nih.gov/research/umls/rxnorm", "197361", "amlodipine 5 MG Oral Tablet"),
        "subject": PATIENT,
        "authoredOn": "2024-05-06",
        "dosageInstruction": [{"text": "One tablet each morning"}],
    }
    return [
        {
            "resourceType": "Patient",
            "id": "anna",
            "identifier": [{"system": f"{BASE}/mrn", "value": "MRN-60001"}],
            "name": [{"family": "Lindqvist", "given": ["Anna"]}],
            "gender": "female",
            "birthDate": "1966-02-11",
            "generalPractitioner": [{"reference": "Practitioner/9"}, {"reference": "Practitioner/ada"}],
        },
        observation("bp-1", "8480-6", "Systolic blood pressure", 149, "mm[Hg]", "2026-06-03T10:20:00Z", "vital-signs"),
        pressure,
        observation("pulse", "8867-4", "Heart rate", 74, "/min", "2026-11-20T08:00:00Z", "vital-signs"),
        observation("chol", "2093-3", "Total cholesterol", 231, "mg/dL", "2026-11-18T07:30:00Z", "laboratory"),
        observation("egfr", "98979-8", "eGFR", 88, "mL/min/{1.73_m2}", "2026-11-18T07:30:00Z", "laboratory"),
        condition,
        medication,
    ]


def contribution(label: str, value: float | str, size: float, *basis: str, unit: str = "", date: str = "2026-11-20T09:00:00Z") -> dict[str, Any]:
    """Write one contribution in the shape of the stored prediction."""
    said: dict[str, Any] = {"url": "valueString", "valueString": value} if isinstance(value, str) else {"url": "valueQuantity", "valueQuantity": quantity(value, unit)}
    facts = [
        {"url": "feature", "valueCode": label.lower().replace(" ", "-")},
        {"url": "label", "valueString": label},
        said,
        {"url": "date", "valueDateTime": date},
        {"url": "contribution", "valueDecimal": size},
        *({"url": "basis", "valueReference": {"reference": reference}} for reference in basis),
    ]
    return {"url": f"{BASE}/StructureDefinition/risk-contribution", "extension": facts}


def risk(probability: float, at: str, systolic: float, size: float) -> dict[str, Any]:
    """Write the estimate as it stood at one time; the contributions sum up to the distance from the baseline of 2.8 %."""
    return {
        "resourceType": "RiskAssessment",
        "id": RISK_ID,
        "identifier": [{"system": f"{BASE}/risk", "value": "prevent-stroke-10y|anna"}],
        "status": "final",
        "method": {
            "coding": [{"system": f"{BASE}/CodeSystem/risk-model", "code": "prevent-stroke-10y", "version": "1.0.0", "display": "AHA PREVENT 2023, stroke, 10 years"}]
        },
        "code": {"coding": [{"system": f"{BASE}/CodeSystem/risk", "code": "stroke-10y"}], "text": "10-year risk of stroke"},
        "subject": PATIENT,
        "occurrenceDateTime": at,
        "basis": [{"reference": r} for r in ("Patient/anna", "Observation/bp-2", "Observation/chol", "Observation/egfr", "Condition/dm", "MedicationRequest/amlo")],
        "prediction": [
            {
                "outcome": {"coding": [{"system": "http://snomed.info/sct", "code": "230690007"}], "text": "Stroke"},
                "probabilityDecimal": probability,
                "relativeRisk": round(probability / 0.028, 2),
                "whenRange": {"low": {"value": 0, "unit": "a", "system": UCUM, "code": "a"}, "high": {"value": 10, "unit": "a", "system": UCUM, "code": "a"}},
            }
        ],
        "extension": [
            {
                "url": f"{BASE}/StructureDefinition/risk-baseline",
                "extension": [{"url": "probability", "valueDecimal": 0.028}, {"url": "text", "valueString": "a woman of 60 with the reference values of the equation"}],
            },
            contribution("Systolic blood pressure", systolic, size, "Observation/bp-2", unit="mm[Hg]"),
            contribution("Diabetes", "yes", 0.5021, "Condition/dm", date="2019-04-02"),
            contribution("Treated for high blood pressure", "yes", 0.1204, "MedicationRequest/amlo", date="2024-05-06"),
            contribution("Total cholesterol", 231, 0.0412, "Observation/chol", unit="mg/dL", date="2026-11-18T07:30:00Z"),
            contribution("eGFR", 88, -0.0537, "Observation/egfr", unit="mL/min/{1.73_m2}", date="2026-11-18T07:30:00Z"),
            contribution("Smoking", "no", -0.1480, "Observation/smoking-gone"),
            {"url": f"{BASE}/StructureDefinition/risk-missing", "valueString": "HDL cholesterol"},
            {"url": f"{BASE}/StructureDefinition/risk-missing", "valueString": "Body mass index"},
            {"url": f"{BASE}/StructureDefinition/risk-input", "valueString": "0" * 64},
        ],
    }


def versions() -> list[dict[str, Any]]:
    """Give the estimate as it was stored three times."""
    return [
        risk(0.0436, "2026-03-02T09:00:00.000Z", 139, 0.0),
        risk(0.0479, "2026-06-03T10:30:00.000Z", 149, 0.098),
        risk(0.0572, "2026-11-20T08:10:00.000Z", 158, 0.2831),
    ]


def preliminary(id_: str = RISK_ID) -> dict[str, Any]:
    """Write an estimate that could not be made."""
    stored = risk(0.05, "2026-11-21T08:10:00.000Z", 158, 0.2)
    missing = [{"url": f"{BASE}/StructureDefinition/risk-missing", "valueString": name} for name in ("Total cholesterol", "HDL cholesterol")]
    return {**{name: value for name, value in stored.items() if name != "prediction"}, "id": id_, "status": "preliminary", "extension": missing}
