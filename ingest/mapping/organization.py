"""Who sent it and who pays: MSH-4 and IN1-3 to Organization."""

from __future__ import annotations

from typing import Any

from ingest.hl7v2.message import Segment
from ingest.mapping.change import ENSURE, Change, Key, reference
from ingest.mapping.context import MappingContext
from ingest.mapping.datatypes import clean, compact, xad_to_address, xtn_to_contact_point
from ingest.mapping.systems import FACILITY, PAYER_ID, THO

_TYPE = f"{THO}/organization-type"


def facility_reference(context: MappingContext) -> dict[str, Any]:
    """Reference to the sending facility (MSH-4.1), found by identifier `facility`; made with its name if unknown."""
    name = clean(context.message.header.value(4))
    if not name:
        return {}
    key = Key("Organization", FACILITY, name)
    resource = {"resourceType": "Organization", "identifier": [key.identifier], "active": True, "type": [_type("prov")], "name": name}
    context.add(Change(key, resource, ENSURE))
    return reference(key)


def payer_reference(context: MappingContext, segment: Segment) -> dict[str, Any]:
    """Reference to the payer (IN1-3 by payer id, else by name); empty if the segment names none.

    The payer directory holds addresses and connections: a payer is made if unknown and never changed from here.
    """
    payer_id, name = clean(segment.value(3)), clean(segment.value(4))
    if not payer_id:
        return {"display": name} if name else {}
    key = Key("Organization", PAYER_ID, payer_id)
    address, telecom = xad_to_address(segment.first(5)), xtn_to_contact_point(segment.first(7), "work")
    resource = {
        "resourceType": "Organization",
        "identifier": [key.identifier],
        "active": True,
        "type": [_type("pay")],
        "name": name or payer_id,
        "address": [address] if address else [],
        "telecom": [telecom] if telecom else [],
    }
    context.add(Change(key, compact(resource), ENSURE))
    return reference(key, name)


def _type(code: str) -> dict[str, Any]:
    return {"coding": [{"system": _TYPE, "code": code}]}
