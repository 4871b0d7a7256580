"""Resources as the rows of a page: names, dates, codes and money in words. Pure, and total over what is stored."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any

from smart_apps.systems import BASE

Resource = dict[str, Any]

GOOD = frozenset({"accepted", "acknowledged", "coded", "processed", "sent", "active", "completed", "complete", "finished", "final", "current"})
WAITING = frozenset({"draft", "requested", "queued", "planned", "partial", "preliminary", "billable"})
BAD = frozenset({"denied", "error", "cancelled", "entered-in-error", "rejected", "failed", "not-billable", "aborted"})


@dataclass(frozen=True, slots=True)
class Chip:
    """A status with the tone it is drawn in."""

    text: str
    tone: str


def chip(status: str) -> Chip:
    """Choose the tone of a status."""
    for tone, words in (("good", GOOD), ("waiting", WAITING), ("bad", BAD)):
        if status in words:
            return Chip(status, tone)
    return Chip(status or "unknown", "working")


def person(resource: Resource | None) -> str:
    """Write a name, family first."""
    names = (resource or {}).get("name")
    if isinstance(names, str):  # an organisation has one name, in one piece
        return names
    name = _first(names)
    given = " ".join(str(part) for part in name.get("given", ()))
    parts = [part for part in (str(name.get("family", "")), given) if part]
    return str(name.get("text") or ", ".join(parts) or "Unnamed")


def identifier(resource: Resource, system: str) -> str:
    """Give the value of the first identifier whose system begins so."""
    values = (i.get("value", "") for i in resource.get("identifier", ()) if str(i.get("system", "")).startswith(system))
    return str(next(values, ""))


def concept(value: Any) -> str:
    """Write a CodeableConcept or Coding for people."""
    if not isinstance(value, dict):
        return ""
    coding = _first(value.get("coding")) or value
    return str(value.get("text") or coding.get("display") or coding.get("code") or "")


def code(value: Any) -> str:
    """Give the first code of a CodeableConcept."""
    return str(_first(value.get("coding")).get("code", "")) if isinstance(value, dict) else ""


def reference(value: Any) -> str:
    """Give the target of a Reference."""
    return str(value.get("reference", "")) if isinstance(value, dict) else ""


def day(instant: Any) -> str:
    """Cut an instant to its day."""
    return str(instant or "")[:10]


def minute(instant: Any) -> str:
    """Cut an instant to its minute."""
    return str(instant or "")[:16].replace("T", " ")


def money(value: Any) -> str:
    """Write Money with its currency."""
    if not isinstance(value, dict) or "value" not in value:
        return ""
    try:
        amount = f"{float(value['value']):,.2f}"
    except (TypeError, ValueError):
        amount = str(value["value"])
    return f"{amount} {value.get('currency', '')}".strip()


def _first(values: Any) -> Any:
    return values[0] if isinstance(values, list) and values else {}


def patient_row(patient: Resource) -> dict[str, str]:
    """Give a line of the patient list."""
    return {
        "id": str(patient.get("id", "")),
        "name": person(patient),
        "born": str(patient.get("birthDate", "")),
        "gender": str(patient.get("gender", "")),
        "mrn": identifier(patient, f"{BASE}/mrn") or str(_first(patient.get("identifier")).get("value", "")),
    }


def encounter_row(encounter: Resource) -> dict[str, Any]:
    """Give a line of a chart's encounters."""
    period = encounter.get("period", {})
    kind = concept(_first(encounter.get("type"))) or concept(encounter.get("class"))
    return {
        "start": minute(period.get("start")),
        "end": minute(period.get("end")),
        "kind": kind,
        "reason": concept(_first(encounter.get("reasonCode"))),
        "status": chip(str(encounter.get("status", ""))),
    }


def note_row(document: Resource) -> dict[str, Any]:
    """Give a note with its text, as far as the reader sees it."""
    attachment = _first(document.get("content")).get("attachment", {})
    return {
        "title": attachment.get("title") or concept(document.get("type")) or "Note",
        "date": minute(document.get("date")),
        "type": concept(document.get("type")),
        "text": _text(attachment),
    }


def _text(attachment: Resource) -> str | None:
    if not str(attachment.get("contentType", "")).startswith("text/plain") or "data" not in attachment:
        return None
    try:
        return base64.b64decode(attachment["data"], validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError, TypeError):
        return None


def condition_row(condition: Resource) -> dict[str, Any]:
    """Give a line of a chart's conditions."""
    return {
        "code": code(condition.get("code")),
        "display": concept(condition.get("code")),
        "since": day(condition.get("onsetDateTime") or condition.get("recordedDate")),
        "status": chip(code(condition.get("clinicalStatus")) or "unknown"),
    }


def claim_row(claim: Resource) -> dict[str, Any]:
    """Give a claim with its codes and lines."""
    return {
        "id": str(claim.get("id", "")),
        "created": day(claim.get("created")),
        "patient": reference(claim.get("patient")),
        "insurer": reference(claim.get("insurer")),
        "status": chip(str(claim.get("status", ""))),
        "total": money(claim.get("total")),
        "number": identifier(claim, f"{BASE}/pcn"),
        "interchange": identifier(claim, f"{BASE}/isa13"),
        "diagnoses": [_diagnosis(entry) for entry in claim.get("diagnosis", ())],
        "lines": [_line(entry) for entry in claim.get("item", ())],
    }


def _diagnosis(entry: Resource) -> dict[str, str]:
    value = entry.get("diagnosisCodeableConcept", {})
    return {"sequence": str(entry.get("sequence", "")), "code": code(value), "display": concept(value)}


def _line(entry: Resource) -> dict[str, str]:
    service = entry.get("productOrService", {})
    modifiers = ", ".join(code(modifier) for modifier in entry.get("modifier", ()))
    pointers = ", ".join(str(number) for number in entry.get("diagnosisSequence", ()))
    return {
        "code": code(service),
        "display": concept(service),
        "modifiers": modifiers,
        "pointers": pointers,
        "date": day(entry.get("servicedDate") or entry.get("servicedPeriod", {}).get("start")),
        "quantity": str(entry.get("quantity", {}).get("value", "")),
        "net": money(entry.get("net") or entry.get("unitPrice")),
    }


def task_row(task: Resource) -> dict[str, Any]:
    """Give a line of the work list."""
    kinds = [code(entry.get("type")) for entry in task.get("input", ())]
    waiting = sum(1 for entry in task.get("input", ()) if _waits(entry))
    return {
        "id": str(task.get("id", "")),
        "kind": code(task.get("code")),
        "patient": reference(task.get("for")),
        "owner": reference(task.get("owner")),
        "claim": reference(task.get("focus")),
        "since": minute(task.get("authoredOn")),
        "status": chip(str(task.get("status", ""))),
        "open": task.get("status") in ("requested", "in-progress"),
        "notes": kinds.count("note"),
        "waiting": waiting,
        "suggested": kinds.count("suggestion"),
    }


def _waits(entry: Resource) -> bool:
    if code(entry.get("type")) != "suggestion":
        return False
    facts = [fact for e in entry.get("extension", ()) for fact in e.get("extension", ())]
    return not any(fact.get("url") == "disposition" and fact.get("valueCode") == "auto" for fact in facts)


def response_row(response: Resource) -> dict[str, Any]:
    """Give what a payer answered."""
    paid = response.get("payment", {})
    totals = [f"{concept(t.get('category'))} {money(t.get('amount'))}" for t in response.get("total", ())]
    return {
        "created": minute(response.get("created")),
        "outcome": chip(str(response.get("outcome", ""))),
        "disposition": str(response.get("disposition", "")),
        "paid": money(paid.get("amount")),
        "payment": str(paid.get("identifier", {}).get("value", "")),
        "totals": totals,
        "errors": [concept(e.get("code")) for e in response.get("error", ())],
    }


def payment_row(payment: Resource, claim: str) -> dict[str, Any]:
    """Give a payment, and what of it is for one claim."""
    details = [d for d in payment.get("detail", ()) if reference(d.get("request")) == claim]
    return {
        "number": str(payment.get("paymentIdentifier", {}).get("value", "")),
        "date": day(payment.get("paymentDate")),
        "amount": money(payment.get("paymentAmount")),
        "outcome": chip(str(payment.get("outcome") or payment.get("status", ""))),
        "for_claim": [money(d.get("amount")) for d in details],
        "matches": bool(details),
    }
