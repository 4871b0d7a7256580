"""Tasks that ask a person to look: one per cause, however often the cause is seen."""

from collections.abc import Sequence
from typing import Any

from chartloop.kernel.errors import Issue
from claims.chart import Chart, by_identifier, post, put
from claims.mapping.systems import BASE, TASK_CODE, TASK_INPUT

SYSTEM = f"{BASE}/attention"
OPEN = "requested,received,accepted,ready,in-progress,on-hold,draft"
NOT_READY, WITHHELD, LATE_CHARGE, LATE_NOTE = "claim-not-ready", "claim-withheld", "late-charge", "late-note"
SILENT = "claim-silent"
UNKNOWN_OUTCOME, NOT_SENT, INVALID, UNMATCHED, REJECTED = (
    "interchange-outcome-unknown", "interchange-not-sent", "interchange-invalid", "remittance-unmatched", "claim-rejected",
)  # fmt: skip
_TEXTS = {
    NOT_READY: "The claim cannot be sent yet",
    WITHHELD: "The claim may not be told to its payer",
    LATE_CHARGE: "A charge came after the claim was sent",
    LATE_NOTE: "A note came after the claim was sent",
    UNKNOWN_OUTCOME: "It is unknown whether the payer received an interchange",
    NOT_SENT: "An interchange could not be sent",
    INVALID: "An interchange from a payer is invalid and was not applied",
    UNMATCHED: "A payment matches no claim",
    REJECTED: "The payer rejected the claim",
    SILENT: "The payer is silent about the claim",
}


def attention(kind: str, cause: str, created: str, *, focus: str = "", patient: str = "", encounter: str = "", reasons: Sequence[Issue] = ()) -> dict[str, Any]:
    """Return the Task for a cause; reasons hold positions and sentences, never values."""
    task: dict[str, Any] = {
        "resourceType": "Task",
        "identifier": [{"system": SYSTEM, "value": f"{kind}/{cause}"}],
        "status": "requested",
        "intent": "order",
        "code": {"coding": [{"system": TASK_CODE, "code": kind}], "text": _TEXTS[kind]},
        "authoredOn": created,
    }
    if focus:
        task["focus"] = {"reference": focus}
    if patient:
        task["for"] = {"reference": patient}
    if encounter:
        task["encounter"] = {"reference": encounter}
    if reasons:
        kind_of_input = {"coding": [{"system": TASK_INPUT, "code": "reason"}]}
        task["input"] = [{"type": kind_of_input, "valueString": f"{r.expression}: {r.text}" if r.expression else r.text} for r in reasons[:50]]
    return task


def attention_entry(task: dict[str, Any]) -> dict[str, Any]:
    """Return the transaction entry that makes the Task unless it is there."""
    value = task["identifier"][0]["value"]
    return post(task, f"urn:chartloop:attention:{value}", by_identifier(SYSTEM, value))


def raise_attention(chart: Chart, task: dict[str, Any]) -> None:
    """Make the Task; where it is there, bring its reasons up to date and open it again."""
    value = task["identifier"][0]["value"]
    known = chart.first("Task", identifier=f"{SYSTEM}|{value}")
    if known is None:
        chart.create(task, by_identifier(SYSTEM, value))
    elif known.resource.get("input") != task.get("input") or known.resource.get("status") == "completed":
        chart.update(known, {**known.resource, "status": "requested", **({"input": task["input"]} if "input" in task else {})})


def closing(chart: Chart, kind: str, cause: str) -> list[dict[str, Any]]:
    """Return the transaction entries that complete the Task of a cause that is gone."""
    known = chart.first("Task", identifier=f"{SYSTEM}|{kind}/{cause}")
    if known is None or known.resource.get("status") not in OPEN.split(","):
        return []
    return [put(known, {**known.resource, "status": "completed"})]


