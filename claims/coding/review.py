"""A completed review Task to a coder's decisions, pure; what cannot be taken is an issue with its position.

Spec: https://hl7.org/fhir/R4/task-definitions.html#Task.output
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chartloop.kernel.errors import Issue
from claims.coding.body import code_in, extensions, reference
from claims.coding.systems import DECISION, TASK_OUTPUT
from claims.coding.task import Offered, task_notes, task_offered
from terminology.icd10cm import Icd10cm, normalize

KINDS = ("accept", "replace", "reject", "add")


@dataclass(frozen=True, slots=True)
class Decision:
    """What a coder decided on one suggestion (None: a code that the model missed)."""

    kind: str
    code: str
    display: str
    offered: Offered | None
    note: str
    start: int
    end: int
    reason: str


@dataclass(frozen=True, slots=True)
class Review:
    """The decisions of a Task, in order."""

    decisions: tuple[Decision, ...]
    chart_complete: bool


def task_to_review(task: Mapping[str, Any], icd: Icd10cm) -> tuple[Review, list[Issue]]:
    """Read the outputs of a Task against its inputs and the code system."""
    offered = {o.id: o for o in task_offered(task)}
    notes = task_notes(task)
    issues: list[Issue] = []
    decisions: list[Decision] = []
    decided: set[str] = set()
    complete = False
    for n, output in enumerate(task.get("output", ())):
        kind, where = code_in(output.get("type"), TASK_OUTPUT), f"Task.output[{n}]"
        if kind == "chart-complete":
            complete = output.get("valueBoolean") is True
            continue
        decision = _decision(kind, output, offered, next(iter(notes), "") if len(notes) == 1 else "")
        problem = _problem(kind, decision, output, offered, decided, icd)
        if problem:
            issues.append(Issue("error", "value", problem, where))
            continue
        decisions.append(decision)
        if decision.offered:
            decided.add(decision.offered.id)
    return Review(tuple(decisions), complete), issues


def _facts(output: Mapping[str, Any]) -> dict[str, Any]:
    decision = next(extensions(output, DECISION), {})
    return {str(e.get("url")): next((v for k, v in e.items() if k.startswith("value")), None) for e in decision.get("extension", ())}


def _decision(kind: str, output: Mapping[str, Any], offered: Mapping[str, Offered], only_note: str) -> Decision:
    facts, coding = _facts(output), output.get("valueCoding", {})
    about = offered.get(str(facts.get("suggestion") or ""))
    code = normalize(str(coding.get("code", "")))
    note = reference(facts.get("note")) or (about.note if about else only_note)
    start, end = (
        int(v) if isinstance(v, int) else d for v, d in ((facts.get("start"), about.start if about else -1), (facts.get("end"), about.end if about else -1))
    )
    return Decision(kind, code, str(coding.get("display", "")), about, note, start, end, str(facts.get("reason") or ""))


def _problem(kind: str, decision: Decision, output: Mapping[str, Any], offered: Mapping[str, Offered], decided: set[str], icd: Icd10cm) -> str:
    """Say in one sentence why a decision cannot be taken, '' if it can."""
    named = str(_facts(output).get("suggestion") or "")
    if kind not in KINDS:
        return "This kind of output is not known here."
    if kind != "add" and named not in offered:
        return f"A decision to {kind} names no suggestion of this Task."
    if kind != "add" and named in decided:
        return "This suggestion was decided already."
    if kind == "reject":
        return ""
    if kind == "accept" and decision.offered and normalize(decision.offered.code) != decision.code:
        return "An accepted code is the suggested code; another code is a replacement."
    if icd.lookup(decision.code) is None:
        return f"ICD-10-CM {icd.release} has no such code."
    if not icd.billable(decision.code):
        return "A claim cannot carry this code: it has more specific codes under it."
    return ""
