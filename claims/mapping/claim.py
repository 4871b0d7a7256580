"""FHIR Claim, with the resources it refers to, to a professional claim of an 837P.

Spec: https://hl7.org/fhir/R4/claim.html; 005010X222A1 loops 2000A to 2400
"""

import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from chartloop.kernel.errors import Issue
from claims.mapping.characters import text_to_x12
from claims.mapping.element import Resource, any_code, code, day, identifier, money, number, reference
from claims.mapping.party import Faults, organization_to_party, person_to_party, practitioner_to_party, relationship_code
from claims.mapping.systems import ICD_10_CM, MEMBER_ID, PAYER_ID, PCN, PLACE_OF_SERVICE, PROCEDURES
from claims.x12.code_rules import PLACES
from claims.x12.professional import Party, ProfessionalClaim, ServiceLine, Subscription

_RELATIONSHIPS = {"spouse": "01", "child": "19", "employee": "20", "common": "53", "life": "53", "other": "G8", "parent": "G8", "injured": "G8"}
_PLACE_BY_CLASS = {"AMB": "11", "VR": "02", "HH": "12", "EMER": "23", "IMP": "21", "ACUTE": "21", "NONAC": "21", "OBSENC": "22", "SS": "22"}
_FILING = {"MEDICARE": "MB", "MCPOL": "HM", "HMO": "HM", "PPO": "12", "POS": "13", "SUBSIDIZ": "MC", "PUBLICPOL": "OF", "WCBPOL": "WC", "AUTOPOL": "AM",
           "1": "MB", "2": "MC", "6": "BL", "HMOPOL": "HM", "PNC": "LM"}  # fmt: skip
_FILINGS = frozenset(["11", "12", "13", "14", "15", "16", "17", "AM", "BL", "CH", "CI", "DS", "FI", "HM", "LM", "MA", "MB", "MC", "OF", "TV", "VA", "WC", "ZZ"])
MOST_DIAGNOSES, MOST_LINES = 12, 50


@dataclass(frozen=True, slots=True)
class ClaimContext:
    """A Claim and what it refers to, as plain resources."""

    claim: Resource
    patient: Resource
    coverage: Resource
    payer: Resource
    billing: Resource
    encounter: Resource = field(default_factory=dict)
    rendering: Resource | None = None
    subscriber: Resource | None = None


class Rendering(NamedTuple):
    """A claim ready to be written, or why there is none."""

    claim: ProfessionalClaim | None
    issues: tuple[Issue, ...]


def claim_to_837p(context: ClaimContext) -> Rendering:
    """Map one Claim; every fault is an issue with the FHIRPath of its cause."""
    faults = Faults()
    claim = context.claim
    control = identifier(claim, PCN)
    if not re.fullmatch(r"[A-Z0-9-]{1,20}", control):
        faults.add("Claim.identifier", "the claim needs a patient control number of at most 20 characters")
    diagnoses, positions = _diagnoses(claim, faults)
    place = _place(context)
    lines = _lines(claim, positions, place, faults)
    total = money(claim.get("total"))
    added = sum((line.charge for line in lines), Decimal(0))
    if total is not None and total != added:
        faults.add("Claim.total", "the total is not the sum of the items", "invariant")
    insurance = _insurance(context, faults)
    billing = organization_to_party(context.billing, "Claim.provider.resolve()", faults, billing=True)
    rendering = None
    if context.rendering is not None:
        rendering = practitioner_to_party(context.rendering, "Claim.careTeam.provider.resolve()", faults)
    admission = day(((context.encounter or {}).get("period") or {}).get("start"))
    if place in ("21", "51", "61") and not admission:
        faults.add("Encounter.period.start", "inpatient care needs its admission date")
    if faults:
        return Rendering(None, tuple(faults))
    focal = _focal(claim)
    replaced = _replaced(claim)
    return Rendering(
        ProfessionalClaim(
            control=control,
            total=added,
            place=place,
            diagnoses=diagnoses,
            lines=lines,
            billing=billing,
            insurance=insurance,
            rendering=rendering,
            frequency="7" if replaced else "1",
            payer_control=replaced,
            authorization=text_to_x12((focal.get("preAuthRef") or [""])[0], 50),
            admission=admission if place in ("21", "51", "61") else "",
        ),
        (),
    )


def _diagnoses(claim: Resource, faults: Faults) -> tuple[tuple[str, ...], dict[int, int]]:
    """Return codes in order of sequence, and the position of each sequence."""
    found = sorted(claim.get("diagnosis") or [], key=lambda d: int(number(d.get("sequence")) or 0))
    if not found:
        faults.add("Claim.diagnosis", "a professional claim needs at least one diagnosis")
    if len(found) > MOST_DIAGNOSES:
        faults.add("Claim.diagnosis", f"an 837P carries at most {MOST_DIAGNOSES} diagnoses", "too-long")
    codes, positions = [], {}
    for index, diagnosis in enumerate(found):
        value = code(diagnosis.get("diagnosisCodeableConcept"), ICD_10_CM).upper().replace(".", "")
        if not re.fullmatch(r"[A-Z][0-9][0-9A-Z][0-9A-Z]{0,4}", value):
            faults.add(f"Claim.diagnosis[{index}].diagnosisCodeableConcept", "not an ICD-10-CM code", "value")
        codes.append(value)
        positions[int(number(diagnosis.get("sequence")) or 0)] = index + 1
    return tuple(codes), positions


def _lines(claim: Resource, positions: dict[int, int], place: str, faults: Faults) -> tuple[ServiceLine, ...]:
    items = claim.get("item") or []
    if not items:
        faults.add("Claim.item", "a claim needs at least one service line")
    if len(items) > MOST_LINES:
        faults.add("Claim.item", f"an 837P claim carries at most {MOST_LINES} lines", "too-long")
    return tuple(_line(item, f"Claim.item[{index}]", positions, place, faults) for index, item in enumerate(items))


def _line(item: Resource, path: str, positions: dict[int, int], place: str, faults: Faults) -> ServiceLine:
    procedure = code(item.get("productOrService"), PROCEDURES).upper()
    if not re.fullmatch(r"[0-9]{4}[0-9FTUMA]|[A-Z][0-9]{4}", procedure):
        faults.add(f"{path}.productOrService", "not a HCPCS or CPT code", "value")
    quantity = money(item.get("quantity"))
    quantity = Decimal(1) if quantity is None else quantity
    net, unit = money(item.get("net")), money(item.get("unitPrice"))
    charge = net if net is not None else unit * quantity if unit is not None else None
    if charge is None or charge < 0:
        faults.add(f"{path}.net", "the line needs a charge that is not negative")
    elif charge != charge.quantize(Decimal("0.01")):
        faults.add(f"{path}.net", "the charge has fractions of a cent", "value")
    if quantity <= 0 or quantity != quantity.quantize(Decimal("0.001")):
        faults.add(f"{path}.quantity", "the quantity must be positive, with at most three decimals", "value")
    period = item.get("servicedPeriod") or {}
    start = day(item.get("servicedDate")) or day(period.get("start"))
    if not start:
        faults.add(f"{path}.servicedDate", "the line needs its date of service")
    modifiers = tuple(any_code(m).upper() for m in item.get("modifier") or [])
    if len(modifiers) > 4 or any(not re.fullmatch(r"[0-9A-Z]{2}", m) for m in modifiers):
        faults.add(f"{path}.modifier", "at most four modifiers of two characters", "value")
    own = code(item.get("locationCodeableConcept"), [PLACE_OF_SERVICE])
    return ServiceLine(
        code=procedure,
        charge=charge or Decimal(0),
        quantity=quantity,
        date=start,
        pointers=_pointers(item, path, positions, faults),
        control=str(item.get("sequence") or ""),
        modifiers=modifiers,
        end=day(period.get("end")),
        place=own if own in PLACES and own != place else "",
    )


def _pointers(item: Resource, path: str, positions: dict[int, int], faults: Faults) -> tuple[int, ...]:
    named = [int(number(s) or 0) for s in item.get("diagnosisSequence") or []]
    if not named:
        return tuple(sorted(positions.values())[:4])
    if any(s not in positions for s in named):
        faults.add(f"{path}.diagnosisSequence", "points to no diagnosis of the claim", "value")
    return tuple(positions[s] for s in named if s in positions)[:4]


def _place(context: ClaimContext) -> str:
    """Place of service: of the first item that names one, else after the class of the encounter, else office."""
    for item in context.claim.get("item") or []:
        found = code(item.get("locationCodeableConcept"), [PLACE_OF_SERVICE])
        if found in PLACES:
            return found
    kind = str(((context.encounter or {}).get("class") or {}).get("code") or "")
    return _PLACE_BY_CLASS.get(kind, "11")


def _focal(claim: Resource) -> Resource:
    insurances = claim.get("insurance") or [{}]
    return next((i for i in insurances if i.get("focal")), insurances[0])


def _insurance(context: ClaimContext, faults: Faults) -> Subscription:
    coverage, path = context.coverage, "Claim.insurance.coverage.resolve()"
    member = text_to_x12(coverage.get("subscriberId") or identifier(coverage, MEMBER_ID), 80)
    if len(member) < 2:
        faults.add(f"{path}.subscriberId", "the coverage needs a member id")
    relationship = relationship_code(coverage.get("relationship")) or "self"
    subscriber = reference(coverage.get("subscriber"))
    own = relationship == "self" or (bool(subscriber) and subscriber == reference(context.claim.get("patient")))
    payer = organization_to_party(context.payer, "Claim.insurer.resolve()", faults)
    payer_id = identifier(context.payer, PAYER_ID)
    if len(payer_id) < 2:
        faults.add("Claim.insurer.resolve().identifier", "the payer needs a payer id")
    if own:
        person, patient = person_to_party(context.patient, "Claim.patient.resolve()", faults, member=member), None
    else:
        patient = person_to_party(context.patient, "Claim.patient.resolve()", faults)
        person = _other_subscriber(context, member, faults)
    order = int(number(coverage.get("order")) or 1)
    classes = {any_code(c.get("type")): str(c.get("value") or "") for c in coverage.get("class") or []}
    return Subscription(
        subscriber=person,
        payer=Party(name=payer.name, id_type="PI", id=payer_id),
        sequence={1: "P", 2: "S", 3: "T"}.get(order, "P"),
        group=text_to_x12(classes.get("group", ""), 50),
        filing=_filing(coverage),
        relationship="18" if own else _RELATIONSHIPS.get(relationship, "21"),
        patient=patient,
    )


def _other_subscriber(context: ClaimContext, member: str, faults: Faults) -> Party:
    if context.subscriber is None:
        faults.add("Coverage.subscriber", "the patient is not the subscriber: the coverage must name the subscriber")
        return Party("")
    return person_to_party(context.subscriber, "Coverage.subscriber.resolve()", faults, member=member, required=False)


def _filing(coverage: Resource) -> str:
    found = any_code(coverage.get("type")).upper()
    return found if found in _FILINGS else _FILING.get(found, "CI")


def _replaced(claim: Resource) -> str:
    """Return the payer's number of the claim that this one replaces."""
    for related in claim.get("related") or []:
        value = str((related.get("reference") or {}).get("value") or "")
        if any_code(related.get("relationship")) == "prior" and value:
            return text_to_x12(value, 50)
    return ""
