"""The consumer that carries an encounter to a released claim: it assembles the draft, and lets it go when nothing holds it."""

from contextlib import suppress

from chartloop.kernel.errors import PreconditionFailed
from chartloop.kernel.events import Event
from chartloop.kernel.worker import Later, Once, Periodic
from claims.chart import Chart, Entry
from claims.jobs_assembly import Assembly
from claims.jobs_release import Release
from claims.mapping.element import Resource, identifier, reference
from claims.mapping.systems import CLAIM_OF_ENCOUNTER

_AGAIN_S = 0.2


class ClaimConsumer:
    """Reacts to whatever may complete a claim. Every step can be repeated, so it needs no mark of its own."""

    name = "claims-assembly"
    types = frozenset({"ResourceCreated", "ResourceUpdated", "ResourceDeleted"})
    subjects = frozenset({"Encounter", "ChargeItem", "DocumentReference", "Task", "Claim", "Coverage"})
    isolation = "patient"

    def __init__(self, chart: Chart, assembly: Assembly, release: Release) -> None:
        """Take the store and the two steps."""
        self._chart, self._assembly, self._release = chart, assembly, release

    def handle(self, event: Event, once: Once) -> None:  # repeating is harmless
        """Bring the claims that this event may concern up to date."""
        try:
            for encounter in self._encounters(event.subject):
                claim = self._assembly.assemble(encounter)
                if claim is not None:
                    self._release.release(encounter, claim)
        except PreconditionFailed:
            # Two writers of one draft: look again with fresh eyes.
            raise Later(_AGAIN_S) from None

    def periodic(self, interval_s: float) -> Periodic:
        """Return the periodic that looks at every draft again: for time that passed, and for what has no event of its patient."""
        return Periodic("claims-drafts", interval_s, self.look_again)

    def look_again(self) -> None:
        """Try every draft claim of an encounter."""
        for claim in self._chart.find("Claim", status="draft"):
            encounter = identifier(claim.resource, CLAIM_OF_ENCOUNTER)
            current = self._assembly.assemble(encounter) if encounter else None
            if current is not None:
                with suppress(PreconditionFailed):
                    self._release.release(encounter, current)

    def _encounters(self, subject: str) -> list[str]:
        type_, _, id_ = subject.partition("/")
        if type_ == "Encounter":
            return [id_]
        entry = self._chart.get(subject)
        if entry is None:
            return []
        if type_ == "Claim" and not identifier(entry.resource, CLAIM_OF_ENCOUNTER):
            return []
        if type_ == "Coverage":
            return self._waiting(entry)
        return _named(entry.resource)

    def _waiting(self, entry: Entry) -> list[str]:
        """Finished encounters of a patient whose coverage changed."""
        patient = reference(entry.resource.get("beneficiary"))
        return [str(found.resource["id"]) for found in self._chart.find("Encounter", subject=patient, status="finished")]


def _named(resource: Resource) -> list[str]:
    """Return the encounters that a charge, note, task, condition or claim names."""
    found = [reference(resource.get("context") if resource["resourceType"] == "ChargeItem" else resource.get("encounter"))]
    if resource["resourceType"] == "DocumentReference":
        found = [reference(e) for e in (resource.get("context") or {}).get("encounter") or []]
    if resource["resourceType"] == "Claim":
        found = [reference(e) for item in resource.get("item") or [] for e in item.get("encounter") or []]
    ids = [ref.split("/")[1] for ref in found if ref.startswith("Encounter/")]
    return sorted(set(ids))
