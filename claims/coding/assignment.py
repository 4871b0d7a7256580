"""Assignment: the notes of a draft claim's encounter become codes on the claim, or one review Task for a coder.

A note counts as coded on the claim (extension coded-note) once nobody has to look at it any more: at once if every code of it was
certified, else when the review is applied. So a claim whose review is open, or answered but not applied yet, is never complete.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from chartloop.kernel import clock
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.broker import Once
from chartloop.kernel.errors import Gone, NotFound
from chartloop.kernel.events import Event
from claims.coding.body import parse, reference
from claims.coding.diagnosis import Diagnosis, claim_codes, coded_notes, with_coded_notes, with_diagnoses
from claims.coding.note import Note, stored_to_note
from claims.coding.provenance import model_provenance
from claims.coding.systems import OPEN_STATUSES, REVIEW_CODING
from claims.coding.task import Offered, extend_task, new_task, routed_to_offered, task_notes
from claims.mapping.systems import TASK_CODE
from fhir_server.repository import Repository
from fhir_server.store import Labeller, Stored
from predictions.calibration import CalibrationRecord, Routed, route
from predictions.pool import Coded
from terminology.icd10cm import Icd10cm

_log = structlog.get_logger(__name__)


class Suggests(Protocol):
    """Whoever suggests codes for a text: a CoderPool."""

    def suggest(self, text: str) -> Coded:
        """Suggest codes for one note."""
        ...


@dataclass(frozen=True, slots=True)
class Policy:
    """What decides between claim and person."""

    record: CalibrationRecord | None
    demo: bool


@dataclass(frozen=True, slots=True)
class NoteCoding:
    """What the coder said of one note and where it goes."""

    note: Note
    coded: Coded
    routed: Routed

    @property
    def offered(self) -> list[Offered]:
        """The suggestions as a Task shows them."""
        return routed_to_offered(self.note, self.routed, self.coded.version)


class AssignmentConsumer:
    """Codes what is not coded yet, whenever a claim, a note or an encounter changes."""

    name = "claims.coding.assignment"
    types = frozenset({"ResourceCreated", "ResourceUpdated"})
    subjects = frozenset({"Claim", "DocumentReference", "Encounter"})
    isolation = "patient"

    def __init__(self, repository: Repository, subject: Subject, coder: Suggests, policy: Policy, icd: Icd10cm, labeller: Labeller) -> None:
        """Take the door, who acts, the coder's process and the policy."""
        self._repository, self._coder, self._policy, self._icd, self._labeller = repository, coder, policy, icd, labeller
        self._scope = Scope(subject, "read")

    def handle(self, event: Event, once: Once) -> None:
        """Code the draft claims that the event may concern, in one transaction."""
        entries = [entry for stored in self._claims(event.subject) for entry in self._code(stored)]
        if entries:
            self._repository.transaction(self._scope, {"resourceType": "Bundle", "type": "transaction", "entry": entries}, also=once)

    def _claims(self, subject: str) -> Iterator[Stored]:
        """Find the draft claims that a changed resource belongs to."""
        type_, _, id_ = subject.partition("/")
        try:
            found = self._repository.read(self._scope, type_, id_)
        except (NotFound, Gone):
            return
        if type_ == "Claim":
            yield found
            return
        encounters = [subject] if type_ == "Encounter" else [reference(e) for e in found.json().get("context", {}).get("encounter", ())]
        for encounter in filter(None, dict.fromkeys(encounters)):
            yield from self._repository.all(self._scope, "Claim", f"encounter={encounter}&status=draft")

    def _code(self, stored: Stored) -> Iterator[dict[str, Any]]:
        """Yield the entries that code one claim; none if there is nothing to do."""
        claim = parse(stored)
        encounters = claim_encounters(claim)
        if claim.get("status") != "draft" or not encounters:
            return
        tasks = self._tasks(f"Claim/{stored.id}")
        task = next((t for t in tasks if t.json().get("status") in OPEN_STATUSES), None)
        pending = self._pending(encounters, coded_notes(claim), _reviewed(tasks))
        if not pending:
            return
        codings = [self._suggest(note, claim_codes(claim)) for note in pending]
        yield from self._entries(stored, claim, encounters[0], task, codings)

    def _pending(self, encounters: Sequence[str], coded: Mapping[str, int], reviewed: Mapping[str, int]) -> list[Note]:
        """Read the current notes that nobody coded in their current version."""
        found: dict[str, Note] = {}
        for encounter in encounters:
            for stored in self._repository.all(self._scope, "DocumentReference", f"encounter={encounter}&status=current"):
                name = f"DocumentReference/{stored.id}"
                if max(coded.get(name, 0), reviewed.get(name, 0)) < stored.version:
                    found[name] = stored_to_note(stored, sensitive=bool(self._labels(stored)))
        return [found[name] for name in sorted(found)]

    def _labels(self, stored: Stored) -> frozenset[str]:
        """Label a note as the door does, its encounter taken into account."""
        body = stored.json()
        labels = self._labeller.labels(stored.type, body, self._labels_of)
        for encounter in body.get("context", {}).get("encounter", ()):
            labels |= self._labels_of(reference(encounter))
        return labels

    def _labels_of(self, name: str) -> frozenset[str]:
        type_, _, id_ = name.partition("/")
        try:
            found = self._repository.read(self._scope, type_, id_)
        except (NotFound, Gone):
            return frozenset()
        return self._labeller.labels(type_, found.json(), lambda _: frozenset())

    def _suggest(self, note: Note, on_claim: Sequence[str]) -> NoteCoding:
        coded = self._coder.suggest(note.text)
        routed = route(coded.suggestions, self._policy.record, self._icd, model_hash=coded.model_hash, demo=self._policy.demo, hold_all=note.sensitive)
        clash = [s for s in routed.auto if any(self._icd.excludes1(s.code, c) for c in on_claim)]
        auto = tuple(s for s in routed.auto if s not in clash)
        return NoteCoding(note, coded, Routed(auto, (*((s, ("excludes1",)) for s in clash), *routed.review)))

    def _tasks(self, claim: str) -> list[Stored]:
        return list(self._repository.all(self._scope, "Task", f"focus={claim}&code={TASK_CODE}|{REVIEW_CODING}"))

    def _entries(self, stored: Stored, claim: dict[str, Any], encounter: str, task: Stored | None, codings: Sequence[NoteCoding]) -> Iterator[dict[str, Any]]:
        """Write the claim, its review Task and the Provenance of what was appended."""
        name, now = f"Claim/{stored.id}", clock.iso(clock.now_us())
        sure = [(c, o) for c in codings for o in c.offered if o.disposition == "auto"]
        changed = with_diagnoses(claim, put=[("", Diagnosis(o.code, o.display, o.id)) for _, o in sure])
        nothing = not claim_codes(changed)
        unsure = [c for c in codings if c.routed.review or c.note.sensitive or nothing]
        changed = with_coded_notes(changed, [c.note for c in codings if c not in unsure])
        if changed != claim:
            yield _put(name, stored.version, changed)
        if unsure:
            before = parse(task) if task else new_task(claim, name, encounter, now)
            after = extend_task(before, [c.note for c in unsure], [o for c in unsure for o in c.offered])
            yield _put(f"Task/{task.id}", task.version, after) if task else _post(after)
        for coding in codings:
            mine = [o for c, o in sure if c is coding]
            if mine and self._policy.record is not None:
                yield _post(
                    model_provenance(
                        name,
                        [coding.note.reference],
                        model=coding.coded.version,
                        record=self._policy.record.hash,
                        suggestions=[o.id for o in mine],
                        recorded=now,
                    )
                )
        _log.info("Notes of a claim were coded.", action="coding.assigned", notes=len(codings), appended=len(sure), for_review=len(unsure))


def _reviewed(tasks: Sequence[Stored]) -> dict[str, int]:
    """Return the notes of all reviews, those answered but not applied yet included."""
    found: dict[str, int] = {}
    for task in tasks:
        for note, version in task_notes(task.json()).items():
            found[note] = max(found.get(note, 0), version)
    return found


def claim_encounters(claim: Mapping[str, Any]) -> list[str]:
    """Return the encounters that the items of a claim name, each once."""
    return list(dict.fromkeys(reference(e) for item in claim.get("item", ()) for e in item.get("encounter", ()) if reference(e)))


def _put(name: str, version: int, resource: Mapping[str, Any]) -> dict[str, Any]:
    return {"resource": resource, "request": {"method": "PUT", "url": name, "ifMatch": f'W/"{version}"'}}


def _post(resource: Mapping[str, Any]) -> dict[str, Any]:
    return {"resource": resource, "request": {"method": "POST", "url": str(resource["resourceType"])}}
