"""FT1 to ChargeItem: one charge, the same one however often it is sent.

Spec: https://www.hl7.eu/HL7v2x/v29/std29/ch06.html#Heading49 (FT1); https://hl7.org/fhir/R4/chargeitem.html
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from ingest.hl7v2.message import Segment
from ingest.hl7v2.problem import REQUIRED_FIELD, TABLE_VALUE
from ingest.mapping.change import Change, Key, reference
from ingest.mapping.condition import diagnosis_code
from ingest.mapping.context import MappingContext
from ingest.mapping.datatypes import clean, compact, cwe_to_codeable_concept, number, problem
from ingest.mapping.organization import facility_reference
from ingest.mapping.practitioner import xcn_to_reference
from ingest.mapping.systems import BASE, HCPCS, ICD_10_CM, MODIFIER, procedure_system

_ENDLESS = 20
_STATUS = {"CG": "billable", "CD": "billable", "": "billable", "CR": "not-billable"}


def ft1_to_charge_item(context: MappingContext, patient: Key, encounter: Key | None, segment: Segment) -> None:
    """Add the ChargeItem of one FT1. A credit (CR) takes its charge back; payments and adjustments are no charges."""
    kind = clean(segment.value(6)).upper()
    if kind not in _STATUS:
        context.problems.append(problem(segment, 6, "FT1-6 is neither a charge nor a credit: not mapped", TABLE_VALUE))
        return
    code = _code(segment)
    if not code:
        context.error("FT1-7 and FT1-25 carry no code: the charge cannot be mapped", "FT1", segment.occurrence, 7, REQUIRED_FIELD)
        return
    key = _key(context, segment, encounter, code)
    if kind == "CR" and not clean(segment.value(2)):
        context.error("FT1-2 does not say which charge the credit takes back", "FT1", segment.occurrence, 2, REQUIRED_FIELD)
        return
    resource = {
        "resourceType": "ChargeItem",
        "identifier": [key.identifier],
        "status": _STATUS[kind],
        "code": code,
        "subject": reference(patient),
        "context": reference(encounter) if encounter else {},
        **_details(context, segment),
    }
    context.add(Change(key, compact(resource), guard="skip"))


def _code(segment: Segment) -> dict[str, Any]:
    """FT1-25 (procedure) before FT1-7 (transaction code), with the modifiers of FT1-26."""
    for position in (25, 7):
        repetition = segment.first(position)
        if clean(repetition.value(1)):
            concept = cwe_to_codeable_concept(repetition, procedure_system(clean(repetition.value(1)), ""))
            modifiers = [_modifier(modifier.value(1), modifier.value(3)) for modifier in segment.repetitions(26) if clean(modifier.value(1))]
            return {**concept, "extension": modifiers} if modifiers else concept
    return {}


def _modifier(code: str, system: str) -> dict[str, Any]:
    coding = {"system": procedure_system(clean(code), clean(system)) or HCPCS, "code": clean(code)}
    return {"url": MODIFIER, "valueCodeableConcept": {"coding": [coding]}}


def _key(context: MappingContext, segment: Segment, encounter: Key | None, code: dict[str, Any]) -> Key:
    """FT1-2; without one, visit, date, code and set id make the charge the same when it is sent again."""
    system = f"{BASE}/charge/{context.facility_name}"
    transaction = clean(segment.value(2))
    if transaction:
        return Key("ChargeItem", system, transaction)
    context.problems.append(problem(segment, 2, "FT1-2 carries no transaction id: one was derived", REQUIRED_FIELD))
    visit = encounter.value if encounter else clean(context.message.value("PID", 3))
    first = code["coding"][0]["code"] if code.get("coding") else code.get("text", "")
    number_in_visit = clean(segment.value(1)) or str(segment.occurrence)
    return Key("ChargeItem", system, f"{visit}/{clean(segment.value(4))}/{first}/{number_in_visit}")


def _details(context: MappingContext, segment: Segment) -> dict[str, Any]:
    quantity = number(segment, 10, context.problems)
    performers = [xcn_to_reference(context, person) for person in segment.repetitions(20) if person]
    return {
        "occurrenceDateTime": context.datetime(segment, 4),
        "performer": [{"actor": performer} for performer in performers if performer],
        "performingOrganization": facility_reference(context),
        "quantity": {"value": 1 if quantity is None else quantity},
        "priceOverride": _unit_price(context, segment),
        "enteredDate": context.datetime(segment, 5),
        "reason": _reasons(context, segment),
    }


def _unit_price(context: MappingContext, segment: Segment) -> dict[str, Any]:
    """FT1-12; from FT1-11, the extended amount, where that is missing."""
    unit, field = number(segment, 12, context.problems), 12
    if unit is None:
        unit, field = number(segment, 11, context.problems), 11
        quantity = number(segment, 10, [])
        if unit is not None and quantity:
            unit = _cents(unit / quantity)
    if unit is None:
        return {}
    currency = clean(segment.value(field, 1, 2)).upper()
    return {"value": unit, "currency": currency if len(currency) == 3 and currency.isalpha() else "USD"}


def _cents(amount: Decimal) -> Decimal:
    """A quotient as it is if it ends, else to four places."""
    return amount if len(amount.as_tuple().digits) < _ENDLESS else amount.quantize(Decimal("0.0001"))


def _reasons(context: MappingContext, segment: Segment) -> list[dict[str, Any]]:
    own = [cwe_to_codeable_concept(code, ICD_10_CM) for code in segment.repetitions(19)]
    if any(own):
        return [code for code in own if code]
    return [code for code in map(diagnosis_code, context.message.all("DG1")) if code]
