"""What happened before the demo begins: earlier visits, conditions, measurements, prescriptions."""

from __future__ import annotations

import random
from datetime import date, timedelta

from chartloop.demo.population_directory import CLINICIANS, FACILITY, FACILITY_SYSTEM
from chartloop.demo.population_ids import BASE, NPI, Resource, coded, identified, inside, outside

_SNOMED = "http://snomed.info/sct"
_LOINC = "http://loinc.org"
_RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
_UCUM = "http://unitsofmeasure.org"
_CONDITION = "http://terminology.hl7.org/CodeSystem/condition-"
# SNOMED CT condition, and the RxNorm drug that goes with it
_PROBLEMS = (
    ("38341003", "Hypertensive disorder", "314076", "lisinopril 10 MG Oral Tablet"),
    ("44054006", "Diabetes mellitus type 2", "860975", "24 HR Metformin hydrochloride 500 MG Extended Release Oral Tablet"),
    ("55822004", "Hyperlipidemia", "314231", "Simvastatin 10 MG Oral Tablet"),
    ("195967001", "Asthma", "895994", "120 ACTUAT Fluticasone propionate 0.044 MG/ACTUAT Metered Dose Inhaler"),
    ("235595009", "Gastroesophageal reflux disease", "", ""),
    ("396275006", "Osteoarthritis", "198440", "Acetaminophen 500 MG Oral Tablet"),
)
_MEASURES = (
    ("8867-4", "Heart rate", "/min", 58, 92, 0),
    ("29463-7", "Body weight", "kg", 54, 104, 1),
    ("8302-2", "Body height", "cm", 152, 190, 0),
    ("8310-5", "Body temperature", "Cel", 36, 37, 1),
)


def history(patient: Resource, day: date, seed: int) -> list[Resource]:
    """Two earlier visits of one patient, with what was found and prescribed."""
    mrn = patient["identifier"][0]["value"]
    dice = random.Random(f"{seed}/{mrn}")
    problems = dice.sample(_PROBLEMS, 2)
    resources: list[Resource] = []
    for number, (problem, days_ago) in enumerate(zip(problems, (dice.randint(300, 700), dice.randint(60, 250)), strict=True), start=1):
        seen = day - timedelta(days=days_ago)
        encounter = _encounter(patient, f"{mrn}-H{number}", seen, dice)
        condition = _condition(patient, encounter, problem, seen, f"{mrn}-C{number}")
        resources += [encounter, condition, *_measurements(patient, encounter, seen, dice, f"{mrn}-{number}")]
        if problem[2]:
            resources.append(_prescription(patient, encounter, condition, problem, seen, f"{mrn}-M{number}"))
    return resources


def _encounter(patient: Resource, number: str, seen: date, dice: random.Random) -> Resource:
    hour, clinician = dice.randint(8, 15), dice.choice(CLINICIANS)
    return identified(
        "Encounter",
        f"{BASE}/visit/{FACILITY}",
        number,
        status="finished",
        **{"class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB", "display": "ambulatory"}},
        subject=inside(patient),
        participant=[
            {
                "type": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "code": "ATND", "display": "attender"}]}],
                "individual": outside("Practitioner", NPI, clinician.npi),
            },
        ],
        period={"start": f"{seen}T{hour:02d}:00:00-06:00", "end": f"{seen}T{hour:02d}:25:00-06:00"},
        serviceProvider=outside("Organization", FACILITY_SYSTEM, FACILITY),
    )


def _condition(patient: Resource, encounter: Resource, problem: tuple[str, str, str, str], seen: date, number: str) -> Resource:
    return identified(
        "Condition",
        f"{BASE}/condition/{FACILITY}",
        number,
        clinicalStatus={"coding": [{"system": f"{_CONDITION}clinical", "code": "active"}]},
        verificationStatus={"coding": [{"system": f"{_CONDITION}ver-status", "code": "confirmed"}]},
        category=[{"coding": [{"system": f"{_CONDITION}category", "code": "problem-list-item"}]}],
        code=coded(_SNOMED, problem[0], problem[1]),
        subject=inside(patient),
        encounter=inside(encounter),
        onsetDateTime=str(seen),
        recordedDate=str(seen),
    )


def _measurements(patient: Resource, encounter: Resource, seen: date, dice: random.Random, number: str) -> list[Resource]:
    found = [_pressure(patient, encounter, seen, dice, f"{number}-BP")]
    for code, display, unit, low, high, digits in _MEASURES:
        value = round(dice.uniform(low, high), digits) if digits else dice.randint(low, high)
        observation = _observation(patient, encounter, seen, f"{number}-{code}", coded(_LOINC, code, display))
        observation["valueQuantity"] = {"value": value, "unit": unit, "system": _UCUM, "code": unit}
        found.append(observation)
    return found


def _pressure(patient: Resource, encounter: Resource, seen: date, dice: random.Random, number: str) -> Resource:
    observation = _observation(patient, encounter, seen, number, coded(_LOINC, "85354-9", "Blood pressure panel with all children optional"))
    observation["component"] = [
        {"code": coded(_LOINC, code, display), "valueQuantity": {"value": dice.randint(low, high), "unit": "mm[Hg]", "system": _UCUM, "code": "mm[Hg]"}}
        for code, display, low, high in (("8480-6", "Systolic blood pressure", 108, 152), ("8462-4", "Diastolic blood pressure", 62, 94))
    ]
    return observation


def _observation(patient: Resource, encounter: Resource, seen: date, number: str, code: Resource) -> Resource:
    category = coded("http://terminology.hl7.org/CodeSystem/observation-category", "vital-signs", "Vital Signs")
    return identified(
        "Observation",
        f"{BASE}/observation/{FACILITY}",
        number,
        status="final",
        category=[category],
        code=code,
        subject=inside(patient),
        encounter=inside(encounter),
        effectiveDateTime=f"{seen}T09:05:00-06:00",
    )


def _prescription(patient: Resource, encounter: Resource, condition: Resource, problem: tuple[str, str, str, str], seen: date, number: str) -> Resource:
    return identified(
        "MedicationRequest",
        f"{BASE}/prescription/{FACILITY}",
        number,
        status="active",
        intent="order",
        medicationCodeableConcept=coded(_RXNORM, problem[2], problem[3]),
        subject=inside(patient),
        encounter=inside(encounter),
        authoredOn=str(seen),
        reasonReference=[inside(condition)],
        dosageInstruction=[{"text": "as directed, once daily"}],
    )
