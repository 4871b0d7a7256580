"""XCN to Practitioner, and to the reference that other resources hold.

Spec: https://build.fhir.org/ig/HL7/v2-to-fhir/ConceptMap-datatype-xcn-to-practitioner.html
"""

from __future__ import annotations

from typing import Any

from ingest.hl7v2.message import Repetition
from ingest.mapping import tables
from ingest.mapping.change import ENSURE, Change, Key, reference
from ingest.mapping.context import MappingContext
from ingest.mapping.datatypes import clean, compact
from ingest.mapping.systems import NPI, identifier_system

_NPI_OID = "2.16.840.1.113883.4.6"


def xcn_to_reference(context: MappingContext, person: Repetition) -> dict[str, Any]:
    """Reference to a Practitioner: to a resource if the person has an id, else by name; empty if there is neither.

    The directory is somebody else's: a Practitioner is made if unknown and never changed from here.
    """
    name = _name(person)
    display = clean(" ".join((*name.get("given", []), name.get("family", ""))))
    number = clean(person.value(1))
    if not number:
        return {"display": display} if display else {}
    key = Key("Practitioner", _system(person), number)
    resource = compact({"resourceType": "Practitioner", "identifier": [key.identifier], "name": [name] if name else []})
    context.add(Change(key, resource, ENSURE))
    return reference(key, display)


def _system(person: Repetition) -> str:
    namespace, universal_id = clean(person.value(9)), clean(person.value(9, 2))
    if person.value(13) == "NPI" or namespace == "NPI" or universal_id == _NPI_OID:
        return NPI
    return identifier_system("practitioner", namespace, universal_id)


def _name(person: Repetition) -> dict[str, Any]:
    given = [clean(person.value(3)), *clean(person.value(4)).split()]
    return compact(
        {
            "use": tables.NAME_USE.get(person.value(10), ""),
            "family": clean(person.value(2)),
            "given": [part for part in given if part],
            "prefix": [prefix for prefix in (clean(person.value(6)),) if prefix],
            "suffix": [suffix for suffix in (clean(person.value(5)), clean(person.value(7))) if suffix],
        },
    )
