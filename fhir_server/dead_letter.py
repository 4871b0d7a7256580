"""An event that a consumer gave up becomes a Task for whoever operates the system.

Spec: https://hl7.org/fhir/R4/task.html
"""

from __future__ import annotations

from typing import Any, Final

from chartloop.kernel import clock
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.dead_letters import DeadLetter, DeadLetters
from chartloop.kernel.errors import NotFound
from chartloop.kernel.events import Event
from chartloop.kernel.worker import Once
from fhir_server.names import BASE
from fhir_server.repository import Repository
from fhir_server.type_ids import TYPE_IDS

SYSTEMS: Final = BASE


class DeadLetterTasks:
    """Consumer of DeadLettered."""

    name = "dead-letter-tasks"
    types = frozenset({"DeadLettered"})
    subjects: frozenset[str] = frozenset()
    isolation = "patient"

    def __init__(self, repository: Repository, dead_letters: DeadLetters, subject: Subject) -> None:
        """Take the door, where dead letters are found, and whom to act for."""
        self._repository = repository
        self._dead_letters = dead_letters
        self._subject = subject

    def handle(self, event: Event, once: Once) -> None:
        """Make the Task, once; a dead letter that somebody has decided on meanwhile needs none."""
        number = event.subject.partition("/")[2]
        try:
            letter = self._dead_letters.show(number)
        except NotFound:
            return
        scope = Scope(self._subject, "create", event.trace)
        known = f"identifier={SYSTEMS}/dead-letter|{letter.id}"
        self._repository.create(scope, dead_letter_to_task(letter), type_="Task", if_none_exist=known, also=once)


def dead_letter_to_task(letter: DeadLetter) -> dict[str, Any]:
    """Describe a dead letter without its contents: they may be about a patient, and the Task is for an operator."""
    task: dict[str, Any] = {
        "resourceType": "Task",
        "identifier": [{"system": f"{SYSTEMS}/dead-letter", "value": letter.id}],
        "status": "requested",
        "intent": "order",
        "code": {"coding": [{"system": f"{SYSTEMS}/CodeSystem/task", "code": "dead-letter"}]},
        "description": f"{letter.consumer} gave up {letter.type} of {letter.subject} after {letter.attempts} attempts: {letter.reason}",
        "authoredOn": clock.iso(letter.recorded),
    }
    if letter.subject.partition("/")[0] in TYPE_IDS:
        task["focus"] = {"reference": letter.subject}
    return task
