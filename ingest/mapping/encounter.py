"""PV1 to Encounter.

Spec: https://build.fhir.org/ig/HL7/v2-to-fhir/ConceptMap-segment-pv1-to-encounter.html
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from ingest.hl7v2.message import Segment
from ingest.hl7v2.problem import REQUIRED_FIELD
from ingest.mapping import tables
from ingest.mapping.change import ENSURE, MERGE, Change, Key, reference
from ingest.mapping.context import MappingContext
from ingest.mapping.datatypes import clean, compact, cwe_to_codeable_concept, practice_setting, problem
from ingest.mapping.organization import facility_reference
from ingest.mapping.practitioner import xcn_to_reference
from ingest.mapping.systems import BASE, THO, identifier_system


def pv1_to_encounter(context: MappingContext, patient: Key, *, ensure: bool = False) -> Key | None:
    """Add the Encounter of the message; none, with a warning, if no visit number identifies it.

    A03 finishes it. A08 says nothing about its state. `ensure` is for messages that only refer to the visit.
    """
    segment = context.message.first("PV1")
    if segment is None:
        return None
    key = encounter_key(context)
    if key is None:
        context.problems.append(problem(segment, 19, "PV1-19 carries no visit number: no Encounter is mapped", REQUIRED_FIELD))
        return None
    resource = {"resourceType": "Encounter", "identifier": [key.identifier], "subject": reference(patient), **_elements(context, segment)}
    status, period = _status(context, segment), _period(context, segment)
    defaults: dict[str, Any] = {"class": _class("")}
    if context.message.trigger == "A08" or ensure:
        defaults["status"] = status
    else:
        resource["status"] = status
    if period:
        resource["period"] = period
    context.add(Change(key, resource, ENSURE if ensure else MERGE, defaults=defaults, guard="fill"))
    return key


def encounter_key(context: MappingContext) -> Key | None:
    """Visit number: PV1-19, else PV1-50, else the account number PID-18."""
    for name, number in (("PV1", 19), ("PV1", 50), ("PID", 18)):
        segment = context.message.first(name)
        value = clean(segment.value(number)) if segment is not None else ""
        if segment is not None and value:
            authority = segment.first(number)
            return Key("Encounter", identifier_system("visit", clean(authority.value(4)), clean(authority.value(4, 2))), value)
    return None


def _elements(context: MappingContext, segment: Segment) -> dict[str, Any]:
    return compact(
        {
            "class": _class(clean(segment.value(2))) if segment.value(2) else {},
            "type": [kind for kind in (cwe_to_codeable_concept(segment.first(4), f"{THO}/v2-0007"),) if kind],
            "serviceType": practice_setting(segment.first(10)),
            "participant": _participants(context, segment),
            "location": _location(context, segment),
            "hospitalization": _hospitalization(segment),
            "serviceProvider": facility_reference(context),
        },
    )


def _class(code: str) -> dict[str, Any]:
    known = tables.ENCOUNTER_CLASS.get(code)
    if known:
        return {"system": tables.ENCOUNTER_CLASS_SYSTEM, "code": known[0], "display": known[1]}
    if not code:
        return {"system": f"{THO}/v3-NullFlavor", "code": "UNK", "display": "unknown"}
    return {"system": f"{THO}/v2-0004", "code": code}


def _status(context: MappingContext, segment: Segment) -> str:
    if context.message.trigger == "A03" or segment.value(45):
        return "finished"
    return tables.ENCOUNTER_STATUS.get(segment.value(2), "in-progress")


def _period(context: MappingContext, segment: Segment) -> dict[str, str]:
    trigger = context.message.trigger
    start, end = context.datetime(segment, 44), context.datetime(segment, 45)
    if not start and trigger in ("A01", "A04"):
        start = context.event_time()
    if not end and trigger == "A03":
        end = context.event_time()
    return compact({"start": start, "end": end})


def _participants(context: MappingContext, segment: Segment) -> list[dict[str, Any]]:
    found = []
    for number, (code, display) in tables.PARTICIPATION.items():
        kind = {"coding": [{"system": tables.PARTICIPATION_SYSTEM, "code": code, "display": display}]}
        people = [xcn_to_reference(context, person) for person in segment.repetitions(number) if person]
        found += [{"type": [kind], "individual": person} for person in people if person]
    return found


def _location(context: MappingContext, segment: Segment) -> list[dict[str, Any]]:
    """PV1-3 as a logical reference: point of care, room and bed identify the place inside the facility."""
    place = segment.first(3)
    names = [clean(place.value(component)) for component in (1, 2, 3)]
    if not any(names):
        return []
    system = f"{BASE}/location/{quote(clean(place.value(4)) or context.facility, safe='')}"
    display = clean(place.value(9)) or " ".join(name for name in names if name)
    location = {"identifier": {"system": system, "value": "/".join(names).rstrip("/")}, "display": display}
    return [{"location": location, "status": "planned" if segment.value(2) == "P" else "active"}]


def _hospitalization(segment: Segment) -> dict[str, Any]:
    return compact(
        {
            "admitSource": cwe_to_codeable_concept(segment.first(14), f"{THO}/v2-0023"),
            "dischargeDisposition": cwe_to_codeable_concept(segment.first(36), f"{THO}/v2-0112"),
        },
    )
