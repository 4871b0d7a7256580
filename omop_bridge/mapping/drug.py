"""What a patient was given, dispensed, prescribed or says to take: drug_exposure, each kind with its own type concept.

A MedicationRequest is an order, not an intake. The guide's test suite admits `instance-order` alone; here every order counts with the
type concept of a prescription, unless the site says `omop.orders = false` (a departure, f2o-092). Plans and proposals never count.
The words of a dosage are not copied.

Spec: https://ohdsi.github.io/CommonDataModel/cdm54.html#drug_exposure
"""

from __future__ import annotations

from typing import Any

from omop_bridge.concepts import (
    NO_CONCEPT,
    TYPE_EHR,
    TYPE_EHR_ADMINISTRATION,
    TYPE_EHR_DISPENSING,
    TYPE_EHR_PRESCRIPTION,
    TYPE_PATIENT_REPORT,
)
from omop_bridge.mapping.coding import Coded
from omop_bridge.mapping.happening import Happening
from omop_bridge.mapping.moments import Moment, days_after, element, ended, to_moment, why_not
from omop_bridge.mapping.references import reported_by_patient
from omop_bridge.mapping.route_by_domain import happening_to_rows
from omop_bridge.mapping.rows import Context, Element, Mapped, excluded
from omop_bridge.mapping.screening import NO_CODE, unrealised

_ORDERS = frozenset({"order", "original-order", "reflex-order", "filler-order", "instance-order"})
_ACTIVE = frozenset({"active", "completed"})


def request_to_rows(request: Element, context: Context) -> Mapped:
    """Write a prescription: from the day it was written, for as many days as it supplies."""
    intents = _ORDERS if context.profile.orders else {"instance-order"}
    reason = unrealised(request, _ACTIVE) or unrealised(request, intents, "intent")
    if reason is None and request.get("doNotPerform") is True:
        reason = "do-not-perform"
    if reason:
        return excluded(reason)
    dispense = request.get("dispenseRequest") or {}
    more = {
        "refills": dispense.get("numberOfRepeatsAllowed"),
        "quantity": _value(dispense.get("quantity")),
        "days_supply": _days(dispense.get("expectedSupplyDuration")),
        **_route((request.get("dosageInstruction") or [{}])[0], context),
    }
    return _exposure(request, context, (request.get("authoredOn"), None), TYPE_EHR_PRESCRIPTION, more)


def dispense_to_rows(dispense: Element, context: Context) -> Mapped:
    """Write what a pharmacy handed over."""
    if reason := unrealised(dispense, {"completed"}):
        return excluded(reason)
    more = {
        "quantity": _value(dispense.get("quantity")),
        "days_supply": _days(dispense.get("daysSupply")),
        **_route((dispense.get("dosageInstruction") or [{}])[0], context),
    }
    when = (dispense.get("whenHandedOver") or dispense.get("whenPrepared"), None)
    return _exposure(dispense, context, when, TYPE_EHR_DISPENSING, more)


def administration_to_rows(administration: Element, context: Context) -> Mapped:
    """Write what was given."""
    if reason := unrealised(administration, {"completed"}):
        return excluded(reason)
    dosage = administration.get("dosage") or {}
    dose = dosage.get("dose") or {}
    more = {"quantity": _value(dose), "dose_unit_source_value": dose.get("code") or dose.get("unit"), **_route(dosage, context)}
    return _exposure(administration, context, element(administration, "effective"), TYPE_EHR_ADMINISTRATION, more)


def statement_to_rows(statement: Element, context: Context) -> Mapped:
    """Write what a patient takes, as somebody says."""
    if reason := unrealised(statement, _ACTIVE):
        return excluded(reason)
    when, until = element(statement, "effective")
    source = TYPE_PATIENT_REPORT if reported_by_patient([statement.get("informationSource")]) else TYPE_EHR
    more = _route((statement.get("dosage") or [{}])[0], context)
    return _exposure(statement, context, (when or statement.get("dateAsserted"), until), source, more)


def immunization_to_rows(immunization: Element, context: Context) -> Mapped:
    """Write a vaccination; reported ones (`primarySource` false) have the general type concept."""
    if reason := unrealised(immunization, {"completed"}):
        return excluded(reason)
    source = TYPE_EHR if immunization.get("primarySource") is False else TYPE_EHR_ADMINISTRATION
    more = {
        "quantity": _value(immunization.get("doseQuantity")),
        "lot_number": immunization.get("lotNumber"),
        **_route(immunization, context),
    }
    coded = context.coder.coded(immunization.get("vaccineCode"))
    return _coded_exposure(coded, "vaccineCode", context, (immunization.get("occurrenceDateTime"), None), source, more)


def _exposure(resource: Element, context: Context, when: tuple[object, object], source: int, more: dict[str, Any]) -> Mapped:
    concept = resource.get("medicationCodeableConcept") or _medication(resource, context)
    return _coded_exposure(context.coder.coded(concept), "medication", context, when, source, more)


def _medication(resource: Element, context: Context) -> Element | None:
    """The code of the Medication that is contained or referred to."""
    reference = str((resource.get("medicationReference") or {}).get("reference", ""))
    if reference.startswith("#"):
        return next((part.get("code") for part in resource.get("contained", ()) if part.get("id") == reference[1:]), None)
    return context.medication(reference) if reference else None


def _coded_exposure(coded: Coded | None, key: str, context: Context, when: tuple[object, object], source: int, more: dict[str, Any]) -> Mapped:
    if coded is None:
        return excluded(NO_CODE)
    start = to_moment(when[0])
    if start is None:
        return excluded(why_not(when[0]))
    end = ended(start, to_moment(when[1]))
    columns = {name: value for name, value in more.items() if value is not None}
    days = columns.get("days_supply")
    if end:
        columns["verbatim_end_date"] = end.date
    elif days:
        end = Moment(days_after(start.date, days - 1))
    happening = Happening(key, coded, start, source, "drug_exposure", end=end, visit=context.visit, more={"drug_exposure": columns})
    return Mapped(tuple(happening_to_rows(happening)))


def _route(dosage: Element, context: Context) -> dict[str, Any]:
    coded = context.coder.coded(dosage.get("route"))
    return {"route_concept_id": coded.concept_id if coded else NO_CONCEPT, "route_source_value": coded.source_value if coded else None}


def _value(quantity: Element | None) -> float | None:
    value = (quantity or {}).get("value")
    return None if value is None else float(value)


_DAYS = {"d": 1, "wk": 7}
_MOST_DAYS = 3660


def _days(duration: Element | None) -> int | None:
    """Whole days of a supply; a supply for more than ten years is a slip."""
    value, factor = (duration or {}).get("value"), _DAYS.get(str((duration or {}).get("code", "")))
    days = int(value * factor) if value is not None and factor else 0
    return days if 0 < days <= _MOST_DAYS else None
