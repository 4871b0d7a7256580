"""Charts like Synthea's in the mix of types, codes and dates, made fast: strings put together, nothing parsed.

A chart is small (12 resources), so that many patients fit on a small disk: what flatness asks is how many rows an index has.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

CHART = 12
"""Resources of one patient."""

FAMILIES = ("Abbott", "Bauer", "Cole", "Diaz", "Ek", "Fischer", "Gomez", "Haas", "Ito", "Jung", "Koch", "Lind", "Moreau", "Novak", "Oduya", "Pham")
GIVEN = ("Ada", "Ben", "Chloé", "Dmitri", "Eva", "Finn", "Greta", "Hugo", "Inès", "Jan", "Kim", "Lena", "Milo", "Nora", "Omar", "Pia")
CITIES = ("Boston", "Worcester", "Springfield", "Lowell", "Cambridge", "Brockton", "Quincy", "Lynn")
VITALS = (
    ("8302-2", "Body height", "cm", 150, 195), ("29463-7", "Body weight", "kg", 45, 120), ("39156-5", "Body mass index", "kg/m2", 17, 40),
    ("8867-4", "Heart rate", "/min", 50, 110), ("9279-1", "Respiratory rate", "/min", 10, 22), ("2339-0", "Glucose", "mg/dL", 60, 220),
    ("718-7", "Hemoglobin", "g/dL", 9, 18), ("2093-3", "Cholesterol", "mg/dL", 110, 300), ("6299-2", "Urea nitrogen", "mg/dL", 5, 30),
    ("2947-0", "Sodium", "mmol/L", 130, 150),
)  # fmt: skip
CONDITIONS = ("59621000", "44054006", "195662009", "444814009", "10509002", "15777000", "162864005", "271737000", "38341003", "73211009")
PROCEDURES = ("430193006", "117015009", "76601001", "171207006", "454711000124102", "23426006")
MEDICINES = ("314076", "860975", "313782", "197361", "310798", "243670")
VACCINES = ("140", "113", "115", "121", "33", "62")
_SCT, _LOINC = "http://snomed.info/sct", "http://loinc.org"


def bundles(seed: int, first: int, last: int, patients: int = 25) -> Iterator[bytes]:
    """Transaction bundles of the charts numbered first to last (exclusive); the same numbers give the same charts."""
    for start in range(first, last, patients):
        entries = ",".join(entry for number in range(start, min(start + patients, last)) for entry in chart(seed, number))
        yield f'{{"resourceType":"Bundle","type":"transaction","entry":[{entries}]}}'.encode()


def chart(seed: int, number: int) -> Iterator[str]:
    """The entries of one patient, whose id is `p` and the number."""
    dice = random.Random(seed * 1_000_003 + number)
    patient = f"p{number}"
    yield _entry("PUT", f"Patient/{patient}", _patient(dice, number))
    subject = f'"subject":{{"reference":"Patient/{patient}"}}'
    day = f"{dice.randrange(2005, 2026)}-{dice.randrange(1, 13):02}-{dice.randrange(1, 29):02}"
    encounter = f"e{number}"
    yield _entry("PUT", f"Encounter/{encounter}",
        f'{{"resourceType":"Encounter","id":"{encounter}","status":"finished","class":{{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"AMB"}},'
        f'{subject},"period":{{"start":"{day}T09:00:00Z","end":"{day}T09:{dice.randrange(10, 60)}:00Z"}}}}')  # fmt: skip
    seen = f'"encounter":{{"reference":"Encounter/{encounter}"}}'
    for _ in range(5):
        yield _entry("POST", "Observation", _vital(dice, subject, seen))
    yield _entry("POST", "Observation", _pressure(dice, subject, seen))
    yield _entry("POST", "Condition",
        f'{{"resourceType":"Condition","clinicalStatus":{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/condition-clinical","code":"{dice.choice(("active", "resolved"))}"}}]}},'
        f'"code":{_concept(_SCT, dice.choice(CONDITIONS))},{subject},{seen},"onsetDateTime":"{_day(dice)}"}}')  # fmt: skip
    yield _entry("POST", "Procedure",
        f'{{"resourceType":"Procedure","status":"completed","code":{_concept(_SCT, dice.choice(PROCEDURES))},{subject},{seen},"performedDateTime":"{_day(dice)}T10:00:00Z"}}')  # fmt: skip
    yield _entry("POST", "MedicationRequest",
        f'{{"resourceType":"MedicationRequest","status":"active","intent":"order","medicationCodeableConcept":{_concept("http://www.nlm.nih.gov/research/umls/rxnorm", dice.choice(MEDICINES))},'
        f'{subject},{seen},"authoredOn":"{_day(dice)}T10:00:00Z"}}')  # fmt: skip
    yield _entry("POST", "Immunization",
        f'{{"resourceType":"Immunization","status":"completed","vaccineCode":{_concept("http://hl7.org/fhir/sid/cvx", dice.choice(VACCINES))},'
        f'"patient":{{"reference":"Patient/{patient}"}},{seen},"occurrenceDateTime":"{_day(dice)}T10:00:00Z"}}')  # fmt: skip


def _patient(dice: random.Random, number: int) -> str:
    family = f"{dice.choice(FAMILIES)}{number}"
    return (
        f'{{"resourceType":"Patient","id":"p{number}","identifier":[{{"system":"urn:mrn","value":"{number}"}}],"active":true,'
        f'"name":[{{"use":"official","family":"{family}","given":["{dice.choice(GIVEN)}"]}}],"gender":"{dice.choice(("male", "female"))}",'
        f'"birthDate":"{dice.randrange(1930, 2024)}-{dice.randrange(1, 13):02}-{dice.randrange(1, 29):02}",'
        f'"address":[{{"line":["{dice.randrange(1, 999)} Main St"],"city":"{dice.choice(CITIES)}","state":"MA","postalCode":"{dice.randrange(1001, 2799):05}"}}]}}'
    )


def _vital(dice: random.Random, subject: str, seen: str) -> str:
    code, name, unit, low, high = dice.choice(VITALS)
    return (
        f'{{"resourceType":"Observation","status":"final","category":[{_concept("http://terminology.hl7.org/CodeSystem/observation-category", "vital-signs")}],'
        f'"code":{_concept(_LOINC, code, name)},{subject},{seen},"effectiveDateTime":"{_day(dice)}T10:{dice.randrange(60):02}:00Z",'
        f'"valueQuantity":{_quantity(dice.randrange(low * 10, high * 10) / 10, unit)}}}'
    )


def _pressure(dice: random.Random, subject: str, seen: str) -> str:
    parts = ",".join(
        f'{{"code":{_concept(_LOINC, code)},"valueQuantity":{_quantity(dice.randrange(low, high), "mm[Hg]")}}}'
        for code, low, high in (("8480-6", 95, 180), ("8462-4", 55, 110))
    )
    return (
        f'{{"resourceType":"Observation","status":"final","category":[{_concept("http://terminology.hl7.org/CodeSystem/observation-category", "vital-signs")}],'
        f'"code":{_concept(_LOINC, "85354-9", "Blood pressure")},{subject},{seen},"effectiveDateTime":"{_day(dice)}T10:00:00Z","component":[{parts}]}}'
    )


def _day(dice: random.Random) -> str:
    return f"{dice.randrange(2005, 2026)}-{dice.randrange(1, 13):02}-{dice.randrange(1, 29):02}"


def _quantity(value: float, unit: str) -> str:
    return f'{{"value":{value},"unit":"{unit}","system":"http://unitsofmeasure.org","code":"{unit}"}}'


def _concept(system: str, code: str, display: str = "") -> str:
    shown = f',"display":"{display}"' if display else ""
    return f'{{"coding":[{{"system":"{system}","code":"{code}"{shown}}}]}}'


def _entry(method: str, url: str, resource: str) -> str:
    return f'{{"resource":{resource},"request":{{"method":"{method}","url":"{url}"}}}}'
