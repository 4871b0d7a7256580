"""What a claim tells its payer of, and as whom the payer is told."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from chartloop.kernel.access.purposes import PAYMENT
from chartloop.kernel.access.subject import Subject
from claims.mapping.element import extensions, reference
from claims.mapping.systems import CHARGE_ITEM


def told_of(claim: Mapping[str, Any], encounter: Mapping[str, Any]) -> list[str]:
    """Everything that a claim tells a payer of: itself, its visits and its charges."""
    items = claim.get("item") or []
    visits = [reference(each) for item in items for each in item.get("encounter") or []]
    charges = [reference(each.get("valueReference")) for item in items for each in extensions(item, CHARGE_ITEM)]
    own = [f"{each['resourceType']}/{each['id']}" for each in (claim, encounter) if each.get("id")]
    return [*own, *filter(None, [*visits, *charges])]


def told_to(payer: Subject, claim: Mapping[str, Any]) -> Subject:
    """As whom it is decided: a payer, as the insurer of this claim."""
    return replace(payer, user=reference(claim.get("insurer")), purpose=PAYMENT)
