"""The demo's patients and their coverage."""

from __future__ import annotations

import random
from dataclasses import dataclass

from chartloop.demo.population_directory import CLINICIANS, FACILITY, PAYER_SYSTEM, PAYERS, Payer
from chartloop.demo.population_ids import BASE, ID_TYPE, NPI, Resource, identified, inside, outside
from chartloop.demo.population_names import PEOPLE, STREETS, TOWNS

MRN_SYSTEM = f"{BASE}/mrn/{FACILITY}"
MEMBER_SYSTEM = f"{BASE}/member-id"


@dataclass(frozen=True, slots=True)
class Person:
    """A patient as messages need it. `mrn_system` is the system under which the FHIR Patient carries `mrn`."""

    mrn: str
    mrn_system: str
    family: str
    given: tuple[str, ...]
    gender: str
    birth_date: str
    line: str
    city: str
    state: str
    postal_code: str
    phone: str
    payer: Payer
    member_id: str
    group: str
    prefix: str = ""


def people(count: int, seed: int) -> list[Person]:
    """Invented patients, the same for the same seed."""
    dice = random.Random(seed)
    return [_person(number, dice) for number in range(count)]


def patient(person: Person) -> Resource:
    """FHIR Patient."""
    coding = [{"system": ID_TYPE, "code": "MR", "display": "Medical record number"}]
    resource = identified(
        "Patient",
        person.mrn_system,
        person.mrn,
        active=True,
        name=[{"use": "official", "family": person.family, "given": list(person.given)}],
        telecom=[{"system": "phone", "value": person.phone, "use": "home"}],
        gender=person.gender,
        birthDate=person.birth_date,
        address=[{"use": "home", "line": [person.line], "city": person.city, "state": person.state, "postalCode": person.postal_code, "country": "US"}],
        generalPractitioner=[outside("Practitioner", NPI, CLINICIANS[0].npi)],
    )
    resource["identifier"][0]["type"] = {"coding": coding}
    return resource


def coverage(person: Person, of: Resource) -> Resource:
    """FHIR Coverage; its identifiers are those that the mapping of IN1 gives it, so that a message finds it again."""
    resource = identified(
        "Coverage",
        f"{BASE}/coverage/{person.payer.id}",
        f"{person.member_id}-{person.mrn}",
        status="active",
        type={"coding": [{"system": f"{BASE}/CodeSystem/claim-filing", "code": person.payer.plan_type}]},
        subscriber=inside(of),
        subscriberId=person.member_id,
        beneficiary=inside(of),
        relationship={"coding": [{"system": "http://terminology.hl7.org/CodeSystem/subscriber-relationship", "code": "self"}]},
        period={"start": "2026-01-01"},
        payor=[outside("Organization", PAYER_SYSTEM, person.payer.id)],
        order=1,
    )
    resource["identifier"].append({"system": MEMBER_SYSTEM, "value": person.member_id})
    return resource


def _person(number: int, dice: random.Random) -> Person:
    given, family, gender = PEOPLE[number % len(PEOPLE)]
    if number >= len(PEOPLE):
        family = f"{family}-{PEOPLE[(number * 7 + number // len(PEOPLE)) % len(PEOPLE)][1]}"
    town = TOWNS[number % len(TOWNS)]
    payer = PAYERS[number % len(PAYERS)]
    year, month, day = dice.randint(1938, 2003), dice.randint(1, 12), dice.randint(1, 28)
    return Person(
        mrn=f"MB{100101 + number * 37}",
        mrn_system=MRN_SYSTEM,
        family=family,
        given=(given, dice.choice("ABCDEFGHJKLMNPRSTW")),
        gender=gender,
        birth_date=f"{year}-{month:02d}-{day:02d}",
        line=f"{dice.randint(11, 989)} {dice.choice(STREETS)}",
        city=town[0],
        state=town[1],
        postal_code=f"{town[2]}-{dice.randint(1001, 9899):04d}",
        phone=f"+1-217-555-{dice.randint(100, 199):04d}",
        payer=payer,
        member_id=f"{payer.id[:2]}{dice.randint(10_000_000, 99_999_999)}",
        group=f"G{dice.randint(1000, 9999)}",
    )
