"""One coder's work on one review Task: claimed, read, decided, submitted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from smart_apps.client.fhir import ChangedError
from smart_apps.coder_app.review import Decisions, Problem, Review, claimed, completed, output_to_decisions, released, task_to_review

if TYPE_CHECKING:
    from smart_apps.coder_app.ehr import Ehr


@dataclass(slots=True)
class Sitting:
    """What is open on the page.

    Attributes:
        task: The Task as last read or written.
        review: The same, read.
        problems: Inputs that could not be read.
        patient: Whose chart it is; None when this person may not see them.
        documents: Notes by reference; None for one that this person may not see.
        decisions: What was decided so far.
        current: Id of the suggestion at hand.
        mode: What the card at hand asks for: "", "reject" or "replace".
        selection: Start and end of the text selected as evidence for a missed code.
        changed: Whether somebody else wrote the Task meanwhile.
    """

    task: dict[str, Any]
    review: Review
    problems: list[Problem]
    patient: dict[str, Any] | None
    documents: dict[str, dict[str, Any] | None]
    decisions: Decisions = field(default_factory=Decisions)
    current: str = ""
    mode: str = ""
    note: str = ""
    selection: tuple[int, int] | None = None
    changed: bool = False

    def mine(self, user: str) -> bool:
        """Tell whether this person may decide."""
        return self.review.is_open and self.review.owner == user

    def take(self, task: dict[str, Any]) -> None:
        """Take a fresh copy of the Task; decisions stay as far as their suggestions do."""
        self.task = task
        self.review, self.problems = task_to_review(task)
        known = {s.id for s in self.review.suggestions}
        for gone in self.decisions.by_suggestion.keys() - known:
            self.decisions.undo(gone)
        if self.current not in known:
            self.current = next(iter([s.id for s in self.ordered()]), "")

    def ordered(self) -> list[Any]:
        """List the suggestions: those that wait for a person first, the surest of them on top."""
        return sorted(self.review.suggestions, key=lambda s: (not s.needs_review, -s.confidence, s.start))

    def advance(self, step: int = 1) -> None:
        """Go to the next suggestion."""
        ids = [s.id for s in self.ordered()]
        if self.current in ids:
            self.current = ids[(ids.index(self.current) + step) % len(ids)]
        self.mode = ""

    def advance_to_open(self) -> None:
        """Go to the next suggestion without a decision, if there is one."""
        ids = [s.id for s in self.ordered()]
        waiting = {s.id for s in self.decisions.undecided(self.review)}
        at = ids.index(self.current) if self.current in ids else -1
        self.current = next((i for i in ids[at + 1 :] + ids[: at + 1] if i in waiting), self.current)
        self.mode = ""


def open_sitting(ehr: Ehr, reference: str, user: str) -> Sitting | None:
    """Read a Task with its notes and take it from the queue; None when there is no such Task for this person."""
    task = ehr.read(reference)
    if task is None:
        return None
    review, problems = task_to_review(task)
    if review.is_open and not review.owner:
        task = _claim(ehr, task, reference, user)
        review, problems = task_to_review(task)
    documents = {note: ehr.read(note) for note in review.notes}
    patient = ehr.read(review.patient) if review.patient else None
    sitting = Sitting(task, review, problems, patient, documents, output_to_decisions(task))
    sitting.note = next(iter(review.notes), "")
    sitting.current = next((s.id for s in sitting.ordered()), "")
    return sitting


def _claim(ehr: Ehr, task: dict[str, Any], reference: str, user: str) -> dict[str, Any]:
    try:
        return ehr.update(claimed(task, user))
    except ChangedError:  # somebody was faster: show it as it is now
        return ehr.read(reference) or task


def submit(ehr: Ehr, sitting: Sitting, user: str) -> bool:
    """Write the decisions; False when somebody else changed the Task first, and nothing was written."""
    decisions = sitting.decisions
    body = completed(sitting.task, user, decisions.all(sitting.review), chart_complete=decisions.chart_complete)
    try:
        sitting.take(ehr.update(body))
    except ChangedError:
        sitting.changed = True
        return False
    return True


def refresh(ehr: Ehr, sitting: Sitting) -> None:
    """Take the Task as it is now, after somebody else changed it."""
    task = ehr.read(f"Task/{sitting.review.id}")
    if task is not None:
        sitting.take(task)
        sitting.documents.update({note: ehr.read(note) for note in sitting.review.notes})
    sitting.changed = False


def give_back(ehr: Ehr, sitting: Sitting) -> bool:
    """Return the Task to the queue without decisions."""
    try:
        sitting.take(ehr.update(released(sitting.task)))
    except ChangedError:
        sitting.changed = True
        return False
    return True
