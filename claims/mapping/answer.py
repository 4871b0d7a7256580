"""What a payer said about one claim, as a fact that can be kept: from TA1, 999, 277CA and 835.

The state of a claim is a fold over its facts in their own order, never in the order they happened to arrive.
"""

from collections.abc import Mapping
from typing import Any

from claims.x12.acknowledgment import ClaimAcknowledgment, FunctionalAcknowledgment, InterchangeAcknowledgment, SetAcknowledgment
from claims.x12.remittance import Adjustment, Remittance, RemittedClaim, RemittedLine

Answer = Mapping[str, Any]
RANK = {"TA1": 1, "999": 2, "277CA": 3, "835": 4}


def order(answer: Answer) -> tuple[int, str, int, str]:
    """Return the place of a fact among the facts of its claim: kind, date, reversals before payments, trace."""
    return (RANK[answer["kind"]], answer.get("date", ""), 0 if answer.get("status") == "22" else 1, answer.get("trace", ""))


def interchange_to_answer(acknowledgment: InterchangeAcknowledgment) -> dict[str, Any]:
    """Keep a TA1."""
    return {"kind": "TA1", "rejected": acknowledgment.verdict == "R", "verdict": acknowledgment.verdict, "codes": [acknowledgment.note]}


def set_to_answer(group: FunctionalAcknowledgment, answered: SetAcknowledgment | None) -> dict[str, Any]:
    """Keep a 999: of the transaction set where it answers one, else of the group."""
    verdict = answered.verdict if answered else group.verdict
    codes = list(answered.codes if answered else group.codes)
    codes += [f"{f.segment}:{f.position}:{f.element}:{f.code}" for f in (answered.findings if answered else ())][:20]
    rejected = verdict in ("R", "M", "W", "X") or (answered is None and not group.accepted)
    return {"kind": "999", "rejected": rejected, "verdict": verdict, "codes": codes}


def acknowledgment_to_answer(claim: ClaimAcknowledgment) -> dict[str, Any]:
    """Keep the 277CA of one claim."""
    codes = [":".join(filter(None, (s.category, s.status, s.entity))) for s in claim.statuses]
    date = max((s.date for s in claim.statuses), default="")
    verdict = "U" if claim.rejected else "WQ"
    return {"kind": "277CA", "rejected": claim.rejected, "verdict": verdict, "codes": codes, "date": date, "payer_control": claim.payer_control}


def remitted_to_answer(remittance: Remittance, claim: RemittedClaim) -> dict[str, Any]:
    """Keep what an 835 says of one claim; amounts as text, exactly."""
    return {
        "kind": "835",
        "status": claim.status,
        "date": remittance.date,
        "trace": remittance.trace,
        "method": remittance.method,
        "charge": str(claim.charge),
        "paid": str(claim.paid),
        "patient": str(claim.patient_responsibility),
        "payer_control": claim.payer_control,
        "adjustments": _adjustments(claim.adjustments),
        "remarks": list(claim.remarks),
        "lines": [_line(line) for line in claim.lines],
    }


def _line(line: RemittedLine) -> dict[str, Any]:
    return {
        "control": line.control,
        "code": line.code,
        "modifiers": list(line.modifiers),
        "date": line.date,
        "charge": str(line.charge),
        "paid": str(line.paid),
        "adjustments": _adjustments(line.adjustments),
        "remarks": list(line.remarks),
    }


def _adjustments(found: tuple[Adjustment, ...]) -> list[list[str]]:
    return [[a.group, a.reason, str(a.amount)] for a in found]
