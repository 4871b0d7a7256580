"""From a draft Claim whose coding is finished to an active one, with its 837P queued, in one transaction."""

from typing import Any

from chartloop.kernel import clock
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.config import Settings
from chartloop.kernel.db import Database, Tx
from chartloop.kernel.errors import Conflict, Issue, PreconditionFailed
from chartloop.kernel.outbox import Outbox
from claims.attention import LATE_NOTE, NOT_READY, WITHHELD, attention, closing, raise_attention
from claims.chart import Chart, Entry, put
from claims.control_numbers import NumberTaken, next_number, take_number
from claims.interchange_store import QUEUED, Submission, add_interchange, recall_strangers, submit
from claims.mapping.characters import text_to_x12
from claims.mapping.claim import ClaimContext, claim_to_837p
from claims.mapping.coded import coded_notes
from claims.mapping.draft import with_diagnoses
from claims.mapping.element import extensions, identifier, reference
from claims.mapping.systems import CHARGE_ITEM, ISA13, PAYER_ID, PCN, TASK_CODE
from claims.told import told_of, told_to
from claims.x12.issue import ERROR, errors
from claims.x12.professional import Batch, Envelope, Party, ProfessionalClaim
from claims.x12.professional_writer import batch_to_interchange
from claims.x12.validation import validate
from fhir_server.operations.disclose import Withheld

CLOSED = frozenset({"completed", "cancelled", "rejected", "failed", "entered-in-error"})
_TRIES = 20


class Release:
    """Lets a claim go when nothing holds it."""

    def __init__(self, chart: Chart, db: Database, outbox: Outbox, settings: Settings, payer: Subject, *, note_wait_s: float = 0.0) -> None:
        """Take the store, the database for the queue, the outbox, who we are to payers, as whom they are told, and how long a note may still come."""
        self._payer = payer
        self._note_wait_us = int(note_wait_s * 1_000_000)
        self._chart, self._db, self._outbox, self._settings = chart, db, outbox, settings

    def release(self, encounter_id: str, claim: Entry) -> bool:
        """Send the claim if it may go; say whether it went."""
        notes = self._notes(encounter_id)
        if claim.resource.get("status") != "draft":
            self._report_late(encounter_id, claim, notes)
            return False
        if not notes and self._young(claim):
            return False
        if not self._coded(notes, claim) or not self._reviewed(encounter_id):
            return False
        for _ in range(_TRIES):
            try:
                return self._send(encounter_id, claim, has_notes=bool(notes))
            except NumberTaken:
                continue
        raise Conflict("Control numbers are being taken faster than they can be looked at.")

    def _notes(self, encounter_id: str) -> list[Entry]:
        return self._chart.find("DocumentReference", encounter=f"Encounter/{encounter_id}", status="current")

    def _young(self, claim: Entry) -> bool:
        """A claim without any note waits a while for one; the periodic look at drafts brings it back."""
        if not self._note_wait_us:
            return False
        return clock.now_us() - clock.parse_iso(str(claim.resource.get("created"))) < self._note_wait_us

    def _coded(self, notes: list[Entry], claim: Entry) -> bool:
        """Every current note, in its current version, was coded."""
        coded = coded_notes(claim.resource)
        return all((note.reference, note.version) in coded for note in notes)

    def _reviewed(self, encounter_id: str) -> bool:
        tasks = self._chart.find("Task", encounter=f"Encounter/{encounter_id}", code=f"{TASK_CODE}|review-coding")
        return all(task.resource.get("status") in CLOSED for task in tasks)

    def _send(self, encounter_id: str, claim: Entry, *, has_notes: bool) -> bool:
        context = self._context(encounter_id, claim, has_notes=has_notes)
        mapped = claim_to_837p(context)
        payer = identifier(context.payer, PAYER_ID)
        if mapped.claim is None:
            self._hold(encounter_id, claim, mapped.issues)
            return False
        sender, receiver = self._settings.claims.submitter_id, text_to_x12(payer, 15)
        scopes = [f"{kind}/{sender}/{receiver}/{self._settings.claims.usage}" for kind in ("isa", "gs")]
        with self._db.read() as session:
            isa, group = (next_number(session, scope) for scope in scopes)
        body = self._render(mapped.claim, context, receiver, isa, group)
        found = errors(validate(body, codes=ERROR).issues)
        if found:
            self._hold(encounter_id, claim, tuple(Issue("error", "invariant", f"{i.segment} {i.text}", f"837P {i.at}") for i in found))
            return False
        return self._activate(context, claim, payer, scopes, (isa, group), body)

    def _activate(self, context: ClaimContext, claim: Entry, payer: str, scopes: list[str], numbers: tuple[int, int], body: bytes) -> bool:
        recipient = told_to(self._payer, claim.resource)
        told = told_of(claim.resource, context.encounter)
        isa13 = f"{numbers[0]:09}"
        key = f"{self._settings.claims.submitter_id}-{isa13}"
        identifiers = [i for i in context.claim["identifier"] if i.get("system") != ISA13]
        active = {**context.claim, "status": "active", "identifier": [*identifiers, {"system": ISA13, "value": key}]}
        control = identifier(context.claim, PCN)

        def also(tx: Tx) -> None:
            for scope, number in zip(scopes, numbers, strict=True):
                take_number(tx, scope, number)
            # Two payers count apart, so the payer belongs into the key of the row.
            number = add_interchange(tx, "out", payer, isa13, str(numbers[1]), "837P", QUEUED, f"{payer}/{key}", body)
            submit(tx, Submission(control, claim.reference, payer, number))
            self._chart.disclose(tx, recipient, told, f"{claim.reference}/_history/{claim.version + 1}")
            self._outbox.publish(tx, "InterchangeQueued", f"interchange/{number}", key=f"payer/{payer}")
            for answer in recall_strangers(tx, payer, control):
                self._outbox.publish(tx, "InterchangeReceived", f"interchange/{answer}", key=f"payer/{payer}")

        done = [entry for kind in (NOT_READY, WITHHELD) for entry in closing(self._chart, kind, claim.reference)]
        try:
            self._chart.transaction([put(claim, active), *done], also)
        except PreconditionFailed:
            # Somebody changed the claim meanwhile: that change has an event of its own, and comes back here.
            return False
        except Withheld as kept:
            self._withhold(context, claim, recipient, kept.references)
            return False
        return True

    def _withhold(self, context: ClaimContext, claim: Entry, recipient: Subject, references: tuple[str, ...]) -> None:
        """Say to people that the claim waits, without saying what for: which policy held it is in the audit log. Drafts are looked at again."""
        self._chart.withheld(recipient, references)
        reason = Issue("error", "business-rule", "a restriction or a missing consent of the patient keeps it from this payer", claim.reference)
        now, patient = clock.iso(clock.now_us()), reference(claim.resource.get("patient"))
        encounter = f"Encounter/{context.encounter['id']}" if context.encounter.get("id") else ""
        task = attention(WITHHELD, claim.reference, now, focus=claim.reference, patient=patient, encounter=encounter, reasons=[reason])
        raise_attention(self._chart, task)

    def _context(self, encounter_id: str, claim: Entry, *, has_notes: bool) -> ClaimContext:
        encounter = self._resource(f"Encounter/{encounter_id}")
        resource = claim.resource
        if not has_notes:
            resource = with_diagnoses(resource, [*self._billed(resource), *self._conditions(encounter_id)])
        focal: dict[str, Any] = next((i for i in resource.get("insurance") or [] if i.get("focal")), {})
        coverage = self._resource(reference(focal.get("coverage")))
        team = next((reference(member.get("provider")) for member in resource.get("careTeam") or []), "")
        subscriber = reference(coverage.get("subscriber"))
        return ClaimContext(
            claim=resource,
            patient=self._resource(reference(resource.get("patient"))),
            coverage=coverage,
            payer=self._resource(reference(resource.get("insurer"))),
            billing=self._resource(reference(resource.get("provider"))),
            encounter=encounter,
            rendering=self._resource(team) or None if team.startswith("Practitioner/") else None,
            subscriber=self._resource(subscriber) or None if subscriber and not subscriber.startswith("Organization/") else None,
        )

    def _billed(self, claim: dict[str, Any]) -> list[dict[str, Any]]:
        return [self._resource(reference(e.get("valueReference"))) for item in claim.get("item") or [] for e in extensions(item, CHARGE_ITEM)]

    def _conditions(self, encounter_id: str) -> list[dict[str, Any]]:
        """Conditions of the encounter, in the shape of charges: their code is the reason."""
        found = self._chart.find("Condition", encounter=f"Encounter/{encounter_id}")
        return [{"reason": [c.resource["code"]]} for c in found if c.resource.get("code")]

    def _resource(self, ref: str) -> dict[str, Any]:
        found = self._chart.get(ref) if ref else None
        return found.resource if found else {}

    def _render(self, claim: ProfessionalClaim, context: ClaimContext, receiver: str, isa: int, group: int) -> bytes:
        settings, stamp = self._settings.claims, clock.iso(clock.now_us())
        day, time = stamp[:10].replace("-", ""), stamp[11:16].replace(":", "")
        submitter = Party(
            text_to_x12(settings.submitter_name), first=text_to_x12(settings.contact_name), id_type="46", id=settings.submitter_id,
            phone="".join(c for c in settings.contact_phone if c.isdigit()),
        )  # fmt: skip
        payer = Party(text_to_x12(context.payer.get("name") or ""), id_type="46", id=receiver)
        batch = Batch(submitter, payer, f"{isa:09}", day, time, (claim,))
        return batch_to_interchange(batch, Envelope(settings.submitter_id, receiver, isa, group, day, time, settings.usage))

    def _hold(self, encounter_id: str, claim: Entry, issues: tuple[Issue, ...]) -> None:
        now, patient = clock.iso(clock.now_us()), reference(claim.resource.get("patient"))
        task = attention(NOT_READY, claim.reference, now, focus=claim.reference, patient=patient, encounter=f"Encounter/{encounter_id}", reasons=issues)
        raise_attention(self._chart, task)

    def _report_late(self, encounter_id: str, claim: Entry, notes: list[Entry]) -> None:
        """A note that came, or changed, after the claim went out: a person decides whether to replace the claim."""
        if claim.resource.get("status") != "active" or self._coded(notes, claim):
            return
        reason = Issue("warning", "business-rule", "a note that the claim was not coded from; a replacement claim may be needed", claim.reference)
        patient, encounter = reference(claim.resource.get("patient")), f"Encounter/{encounter_id}"
        now = clock.iso(clock.now_us())
        task = attention(LATE_NOTE, claim.reference, now, focus=claim.reference, patient=patient, encounter=encounter, reasons=[reason])
        if self._chart.first("Task", identifier=f"{task['identifier'][0]['system']}|{task['identifier'][0]['value']}") is None:
            raise_attention(self._chart, task)
