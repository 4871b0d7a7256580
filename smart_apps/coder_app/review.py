"""The review Task as a coder sees it, and a coder's decisions as the Task's output.

Pure: JSON in, JSON out; what cannot be read becomes an issue with its position.

Spec: https://hl7.org/fhir/R4/task.html
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from smart_apps.systems import BASE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

INPUT_SYSTEM = f"{BASE}/CodeSystem/task-input"
OUTPUT_SYSTEM = f"{BASE}/CodeSystem/task-output"
SUGGESTION = f"{BASE}/StructureDefinition/suggestion"
DECISION = f"{BASE}/StructureDefinition/decision"
ICD10CM = "http://hl7.org/fhir/sid/icd-10-cm"
OPEN = frozenset({"requested", "received", "accepted", "ready", "in-progress"})

Kind = Literal["accept", "replace", "reject", "add"]
KINDS: Mapping[str, Kind] = {"accept": "accept", "replace": "replace", "reject": "reject", "add": "add"}


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in a Task that the app cannot use, and where."""

    expression: str
    text: str


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One code that the model suggests, with its evidence as code points into the note."""

    id: str
    code: str
    display: str
    confidence: float
    note: str
    start: int
    end: int
    model: str
    disposition: str
    reasons: tuple[str, ...] = ()

    @property
    def needs_review(self) -> bool:
        """Tell whether the code waits for a person; the others are on the claim already."""
        return self.disposition != "auto"


@dataclass(frozen=True, slots=True)
class Review:
    """One review Task, read; `returned` says why it came back after it had been completed."""

    id: str
    version: str
    status: str
    owner: str
    patient: str
    encounter: str
    claim: str
    notes: tuple[str, ...]
    suggestions: tuple[Suggestion, ...]
    returned: str = ""

    @property
    def is_open(self) -> bool:
        """Tell whether decisions can still be made."""
        return self.status in OPEN


@dataclass(frozen=True, slots=True)
class Decision:
    """What a coder decided on one suggestion, or a code that the model missed."""

    kind: Kind
    code: str
    display: str = ""
    suggestion: str = ""
    reason: str = ""
    note: str = ""
    start: int | None = None
    end: int | None = None


@dataclass(slots=True)
class Decisions:
    """The decisions of one sitting: at most one for a suggestion, the last one counts."""

    by_suggestion: dict[str, Decision] = field(default_factory=dict)
    added: list[Decision] = field(default_factory=list)
    chart_complete: bool = False

    def decide(self, decision: Decision) -> None:
        """Take a decision; adding a code twice at the same place changes nothing."""
        if decision.kind != "add":
            self.by_suggestion[decision.suggestion] = decision
        elif decision not in self.added:
            self.added.append(decision)

    def undo(self, suggestion: str) -> None:
        """Take a decision back."""
        self.by_suggestion.pop(suggestion, None)

    def all(self, review: Review) -> list[Decision]:
        """List the decisions in the order of the suggestions, additions last."""
        known = [self.by_suggestion[s.id] for s in review.suggestions if s.id in self.by_suggestion]
        return known + self.added

    def undecided(self, review: Review) -> list[Suggestion]:
        """List the suggestions that wait for a person and have no decision yet."""
        return [s for s in review.suggestions if s.needs_review and s.id not in self.by_suggestion]


def task_to_review(task: Mapping[str, Any]) -> tuple[Review, list[Problem]]:
    """Read a review Task; inputs that cannot be read are left out and named."""
    suggestions: list[Suggestion] = []
    notes: list[str] = []
    problems: list[Problem] = []
    for index, entry in enumerate(task.get("input", ())):
        where = f"Task.input[{index}]"
        kind = _code(entry.get("type"), INPUT_SYSTEM)
        if kind == "note":
            _append(notes, _reference(entry.get("valueReference")), f"{where}.valueReference", problems)
        elif kind == "suggestion":
            _append(suggestions, _suggestion(entry), where, problems)
    review = Review(
        id=task.get("id", ""),
        version=task.get("meta", {}).get("versionId", ""),
        status=task.get("status", ""),
        owner=_reference(task.get("owner")),
        patient=_reference(task.get("for")),
        encounter=_reference(task.get("encounter")),
        claim=_reference(task.get("focus")),
        notes=tuple(dict.fromkeys([*notes, *(s.note for s in suggestions if s.note)])),
        suggestions=tuple(suggestions),
        returned=str(task.get("statusReason", {}).get("text", "")),
    )
    return review, problems


def output_to_decisions(task: Mapping[str, Any]) -> Decisions:
    """Read back the decisions of a Task, so that one that was returned can be corrected and not done again."""
    decisions = Decisions()
    for entry in task.get("output", ()):
        kind = _code(entry.get("type"), OUTPUT_SYSTEM)
        if kind == "chart-complete":
            decisions.chart_complete = entry.get("valueBoolean") is True
        elif kind in KINDS and entry.get("valueCoding", {}).get("code"):
            decisions.decide(_decision(KINDS[kind], entry))
    return decisions


def _decision(kind: Kind, entry: Mapping[str, Any]) -> Decision:
    facts = {e.get("url"): e for e in next(_extension(entry, DECISION), {}).get("extension", ())}
    coding = entry["valueCoding"]
    return Decision(
        kind=kind,
        code=coding["code"],
        display=coding.get("display", ""),
        suggestion=facts.get("suggestion", {}).get("valueString", ""),
        reason=facts.get("reason", {}).get("valueString", ""),
        note=_reference(facts.get("note", {}).get("valueReference")),
        start=facts.get("start", {}).get("valueUnsignedInt"),
        end=facts.get("end", {}).get("valueUnsignedInt"),
    )


def _append(found: list[Any], value: object, where: str, problems: list[Problem]) -> None:
    if value:
        found.append(value)
    else:
        problems.append(Problem(where, "This input cannot be read and is not shown."))


def _code(concept: object, system: str) -> str:
    codings = concept.get("coding", ()) if isinstance(concept, dict) else ()
    return next((c.get("code", "") for c in codings if c.get("system") == system), "")


def _reference(value: object) -> str:
    return str(value.get("reference", "")) if isinstance(value, dict) else ""


def _extension(element: Mapping[str, Any], url: str) -> Iterator[Mapping[str, Any]]:
    return (e for e in element.get("extension", ()) if e.get("url") == url)


def _suggestion(entry: Mapping[str, Any]) -> Suggestion | None:
    coding = entry.get("valueCoding", {})
    facts = next(_extension(entry, SUGGESTION), None)
    if facts is None or not coding.get("code"):
        return None

    def fact(name: str, member: str, default: Any) -> Any:
        return next((e.get(member, default) for e in _extension(facts, name)), default)

    identifier = fact("id", "valueString", "")
    if not identifier:
        return None
    return Suggestion(
        id=identifier,
        code=coding["code"],
        display=coding.get("display", ""),
        confidence=float(fact("confidence", "valueDecimal", 0)),
        note=_reference(fact("note", "valueReference", None)),
        start=int(fact("start", "valueUnsignedInt", 0)),
        end=int(fact("end", "valueUnsignedInt", 0)),
        model=fact("model", "valueString", ""),
        disposition=fact("disposition", "valueCode", "review"),
        reasons=tuple(e.get("valueCode", "") for e in _extension(facts, "reason")),
    )


def claimed(task: Mapping[str, Any], owner: str) -> dict[str, Any]:
    """Give the Task as its coder's: in progress, with an owner."""
    return {**deepcopy(dict(task)), "status": "in-progress", "owner": {"reference": owner}}


def released(task: Mapping[str, Any]) -> dict[str, Any]:
    """Give the Task back to the queue, with nobody's name on it."""
    body = {**deepcopy(dict(task)), "status": "requested"}
    body.pop("owner", None)
    return body


def completed(task: Mapping[str, Any], owner: str, decisions: Iterable[Decision], *, chart_complete: bool) -> dict[str, Any]:
    """Give the Task with its decisions as output, ready to be PUT."""
    body = {**claimed(task, owner), "status": "completed"}
    body["output"] = decisions_to_output(list(decisions), chart_complete=chart_complete)
    return body


def decisions_to_output(decisions: Sequence[Decision], *, chart_complete: bool) -> list[dict[str, Any]]:
    """Write decisions as Task.output; whether the whole chart was read is always said."""
    written = [_decision_to_output(decision) for decision in decisions]
    return [*written, {"type": _type("chart-complete"), "valueBoolean": chart_complete}]


def _type(code: str) -> dict[str, Any]:
    return {"coding": [{"system": OUTPUT_SYSTEM, "code": code}]}


def _decision_to_output(decision: Decision) -> dict[str, Any]:
    coding = {"system": ICD10CM, "code": decision.code}
    if decision.display:
        coding["display"] = decision.display
    facts: list[dict[str, Any]] = []
    if decision.suggestion:
        facts.append({"url": "suggestion", "valueString": decision.suggestion})
    if decision.note:
        facts.append({"url": "note", "valueReference": {"reference": decision.note}})
    if decision.start is not None and decision.end is not None:
        facts.append({"url": "start", "valueUnsignedInt": decision.start})
        facts.append({"url": "end", "valueUnsignedInt": decision.end})
    if decision.reason:
        facts.append({"url": "reason", "valueString": decision.reason})
    output: dict[str, Any] = {"type": _type(decision.kind), "valueCoding": coding}
    if facts:
        output["extension"] = [{"url": DECISION, "extension": facts}]
    return output
