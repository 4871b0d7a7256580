"""User-access brands: how a patient recognises the organisation behind this endpoint, as a Bundle of an Organization and an Endpoint.

Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/brands.html
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from chartloop.kernel.errors import Invalid

_PROFILES: Final = "http://hl7.org/fhir/smart-app-launch/StructureDefinition"
_EXTENSIONS: Final = "http://hl7.org/fhir/StructureDefinition"
BUNDLE_PATH: Final = "/.well-known/user-access-brands"


@dataclass(frozen=True, slots=True)
class Brand:
    """What the organisation says of itself.

    Attributes:
        name: How patients know it.
        website: For patients.
        logo: Address of a picture, or "".
        portal_name: Name of the portal, or "".
        portal_url: Address of the portal, or "".
        identifier_system: Namespace of the identifier; urn:ietf:rfc:3986 for an address.
        identifier_value: The identifier that apps match by.
        changed: Instant of the last change, "2026-11-22T08:00:00Z".
        own: A Bundle that the organisation wrote itself, for everything the other fields have no place for.
    """

    name: str
    website: str
    identifier_value: str
    identifier_system: str = "urn:ietf:rfc:3986"
    logo: str = ""
    portal_name: str = ""
    portal_url: str = ""
    changed: str = "2026-01-01T00:00:00Z"
    own: dict[str, Any] | None = None

    @property
    def identifier(self) -> dict[str, str]:
        """As smart-configuration and the Organization both say it."""
        return {"system": self.identifier_system, "value": self.identifier_value}


def own_bundle(text: str, identifier: dict[str, str]) -> dict[str, Any]:
    """Read a Bundle that the organisation wrote.

    Raises:
        Invalid: It is no Bundle with a timestamp and exactly one brand of this identifier.
    """
    try:
        bundle = json.loads(text)
        brands = [entry["resource"] for entry in bundle["entry"] if entry["resource"]["resourceType"] == "Organization"]
        named = [brand for brand in brands if any(each.items() >= identifier.items() for each in brand.get("identifier", ()))]
        whole = bundle["resourceType"] == "Bundle" and bool(bundle["timestamp"]) and len(named) == 1
    except (ValueError, TypeError, KeyError, AttributeError):
        whole = False
    if not whole:
        raise Invalid("brand.file is no FHIR Bundle with a timestamp and exactly one Organization that has brand.identifier_value.")
    return dict(bundle)


def brand_bundle(brand: Brand, root: str) -> dict[str, Any]:
    """Write the Bundle of the server at `root`."""
    if brand.own is not None:
        return brand.own
    organization, endpoint = f"{root}/fhir/Organization/user-access-brand", f"{root}/fhir/Endpoint/user-access-endpoint"
    return {
        "resourceType": "Bundle",
        "meta": {"profile": [f"{_PROFILES}/user-access-brands-bundle"]},
        "type": "collection",
        "timestamp": brand.changed,
        "entry": [
            {"fullUrl": organization, "resource": _organization(brand, root)},
            {"fullUrl": endpoint, "resource": _endpoint(brand, root)},
        ],
    }


def _organization(brand: Brand, root: str) -> dict[str, Any]:
    return {
        "resourceType": "Organization",
        "id": "user-access-brand",
        "meta": {"profile": [f"{_PROFILES}/user-access-brand"], "lastUpdated": brand.changed},
        "extension": [
            *_part("organization-brand", brandLogo=brand.logo),
            *_part("organization-portal", portalName=brand.portal_name, portalUrl=brand.portal_url),
        ],
        "identifier": [brand.identifier],
        "active": True,
        "name": brand.name,
        "telecom": [{"system": "url", "value": brand.website}],
        "endpoint": [{"reference": f"{root}/fhir/Endpoint/user-access-endpoint"}],
    }


def _part(extension: str, **values: str) -> list[dict[str, Any]]:
    inner = [{"url": name, "valueString" if name == "portalName" else "valueUrl": value} for name, value in values.items() if value]
    return [{"url": f"{_EXTENSIONS}/{extension}", "extension": inner}] if inner else []


def _endpoint(brand: Brand, root: str) -> dict[str, Any]:
    return {
        "resourceType": "Endpoint",
        "id": "user-access-endpoint",
        "meta": {"profile": [f"{_PROFILES}/user-access-endpoint"], "lastUpdated": brand.changed},
        "extension": [{"url": f"{_EXTENSIONS}/endpoint-fhir-version", "valueCode": "4.0.1"}],
        "status": "active",
        "connectionType": {"system": "http://terminology.hl7.org/CodeSystem/endpoint-connection-type", "code": "hl7-fhir-rest"},
        "name": f"FHIR R4 of {brand.name}",
        "contact": [{"system": "url", "value": brand.website}],
        "payloadType": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/endpoint-payload-type", "code": "none"}]}],
        "address": f"{root}/fhir",
    }
