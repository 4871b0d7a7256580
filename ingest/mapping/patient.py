"""PID to Patient: only the fields that are present; the HL7 null deletes.

Spec: https://build.fhir.org/ig/HL7/v2-to-fhir/ConceptMap-segment-pid-to-patient.html
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from ingest.hl7v2.message import Repetition, Segment
from ingest.hl7v2.problem import REQUIRED_FIELD, TABLE_VALUE
from ingest.hl7v2.timestamps import dtm_to_datetime
from ingest.mapping import tables
from ingest.mapping.change import ENSURE, MERGE, Change, Key
from ingest.mapping.context import MappingContext
from ingest.mapping.datatypes import clean, cx_to_identifier, date, gender, problem, xad_to_address, xpn_to_human_name, xtn_to_contact_point
from ingest.mapping.systems import SSN, THO

_MEDICAL_RECORD = frozenset({"MR", "", "PI", "MRN"})
_CLEARS = {5: "name", 7: "birthDate", 8: "gender", 11: "address", 13: "telecom.home", 14: "telecom.work", 16: "maritalStatus", 29: "deceasedDateTime"}


def pid_to_patient(context: MappingContext, *, ensure: bool = False) -> Key | None:
    """Add the Patient of the message; none, with an error, if nothing identifies it.

    `ensure` is for messages that are not about demographics: the Patient is made if unknown, else left alone.
    """
    segment = context.message.first("PID")
    if segment is None:
        context.error("segment PID is missing", "PID", 1, 0, REQUIRED_FIELD)
        return None
    key = patient_key(segment)
    if key is None:
        context.error("PID-3 carries no patient identifier", "PID", segment.occurrence, 3, REQUIRED_FIELD)
        return None
    resource = {"resourceType": "Patient", "identifier": _identifiers(segment, key), **_demographics(context, segment)}
    clears = tuple(element for number, element in _CLEARS.items() if segment.is_null(number))
    context.add(Change(key, resource, ENSURE if ensure else MERGE, clears=clears, guard="skip"))
    return key


def patient_key(segment: Segment) -> Key | None:
    """Identifier by which a Patient is known: the first medical record number of PID-3, else PID-3, PID-2, PID-4."""
    candidates = [repetition for number in (3, 2, 4) for repetition in segment.repetitions(number) if clean(repetition.value(1))]
    if not candidates:
        return None
    chosen = next((candidate for candidate in candidates if candidate.value(5) in _MEDICAL_RECORD), candidates[0])
    identifier = _identifier(chosen)
    return Key("Patient", identifier["system"], identifier["value"])


def _identifier(repetition: Repetition) -> dict[str, Any]:
    code = repetition.value(5)
    if code == "SS":
        return {**cx_to_identifier(repetition, "ss"), "system": SSN}
    return cx_to_identifier(repetition, "mrn" if code in _MEDICAL_RECORD else f"identifier/{quote(clean(code), safe='')}", "MR")


def _identifiers(segment: Segment, key: Key) -> list[dict[str, Any]]:
    """PID-3 whole; PID-2 only where it is the key."""
    found = [_identifier(repetition) for repetition in segment.repetitions(3) if clean(repetition.value(1))]
    if not any(identifier["system"] == key.system and identifier["value"] == key.value for identifier in found):
        found.insert(0, key.identifier)
    return found


def _demographics(context: MappingContext, segment: Segment) -> dict[str, Any]:
    names = [xpn_to_human_name(name) for name in segment.repetitions(5)]
    addresses = [xad_to_address(address) for address in segment.repetitions(11)]
    telecom = [xtn_to_contact_point(phone, use) for number, use in ((13, "home"), (14, "work")) for phone in segment.repetitions(number)]
    values = {
        "name": [name for name in names if name],
        "telecom": [contact for contact in telecom if contact],
        "gender": gender(segment, 8, context.problems),
        "birthDate": date(segment, 7, context.problems),
        "address": [address for address in addresses if address],
        "maritalStatus": _marital_status(context, segment),
        **_death(context, segment),
    }
    return {name: value for name, value in values.items() if value not in ("", None, [], {})}


def _marital_status(context: MappingContext, segment: Segment) -> dict[str, Any]:
    code = clean(segment.value(16))
    if not code:
        return {}
    known = tables.MARITAL.get(code)
    if known is None:
        context.problems.append(problem(segment, 16, "PID-16 is not in table 0002", TABLE_VALUE))
        return {}
    return {"coding": [{"system": f"{THO}/v3-MaritalStatus", "code": known}]}


def _death(context: MappingContext, segment: Segment) -> dict[str, Any]:
    when = dtm_to_datetime(segment.value(29), context.zone)
    if when:
        return {"deceasedDateTime": when}
    return {"deceasedBoolean": True} if segment.value(30) == "Y" else {}
