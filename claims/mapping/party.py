"""Organization, Practitioner, Patient and RelatedPerson to the parties of an 837P.

Spec: https://hl7.org/fhir/R4/claim-mappings.html; 005010X222A1 loops 1000A to 2420
"""

import re
from collections.abc import Iterable

from chartloop.kernel.errors import Issue
from claims.mapping.characters import text_to_x12
from claims.mapping.element import Resource, any_code, code, day, identifier
from claims.mapping.systems import NPI, TAXONOMY, TIN
from claims.x12.code_rules import STATES
from claims.x12.npi import is_npi
from claims.x12.professional import Party

_GENDER = {"female": "F", "male": "M"}


class Faults(list[Issue]):
    """What keeps a claim from being written, with the place in FHIR."""

    def add(self, path: str, text: str, code: str = "required") -> None:
        """Note one fault; text holds no value."""
        self.append(Issue("error", code, text, path))


def organization_to_party(resource: Resource, path: str, faults: Faults, *, billing: bool = False) -> Party:
    """Read an Organization; a billing one needs NPI, tax id and street address."""
    name = text_to_x12(resource.get("name") or "", 60)
    if not name:
        faults.add(f"{path}.name", "the organization has no name that X12 can carry")
    npi, tin = identifier(resource, NPI), re.sub(r"\D", "", identifier(resource, *TIN))
    street, city, state, postcode = _address(resource.get("address") or [], path, faults, required=billing)
    if billing:
        if not is_npi(npi):
            faults.add(f"{path}.identifier", "the billing provider needs a valid NPI", "required" if not npi else "value")
        if not re.fullmatch(r"\d{9}", tin):
            faults.add(f"{path}.identifier", "the billing provider needs a nine-digit tax id", "required" if not tin else "value")
        if any(re.search(r"\bP\.? ?O\.? ?BOX\b", line) for line in street):
            faults.add(f"{path}.address.line", "a billing address may not be a post office box", "value")
    return Party(
        name=name,
        id_type="XX" if npi else "",
        id=npi,
        street=street,
        city=city,
        state=state,
        postcode=postcode,
        tax_id=tin,
        taxonomy=_taxonomy(resource.get("type") or []),
    )


def practitioner_to_party(resource: Resource, path: str, faults: Faults) -> Party:
    """Read a Practitioner as rendering provider."""
    family, first, middle = _name(resource.get("name") or [], path, faults)
    npi = identifier(resource, NPI)
    if npi and not is_npi(npi):
        faults.add(f"{path}.identifier", "the NPI fails its check digit", "value")
    qualifications = [q.get("code") or {} for q in resource.get("qualification") or []]
    return Party(family, first, middle, person=True, id_type="XX" if npi else "", id=npi, taxonomy=_taxonomy(qualifications))


def person_to_party(resource: Resource, path: str, faults: Faults, *, member: str = "", required: bool = True) -> Party:
    """Read a Patient or RelatedPerson as subscriber or patient."""
    family, first, middle = _name(resource.get("name") or [], path, faults)
    street, city, state, postcode = _address(resource.get("address") or [], path, faults, required=required)
    birth = day(resource.get("birthDate"))
    if required and not birth:
        faults.add(f"{path}.birthDate", "the patient needs a full date of birth")
    gender = _GENDER.get(str(resource.get("gender") or ""), "U") if birth else ""
    return Party(
        family, first, middle, person=True, id_type="MI" if member else "", id=member, street=street, city=city, state=state,
        postcode=postcode, birth=birth, gender=gender,
    )  # fmt: skip


def _name(names: Iterable[Resource], path: str, faults: Faults) -> tuple[str, str, str]:
    known = sorted(names, key=lambda n: ("official", "usual").index(n["use"]) if n.get("use") in ("official", "usual") else 2)
    for name in known:
        family = text_to_x12(name.get("family") or "", 60)
        given = [text_to_x12(g, 35) for g in name.get("given") or []]
        if not family and name.get("text"):
            *given, family = text_to_x12(name["text"]).split() or [""]
        if family:
            return family, given[0] if given else "", given[1][:25] if len(given) > 1 else ""
    faults.add(f"{path}.name", "there is no family name that X12 can carry")
    return "", "", ""


def _address(addresses: Iterable[Resource], path: str, faults: Faults, *, required: bool) -> tuple[tuple[str, ...], str, str, str]:
    """Return street lines, city, state, ZIP; all empty where incomplete."""
    reason = "an address is needed"
    for address in addresses:
        lines = tuple(line for line in (text_to_x12(raw, 55) for raw in (address.get("line") or [])[:2]) if line)
        city, state = text_to_x12(address.get("city") or "", 30), text_to_x12(address.get("state") or "", 30)
        postcode = re.sub(r"\D", "", str(address.get("postalCode") or ""))
        state = _STATE_NAMES.get(state, state)
        if lines and len(city) > 1 and state in STATES and len(postcode) in (5, 9):
            return lines, city, state, postcode
        reason = "the address needs street, city, two-letter state and a ZIP code of five or nine digits"
    if required:
        faults.add(f"{path}.address", reason)
    return (), "", "", ""


def _taxonomy(concepts: Iterable[Resource]) -> str:
    for concept in concepts:
        found = code(concept, TAXONOMY)
        if found:
            return found
    return ""


def relationship_code(concept: Resource | None) -> str:
    """Return self, spouse, child … of Coverage.relationship."""
    return any_code(concept).lower()


_STATE_NAMES = {
    "MASSACHUSETTS": "MA", "CALIFORNIA": "CA", "NEW YORK": "NY", "TEXAS": "TX", "FLORIDA": "FL", "ILLINOIS": "IL", "PENNSYLVANIA": "PA",
    "OHIO": "OH", "GEORGIA": "GA", "NORTH CAROLINA": "NC", "MICHIGAN": "MI", "NEW JERSEY": "NJ", "VIRGINIA": "VA", "WASHINGTON": "WA",
    "ARIZONA": "AZ", "TENNESSEE": "TN", "INDIANA": "IN", "MISSOURI": "MO", "MARYLAND": "MD", "WISCONSIN": "WI", "COLORADO": "CO",
    "MINNESOTA": "MN", "SOUTH CAROLINA": "SC", "ALABAMA": "AL", "LOUISIANA": "LA", "KENTUCKY": "KY", "OREGON": "OR", "OKLAHOMA": "OK",
    "CONNECTICUT": "CT", "UTAH": "UT", "IOWA": "IA", "NEVADA": "NV", "ARKANSAS": "AR", "MISSISSIPPI": "MS", "KANSAS": "KS",
    "NEW MEXICO": "NM", "NEBRASKA": "NE", "IDAHO": "ID", "WEST VIRGINIA": "WV", "HAWAII": "HI", "NEW HAMPSHIRE": "NH", "MAINE": "ME",
    "MONTANA": "MT", "RHODE ISLAND": "RI", "DELAWARE": "DE", "SOUTH DAKOTA": "SD", "NORTH DAKOTA": "ND", "ALASKA": "AK", "VERMONT": "VT",
    "WYOMING": "WY", "DISTRICT OF COLUMBIA": "DC", "PUERTO RICO": "PR",
}  # fmt: skip
