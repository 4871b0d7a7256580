"""Encounter, ChargeItems and Coverage to a draft Claim.

Spec: https://hl7.org/fhir/R4/claim.html
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from claims.mapping.element import Resource, any_code, code, extensions, money, reference
from claims.mapping.systems import CHARGE_ITEM, CLAIM_OF_ENCOUNTER, CLAIM_TYPE, ICD_10_CM, MODIFIER, PCN


def charges_to_claim(encounter: Resource, charges: Sequence[Resource], coverage: Resource, billing: str, control: str, created: str) -> dict[str, Any]:
    """Return the draft Claim of a finished encounter; charges keep the order given."""
    patient = reference(encounter.get("subject"))
    rendering = next((r for c in charges for r in _performers(c)), "")
    items = [_item(number, charge, str(encounter.get("id")), with_team=bool(rendering)) for number, charge in enumerate(charges, 1)]
    claim: dict[str, Any] = {
        "resourceType": "Claim",
        "identifier": [{"system": CLAIM_OF_ENCOUNTER, "value": str(encounter.get("id"))}, {"system": PCN, "value": control}],
        "status": "draft",
        "type": {"coding": [{"system": CLAIM_TYPE, "code": "professional"}]},
        "use": "claim",
        "patient": {"reference": patient},
        "created": created,
        "insurer": {"reference": reference((coverage.get("payor") or [{}])[0])},
        "provider": {"reference": billing},
        "priority": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/processpriority", "code": "normal"}]},
        "insurance": [{"sequence": 1, "focal": True, "coverage": {"reference": f"Coverage/{coverage.get('id')}"}}],
        "item": items,
        "total": {"value": sum((Decimal(i["net"]["value"]) for i in items), Decimal(0)), "currency": "USD"},
    }
    if rendering:
        role = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/claimcareteamrole", "code": "primary"}]}
        claim["careTeam"] = [{"sequence": 1, "provider": {"reference": rendering}, "role": role}]
    return claim


def with_diagnoses(claim: dict[str, Any], charges: Sequence[Resource]) -> dict[str, Any]:
    """Put the diagnoses that came with the charges on a claim that has none."""
    seen: dict[str, Resource] = {}
    for charge in charges:
        for reason in charge.get("reason") or []:
            value = code(reason, ICD_10_CM)
            if value and value not in seen:
                seen[value] = reason
    if claim.get("diagnosis") or not seen:
        return claim
    found = [{"sequence": n, "diagnosisCodeableConcept": reason} for n, reason in enumerate(list(seen.values())[:12], 1)]
    return {**claim, "diagnosis": found}


def _performers(charge: Resource) -> list[str]:
    found = [reference(p.get("actor")) for p in charge.get("performer") or []]
    return [r for r in found if r.startswith("Practitioner/")]


def _item(number: int, charge: Resource, encounter: str, *, with_team: bool) -> dict[str, Any]:
    quantity = money(charge.get("quantity"))
    quantity = Decimal(1) if quantity is None else quantity
    price = charge.get("priceOverride") or {}
    unit = money(price) or Decimal(0)
    currency = price.get("currency") or "USD"
    concept = {k: v for k, v in (charge.get("code") or {}).items() if k != "extension"}
    modifiers = [e.get("valueCodeableConcept") for holder in (charge, charge.get("code")) for e in extensions(holder, MODIFIER)]
    item: dict[str, Any] = {
        "sequence": number,
        "extension": [{"url": CHARGE_ITEM, "valueReference": {"reference": f"ChargeItem/{charge.get('id')}"}}],
        "productOrService": concept,
        "quantity": {"value": quantity},
        "unitPrice": {"value": unit, "currency": currency},
        "net": {"value": (unit * quantity).quantize(Decimal("0.01")), "currency": currency},
        "encounter": [{"reference": f"Encounter/{encounter}"}],
    }
    when = str(charge.get("occurrenceDateTime") or (charge.get("occurrencePeriod") or {}).get("start") or "")[:10]
    if when:
        item["servicedDate"] = when
    if [m for m in modifiers if m and any_code(m)]:
        item["modifier"] = [m for m in modifiers if m and any_code(m)]
    if with_team:
        item["careTeamSequence"] = [1]
    return item
