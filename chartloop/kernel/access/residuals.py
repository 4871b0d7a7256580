"""Partial evaluation: what the policies still ask of a row once subject, action and type are known."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import cedarpy

from chartloop.kernel.access.expression import FALSE, Node, Op, parse_policy
from chartloop.kernel.access.folding import attributes, fold, junction, refuted
from chartloop.kernel.access.grants import FACTS
from chartloop.kernel.access.policy_set import PolicySet
from chartloop.kernel.access.rows import RowAttributes
from chartloop.kernel.access.subject import Subject

_PRINCIPAL = {"type": "User", "id": "subject"}
_ROW = {"type": "Resource", "id": "row"}


@dataclass(frozen=True, slots=True)
class Rule:
    """What is left of one policy."""

    id: str
    effect: str
    condition: Node
    elements: str


def residuals(policies: PolicySet, subject: Subject, action: str) -> tuple[Rule, ...]:
    """Evaluate the policies for a subject and an action with the row unknown. An unknown role or action, or any error, leaves no rule."""
    if subject.role not in policies.roles or action not in policies.actions:
        return ()
    request = {"principal": 'User::"subject"', "action": f'Action::"{action}"', "context": {}}
    answer = cedarpy.is_authorized_partial(request, policies.cedar, json.dumps([_user(subject)]), policies.schema)
    if answer.diagnostics.errors:  # Cedar skips a policy that errs; a skipped forbid would allow
        return ()
    return tuple(rule for key, policy in sorted(answer.residuals.items()) if (rule := _rule(policies, key, policy)).condition != FALSE)


def _rule(policies: PolicySet, key: str, policy: dict[str, Any]) -> Rule:
    notes = policies.annotations[key]
    return Rule(notes["id"], str(policy["effect"]), parse_policy(policy), notes.get("elements", ""))


def for_type(policies: PolicySet, rules: tuple[Rule, ...], type_: str, never: frozenset[str] = frozenset()) -> tuple[Rule, ...]:
    """Keep the rules that can hold for a type, simplified; some attributes are never true for this subject."""
    groups = policies.groups.get(type_, frozenset())
    folded = (Rule(rule.id, rule.effect, fold(refuted(rule.condition, never), type_, groups), rule.elements) for rule in rules)
    return tuple(rule for rule in folded if rule.condition != FALSE)


def decision(rules: tuple[Rule, ...]) -> Node:
    """Join rules the way Cedar does: some permit holds and no forbid does."""
    permits = tuple(rule.condition for rule in rules if rule.effect == "permit")
    forbids = tuple(rule.condition for rule in rules if rule.effect == "forbid")
    closed = fold(Op("!", (junction("||", forbids),)), "", frozenset())
    return junction("&&", (junction("||", permits), closed))


def used(rules: tuple[Rule, ...]) -> frozenset[str]:
    """Attributes of a row that these rules look at."""
    return frozenset().union(*(attributes(rule.condition) for rule in rules))


def authorize(policies: PolicySet, subject: Subject, action: str, row: RowAttributes) -> frozenset[str]:
    """Decide one row with Cedar itself.

    Returns:
        Cedar ids of the permits that decided; empty = deny. Any diagnostic error is a deny.
    """
    if subject.role not in policies.roles or action not in policies.actions:
        return frozenset()
    request = {"principal": _PRINCIPAL, "action": {"type": "Action", "id": action}, "resource": _ROW, "context": {}}
    entities = json.dumps([_user(subject), _row(policies, row)])
    answer = cedarpy.is_authorized(request, policies.cedar, entities, policies.schema)
    if not answer.allowed or answer.diagnostics.errors:
        return frozenset()
    return frozenset(answer.diagnostics.reasons)


def _user(subject: Subject) -> dict[str, Any]:
    attrs = {"user": subject.user, "patient": subject.patient, "purpose": subject.purpose}
    return {"uid": _PRINCIPAL, "attrs": attrs, "parents": [{"type": "Role", "id": subject.role}]}


def _row(policies: PolicySet, row: RowAttributes) -> dict[str, Any]:
    attrs: dict[str, Any] = {"type": row.type, "labels": sorted(row.labels), "patient": row.patient, "owner": row.owner, "insurer": row.insurer}
    attrs |= {name: name in row.facts for name in FACTS}
    parents = [{"type": "Group", "id": group} for group in sorted(policies.groups.get(row.type, ()))]
    return {"uid": _ROW, "attrs": attrs, "parents": parents}
