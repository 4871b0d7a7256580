"""HL7 v2 messages of a visit: registration, update, note, charges, discharge; the same visit always gives the same bytes.

Spec: https://www.hl7.eu/HL7v2x/v251/std251/ch02.html
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from chartloop.demo.messages_charges import Charge, charges_of
from chartloop.demo.messages_notes import Note, medical_note, psychiatric_note
from chartloop.demo.messages_segments import charge_segments, discharge_segments, header, insurance, note_segments, person_segment, visit_segment
from chartloop.demo.population_directory import CLINICIANS, PAYERS, PSYCHIATRIST, Practitioner
from chartloop.demo.population_people import Person

PSYCHIATRIC_VISITS = 3
INPATIENT_VISIT = 1
"""Which visit of a day is an admission."""
_MEDICAL_RECORD = "MR"


@dataclass(frozen=True, slots=True)
class Visit:
    """One visit as the EHR knows it; `note.codes` are what a coder would assign."""

    number: str
    person: Person
    clinician: Practitioner
    start: datetime
    note: Note
    charges: tuple[Charge, ...]
    inpatient: bool = False

    @property
    def psychiatric(self) -> bool:
        """Whether the visit was with psychiatry."""
        return self.clinician.service == PSYCHIATRIST.service

    @property
    def document(self) -> str:
        """Number of the note (TXA-12)."""
        return f"{self.number}-N1"


@dataclass(frozen=True, slots=True)
class Message:
    """One message: what it is, its control id, and its text."""

    type: str
    control_id: str
    text: str


def visit_messages(visit: Visit) -> list[Message]:
    """A04 (A01 for an admission), A08, MDM^T02, DFT^P03, A03, in the order in which an EHR sends them."""
    admission = "A01" if visit.inpatient else "A04"
    structure = "ADT_A01"
    steps: Sequence[tuple[str, str, int, str]] = (
        (f"ADT^{admission}^{structure}", "1", 0, person_segment(visit.person) + visit_segment(visit) + insurance(visit.person)),
        (f"ADT^A08^{structure}", "2", 4, person_segment(visit.person, work_phone="+1-217-555-0199") + visit_segment(visit)),
        ("MDM^T02^MDM_T02", "3", 20, person_segment(visit.person) + visit_segment(visit) + note_segments(visit)),
        ("DFT^P03^DFT_P03", "4", 25, person_segment(visit.person) + visit_segment(visit) + charge_segments(visit)),
        ("ADT^A03^ADT_A03", "5", 30, person_segment(visit.person) + discharge_segments(visit)),
    )
    return [
        Message(kind, f"{visit.number}-{step}", header(kind, f"{visit.number}-{step}", visit.start + timedelta(minutes=minutes)) + segments)
        for kind, step, minutes, segments in steps
    ]


def plan_visits(people: Sequence[Person], day: date, seed: int) -> Iterator[Visit]:
    """One visit per person on one day; one is an admission, the last few are with psychiatry."""
    for index, person in enumerate(people):
        dice = random.Random(f"{seed}/visit/{person.mrn}")
        psychiatric = index >= len(people) - PSYCHIATRIC_VISITS
        clinician = PSYCHIATRIST if psychiatric else CLINICIANS[index % len(CLINICIANS)]
        visit = _visit(f"V{day:%y%m%d}{index + 1:03d}", person, clinician, _start(day, index), dice)
        yield replace(visit, inpatient=index == INPATIENT_VISIT)


def for_loaded_patient(patient: Mapping[str, Any], *, index: int, day: date, seed: int) -> Visit | None:
    """A visit for a Patient that was loaded as FHIR; none if it died or has no identifier, name or date of birth.

    The messages name the Patient by the identifier it already has (assigning authority = the identifier's system), so that they add an
    encounter, a coverage, a note and charges to that Patient instead of making another one.
    """
    identifier = _record_number(patient)
    name = next((name for name in patient.get("name", ()) if name.get("family") and name.get("given")), None)
    deceased = patient.get("deceasedBoolean") or patient.get("deceasedDateTime")
    if identifier is None or name is None or deceased or not patient.get("birthDate"):
        return None
    dice = random.Random(f"{seed}/loaded/{identifier['value']}")
    person = _loaded_person(patient, identifier, name, index, dice)
    return _visit(f"L{day:%y%m%d}{index + 1:03d}", person, CLINICIANS[index % len(CLINICIANS)], _start(day, index + 200), dice)


def _loaded_person(patient: Mapping[str, Any], identifier: Mapping[str, str], name: Mapping[str, Any], index: int, dice: random.Random) -> Person:
    address: Mapping[str, Any] = next(iter(patient.get("address", ())), {})
    phone = next((contact.get("value", "") for contact in patient.get("telecom", ()) if contact.get("system") == "phone"), "")
    payer = PAYERS[index % len(PAYERS)]
    return Person(
        mrn=identifier["value"],
        mrn_system=identifier["system"],
        family=name["family"],
        given=tuple(name["given"]),
        gender=patient.get("gender", "unknown"),
        birth_date=patient["birthDate"],
        line=next(iter(address.get("line", ())), "1 Unknown St"),
        city=address.get("city", "Meadowbend"),
        # What the history leaves out, registration asks: a claim needs a whole address.
        state=address["state"] if len(address.get("state", "")) == 2 else "IL",
        postal_code=address.get("postalCode") or "62799",
        phone=phone,
        payer=payer,
        member_id=f"{payer.id[:2]}{dice.randint(10_000_000, 99_999_999)}",
        group=f"G{dice.randint(1000, 9999)}",
        prefix=next(iter(name.get("prefix", ())), ""),
    )


def _record_number(patient: Mapping[str, Any]) -> Mapping[str, str] | None:
    """The medical record number, else the first identifier with a system."""
    found = [identifier for identifier in patient.get("identifier", ()) if identifier.get("system") and identifier.get("value")]
    for identifier in found:
        if any(coding.get("code") == _MEDICAL_RECORD for coding in identifier.get("type", {}).get("coding", ())):
            chosen: Mapping[str, str] = identifier
            return chosen
    return found[0] if found else None


def _visit(number: str, person: Person, clinician: Practitioner, start: datetime, dice: random.Random) -> Visit:
    name = f"{' '.join(person.given)} {person.family}"
    age = start.year - int(person.birth_date[:4])
    write = psychiatric_note if clinician is PSYCHIATRIST else medical_note
    note = write(name, age, dice)
    return Visit(number, person, clinician, start, note, tuple(charges_of(note.charges)))


def _start(day: date, index: int) -> datetime:
    """Visits begin at eight, six an hour on ten-minute slots."""
    return datetime(day.year, day.month, day.day, 8) + timedelta(minutes=10 * (index % 48))  # noqa: DTZ001 local time; messages carry the offset
