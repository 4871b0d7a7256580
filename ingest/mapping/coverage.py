"""IN1 to Coverage, its payer and, where it is somebody else, its subscriber.

Spec: https://build.fhir.org/ig/HL7/v2-to-fhir/ConceptMap-segment-in1-to-coverage.html
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from ingest.hl7v2.message import Segment
from ingest.hl7v2.problem import REQUIRED_FIELD
from ingest.mapping import tables
from ingest.mapping.change import Change, Key, reference
from ingest.mapping.context import MappingContext
from ingest.mapping.datatypes import clean, compact, cwe_to_codeable_concept, date, gender, problem, xad_to_address, xpn_to_human_name
from ingest.mapping.organization import payer_reference
from ingest.mapping.systems import BASE, MEMBER_ID, THO


def in1_to_coverage(context: MappingContext, patient: Key, segment: Segment) -> Key | None:
    """Add the Coverage of one IN1; none, with a warning, if it names no payer (self-pay)."""
    payor = payer_reference(context, segment)
    if not payor:
        context.problems.append(problem(segment, 3, "IN1-3 and IN1-4 name no payer: no Coverage is mapped", REQUIRED_FIELD))
        return None
    member = clean(segment.value(36)) or clean(segment.value(49))
    key = _key(segment, patient, member)
    identifiers = [{"system": MEMBER_ID, "value": member}, key.identifier] if member else [key.identifier]
    resource = {
        "resourceType": "Coverage",
        "identifier": identifiers,
        "status": "active",
        "subscriberId": member,
        "beneficiary": reference(patient),
        "payor": [payor],
        **_terms(context, segment),
        **_subscriber(context, segment, patient, key),
    }
    by_member = f"beneficiary={{Patient}}&identifier={quote(MEMBER_ID, safe=':/')}%7C{quote(member, safe='')}" if member else ""
    context.add(Change(key, compact(resource), other_query=by_member))
    return key


def _key(segment: Segment, patient: Key, member: str) -> Key:
    """A member id is one payer's, and a family may share it: the key is payer, member and patient."""
    payer = clean(segment.value(3)) or clean(segment.value(4))
    return Key("Coverage", f"{BASE}/coverage/{quote(payer, safe='')}", f"{member or clean(segment.value(2)) or 'plan'}-{patient.value}")


def _terms(context: MappingContext, segment: Segment) -> dict[str, Any]:
    order = clean(segment.value(22)) or clean(segment.value(1))
    kinds = [("group", clean(segment.value(8)), clean(segment.value(9))), ("plan", clean(segment.value(2)), clean(segment.value(2, 2)))]
    classes = [
        compact({"type": {"coding": [{"system": f"{THO}/coverage-class", "code": kind}]}, "value": value, "name": name}) for kind, value, name in kinds if value
    ]
    return {
        "type": cwe_to_codeable_concept(segment.first(15), f"{THO}/v2-0086"),
        "period": compact({"start": date(segment, 12, context.problems), "end": date(segment, 13, context.problems)}),
        "class": classes,
        "order": int(order) if order.isdigit() and int(order) > 0 else None,
    }


def _subscriber(context: MappingContext, segment: Segment, patient: Key, coverage: Key) -> dict[str, Any]:
    code = clean(segment.value(17))
    relationship = tables.RELATIONSHIP.get(code.upper(), "other") if code else ""
    if relationship in ("", "self"):
        kind = _relationship("self", "") if relationship else {}
        return {"relationship": kind, "subscriber": reference(patient)}
    name = xpn_to_human_name(segment.first(16))
    if not name:
        return {"relationship": _relationship(relationship, code)}
    key = Key("RelatedPerson", f"{coverage.system}/subscriber", coverage.value)
    address = xad_to_address(segment.first(19))
    person = {
        "resourceType": "RelatedPerson",
        "identifier": [key.identifier],
        "active": True,
        "patient": reference(patient),
        "name": [name],
        "gender": gender(segment, 43, context.problems),
        "birthDate": date(segment, 18, context.problems),
        "address": [address] if address else [],
    }
    context.add(Change(key, compact(person)))
    return {"relationship": _relationship(relationship, code), "subscriber": reference(key)}


def _relationship(code: str, sent: str) -> dict[str, Any]:
    codings = [{"system": f"{THO}/subscriber-relationship", "code": code}]
    if sent:
        codings.append({"system": f"{THO}/v2-0063", "code": sent})
    return {"coding": codings}
