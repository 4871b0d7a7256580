"""All that a payer said about a claim to its ClaimResponse.

Spec: https://hl7.org/fhir/R4/claimresponse.html; 005010X221A1 loop 2100, 005010X214 loop 2200D
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from claims.mapping.answer import Answer, order
from claims.mapping.element import Resource, any_code, code, date, money
from claims.mapping.systems import (
    ACKNOWLEDGMENT,
    ADJUDICATION,
    ADJUSTMENT_GROUP,
    ADJUSTMENT_REASON,
    CLAIM_RESPONSE,
    PAYMENT,
    PAYMENT_TYPE,
    PROCEDURES,
    STATUS_CATEGORY,
    STATUS_CODE,
)

DENIED, REVERSED = "4", "22"


def answers_to_claim_response(claim: Resource, answers: Iterable[Answer], created: str) -> dict[str, Any]:
    """Fold the facts into one ClaimResponse; the order in which they arrived does not matter."""
    facts = sorted(answers, key=order)
    remitted = [a for a in facts if a["kind"] == "835"]
    rejected = [a for a in facts if a.get("rejected")]
    response: dict[str, Any] = {
        "resourceType": "ClaimResponse",
        "identifier": [{"system": CLAIM_RESPONSE, "value": str(claim.get("id"))}],
        "status": "active",
        "type": claim.get("type"),
        "use": claim.get("use", "claim"),
        "patient": claim.get("patient"),
        "created": created,
        "insurer": claim.get("insurer"),
        "request": {"reference": f"Claim/{claim.get('id')}"},
    }
    if claim.get("provider"):
        response["requestor"] = claim["provider"]
    payer_control = next((a["payer_control"] for a in reversed(facts) if a.get("payer_control")), "")
    if payer_control:
        response["preAuthRef"] = payer_control
    if remitted:
        response |= _remitted(claim, remitted)
    elif rejected:
        response |= {"outcome": "error", "disposition": _rejection(rejected[-1]), "error": _errors(rejected)}
    else:
        latest = facts[-1]["kind"] if facts else ""
        text = "Accepted for adjudication (277CA)" if latest == "277CA" else f"Acknowledged ({latest})"
        response |= {"outcome": "queued", "disposition": text}
    return response


def _rejection(answer: Answer) -> str:
    return {"TA1": "Interchange rejected (TA1)", "999": "Transaction set rejected (999)", "277CA": "Claim rejected (277CA)"}[answer["kind"]]


def _errors(rejected: Sequence[Answer]) -> list[dict[str, Any]]:
    found = []
    for answer in rejected:
        for text in answer.get("codes") or ["R"]:
            parts = str(text).split(":")
            if answer["kind"] == "277CA":
                codings = [{"system": STATUS_CATEGORY, "code": parts[0]}]
                codings += [{"system": STATUS_CODE, "code": parts[1]}] if len(parts) > 1 and parts[1] else []
            else:
                codings = [{"system": ACKNOWLEDGMENT, "code": f"{answer['kind']}-{text or 'R'}"}]
            found.append({"code": {"coding": codings}})
    return found


def _remitted(claim: Resource, remitted: Sequence[Answer]) -> dict[str, Any]:
    standing = _standing(remitted)
    charge = sum((Decimal(a["charge"]) for a in standing), Decimal(0))
    paid = sum((Decimal(a["paid"]) for a in remitted), Decimal(0))
    total = money(claim.get("total"))
    whole = total is None or charge >= total
    amounts: dict[str, Any] = {
        "outcome": "complete" if whole and standing else "partial",
        "disposition": _disposition(remitted, standing, paid, charge, whole=whole),
        "total": [_total("submitted", charge), _total("benefit", paid)],
    }
    adjudication = [entry for a in standing for entry in _cas(a["adjustments"])]
    if adjudication:
        amounts["adjudication"] = adjudication
    items, added = _items(claim, standing)
    if items:
        amounts["item"] = items
    if added:
        amounts["addItem"] = added
    last = remitted[-1]
    amounts["payment"] = {
        "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/ex-paymenttype", "code": "complete" if whole else "partial"}]},
        "amount": _money(paid),
        "identifier": {"system": PAYMENT, "value": last["trace"]},
    } | ({"date": date(last["date"])} if date(last["date"]) else {})
    return amounts


def _standing(remitted: Sequence[Answer]) -> list[Answer]:
    """Return the decisions that no later reversal took back."""
    standing: list[Answer] = []
    for answer in remitted:
        if answer["status"] != REVERSED:
            standing.append(answer)
            continue
        taken = -Decimal(answer["charge"])
        for index, earlier in enumerate(standing):
            if Decimal(earlier["charge"]) == taken and Decimal(earlier["paid"]) == -Decimal(answer["paid"]):
                del standing[index]
                break
    return standing


def _disposition(remitted: Sequence[Answer], standing: Sequence[Answer], paid: Decimal, charge: Decimal, *, whole: bool) -> str:
    if not standing:
        return "Payment reversed"
    if all(a["status"] == DENIED for a in standing):
        text = "Denied"
    elif not whole:
        text = "Paid in part: other lines are still to come"
    elif paid < charge:
        text = "Paid less than charged"
    else:
        text = "Paid in full"
    return text + (" after a reversal" if any(a["status"] == REVERSED for a in remitted) else "")


def _items(claim: Resource, standing: Sequence[Answer]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Match paid lines to items by line control number, else by code; what matches none is added."""
    known = {str(item.get("sequence")): item for item in claim.get("item") or []}
    items: list[dict[str, Any]] = []
    added: list[dict[str, Any]] = []
    used: set[str] = set()
    for line in (line for answer in standing for line in answer["lines"]):
        sequence = line["control"] if line["control"] in known else _by_code(known, used, line["code"])
        adjudication = [_amount("submitted", line["charge"]), _amount("benefit", line["paid"]), *_cas(line["adjustments"])]
        if sequence and sequence not in used:
            used.add(sequence)
            items.append({"itemSequence": int(sequence), "adjudication": adjudication})
        elif line["code"]:
            product = {"coding": [{"system": PROCEDURES[0], "code": line["code"]}]}
            added.append({"productOrService": product, "adjudication": adjudication})
    return sorted(items, key=lambda item: int(item["itemSequence"])), added


def _by_code(known: dict[str, Any], used: set[str], wanted: str) -> str:
    for sequence, item in known.items():
        if sequence not in used and wanted and wanted in (code(item.get("productOrService"), PROCEDURES), any_code(item.get("productOrService"))):
            return sequence
    return ""


def _cas(adjustments: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
    return [
        {
            "category": {"coding": [{"system": ADJUSTMENT_GROUP, "code": group}]},
            "reason": {"coding": [{"system": ADJUSTMENT_REASON, "code": reason}]},
            "amount": _money(Decimal(amount)),
        }
        for group, reason, amount in adjustments
    ]


def _amount(category: str, amount: str) -> dict[str, Any]:
    return {"category": {"coding": [{"system": ADJUDICATION, "code": category}]}, "amount": _money(Decimal(amount))}


def _total(category: str, amount: Decimal) -> dict[str, Any]:
    return {"category": {"coding": [{"system": ADJUDICATION, "code": category}]}, "amount": _money(amount)}


def _money(amount: Decimal) -> dict[str, Any]:
    return {"value": amount, "currency": "USD"}


def payment_detail(kind: str, amount: Decimal, claim: str = "", response: str = "", when: str = "") -> dict[str, Any]:
    """Return one detail of a PaymentReconciliation."""
    detail: dict[str, Any] = {"type": {"coding": [{"system": PAYMENT_TYPE, "code": kind}]}, "amount": _money(amount)}
    if claim:
        detail["request"] = {"reference": claim}
    if response:
        detail["response"] = {"reference": response}
    if when:
        detail["date"] = when
    return detail


