"""Identifiers of the demo's people and organisations: invented, stable, and valid where a check digit says so."""

from __future__ import annotations

from typing import Any
from uuid import NAMESPACE_URL, uuid5

BASE = "https://chartloop.example/fhir"
NPI = "http://hl7.org/fhir/sid/us-npi"
TIN = "urn:oid:2.16.840.1.113883.4.4"
ID_TYPE = "http://terminology.hl7.org/CodeSystem/v2-0203"

Resource = dict[str, Any]


def npi(number: int) -> str:
    """National provider identifier number `number`: nine digits and the Luhn digit over prefix 80840 (45 CFR 162.406)."""
    body = f"1{number % 100_000_000:08d}"
    digits = [int(digit) for digit in "80840" + body]
    total = sum(sum(divmod(digit * 2, 10)) if place % 2 == 0 else digit for place, digit in enumerate(reversed(digits)))
    return f"{body}{-total % 10}"


def full_url(resource_type: str, system: str, value: str) -> str:
    """Name of a resource inside a bundle, the same in every run."""
    return f"urn:uuid:{uuid5(NAMESPACE_URL, f'{resource_type}|{system}|{value}')}"


def identified(resource_type: str, system: str, value: str, **elements: Any) -> Resource:
    """A resource with one identifier first."""
    return {"resourceType": resource_type, "identifier": [{"system": system, "value": value}], **elements}


def entry(resource: Resource) -> Resource:
    """Bundle entry that creates a resource unless one with its first identifier exists."""
    first = resource["identifier"][0]
    kind, system, value = resource["resourceType"], first["system"], first["value"]
    request = {"method": "POST", "url": kind, "ifNoneExist": f"identifier={system}|{value}"}
    return {"fullUrl": full_url(kind, system, value), "resource": resource, "request": request}


def transaction(resources: list[Resource]) -> Resource:
    """Transaction bundle; loading it again creates nothing."""
    return {"resourceType": "Bundle", "type": "transaction", "entry": [entry(resource) for resource in resources]}


def inside(resource: Resource) -> Resource:
    """Reference to a resource of the same bundle."""
    first = resource["identifier"][0]
    return {"reference": full_url(resource["resourceType"], first["system"], first["value"])}


def outside(resource_type: str, system: str, value: str) -> Resource:
    """Conditional reference to a resource that an earlier bundle brought."""
    return {"reference": f"{resource_type}?identifier={system}|{value}"}


def coded(system: str, code: str, display: str) -> Resource:
    """CodeableConcept with one coding."""
    return {"coding": [{"system": system, "code": code, "display": display}], "text": display}
