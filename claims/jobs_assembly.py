"""From a finished encounter and its charges to a draft Claim that follows them."""

import secrets
from collections.abc import Sequence
from typing import Any

from chartloop.kernel import clock
from chartloop.kernel.errors import Issue
from claims.attention import LATE_CHARGE, NOT_READY, attention, closing, raise_attention
from claims.chart import Chart, Entry, by_identifier
from claims.mapping.draft import charges_to_claim
from claims.mapping.element import extensions, reference
from claims.mapping.systems import CHARGE_ITEM, CLAIM_OF_ENCOUNTER, PCN

_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"


def new_control_number() -> str:
    """Return a random patient control number: 17 characters, because payers cut longer ones."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(17))


class Assembly:
    """Makes and follows draft Claims."""

    def __init__(self, chart: Chart) -> None:
        """Take the store."""
        self._chart = chart

    def assemble(self, encounter_id: str) -> Entry | None:
        """Bring the Claim of an encounter up to date; return it, or nothing while there can be none."""
        encounter = self._chart.get(f"Encounter/{encounter_id}")
        if encounter is None or encounter.resource.get("status") != "finished":
            return None
        charges = self._charges(encounter)
        claim = self._claim(encounter_id)
        if claim is None:
            return self._draft(encounter, charges) if charges else None
        if claim.resource.get("status") == "draft":
            return self._follow(encounter, charges, claim)
        self._report_late(encounter, charges, claim)
        return claim

    def _claim(self, encounter_id: str) -> Entry | None:
        return self._chart.first("Claim", identifier=f"{CLAIM_OF_ENCOUNTER}|{encounter_id}")

    def _charges(self, encounter: Entry) -> list[Entry]:
        found = self._chart.find("ChargeItem", context=encounter.reference)
        billable = [c for c in found if c.resource.get("status") == "billable"]
        return sorted(billable, key=lambda c: (str(c.resource.get("occurrenceDateTime") or ""), _identifier(c), c.reference))

    def _draft(self, encounter: Entry, charges: Sequence[Entry]) -> Entry | None:
        made = self._compose(encounter, charges, new_control_number())
        if made is None:
            return None
        id_ = str(encounter.resource["id"])
        self._chart.create(made, by_identifier(CLAIM_OF_ENCOUNTER, id_))
        return self._claim(id_)

    def _compose(self, encounter: Entry, charges: Sequence[Entry], control: str) -> dict[str, Any] | None:
        coverage = self._coverage(encounter)
        billing = self._billing(encounter, charges)
        now = clock.iso(clock.now_us())
        missing = [] if coverage else [Issue("error", "required", "the patient has no active coverage with a known payer", "Coverage")]
        if not billing:
            text = "neither charges nor encounter name the billing organization"
            missing.append(Issue("error", "required", text, "ChargeItem.performingOrganization"))
        patient = reference(encounter.resource.get("subject"))
        if missing or coverage is None:
            task = attention(NOT_READY, encounter.reference, now, focus=encounter.reference, patient=patient, encounter=encounter.reference, reasons=missing)
            raise_attention(self._chart, task)
            return None
        done = closing(self._chart, NOT_READY, encounter.reference)
        if done:
            self._chart.transaction(done)
        return charges_to_claim(encounter.resource, [c.resource for c in charges], coverage.resource, billing, control, now)

    def _coverage(self, encounter: Entry) -> Entry | None:
        """Return the first active coverage that holds on the day of the encounter and names a stored payer."""
        patient = reference(encounter.resource.get("subject"))
        day = str((encounter.resource.get("period") or {}).get("start") or "")[:10]
        holding = []
        for coverage in self._chart.find("Coverage", beneficiary=patient, status="active"):
            period = coverage.resource.get("period") or {}
            start, end = str(period.get("start") or "")[:10], str(period.get("end") or "")[:10]
            payor = reference((coverage.resource.get("payor") or [{}])[0])
            if payor.startswith("Organization/") and (not day or start <= day) and (not day or not end or day <= end):
                holding.append(coverage)
        return min(holding, key=lambda c: (int(c.resource.get("order") or 1), c.reference), default=None)

    def _billing(self, encounter: Entry, charges: Sequence[Entry]) -> str:
        named = [reference(c.resource.get("performingOrganization")) for c in charges] + [reference(encounter.resource.get("serviceProvider"))]
        return next((r for r in named if r.startswith("Organization/")), "")

    def _follow(self, encounter: Entry, charges: Sequence[Entry], claim: Entry) -> Entry:
        """Let the draft say what the charges say now; what coding put on it stays."""
        control = next((i["value"] for i in claim.resource.get("identifier") or [] if i.get("system") == PCN), new_control_number())
        if not charges:
            return claim
        made = self._compose(encounter, charges, control)
        if made is None:
            return claim
        changed: dict[str, Any] = {name: made[name] for name in ("item", "total", "careTeam", "insurer", "insurance", "provider") if name in made}
        changed["item"] = [_kept(item, claim.resource.get("item") or []) for item in changed["item"]]
        if all(claim.resource.get(name) == value for name, value in changed.items()):
            return claim
        self._chart.update(claim, {**claim.resource, **changed})
        return self._chart.get(claim.reference) or claim

    def _report_late(self, encounter: Entry, charges: Sequence[Entry], claim: Entry) -> None:
        if claim.resource.get("status") != "active":
            return
        billed = {reference(e.get("valueReference")) for item in claim.resource.get("item") or [] for e in extensions(item, CHARGE_ITEM)}
        patient = reference(claim.resource.get("patient"))
        for charge in charges:
            if charge.reference not in billed:
                reason = Issue("warning", "business-rule", "not on the claim that was sent; a replacement claim may be needed", charge.reference)
                now = clock.iso(clock.now_us())
                task = attention(LATE_CHARGE, charge.reference, now, focus=claim.reference, patient=patient, encounter=encounter.reference, reasons=[reason])
                raise_attention(self._chart, task)


def _charge_of(item: dict[str, Any]) -> str:
    return next((reference(e.get("valueReference")) for e in extensions(item, CHARGE_ITEM)), "")


def _kept(item: dict[str, Any], before: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Keep what others put on the item of the same charge, such as the diagnoses it points to."""
    old = next((b for b in before if _charge_of(b) == _charge_of(item)), {})
    return {**{name: value for name, value in old.items() if name not in ("modifier", "servicedDate")}, **item}


def _identifier(entry: Entry) -> str:
    return next((str(i.get("value")) for i in entry.resource.get("identifier") or []), "")
