"""A Consent as grants: what a patient denies and permits, provision by provision.

What is not understood denies: a denial that cannot be said exactly denies more, a permission that cannot be said exactly is none. Each is told
as a warning. Only an active Consent counts. Inside one Consent a provision takes back what the one around it says; between Consents the denial wins.
Spec: https://hl7.org/fhir/R4/consent.html, 45 CFR 164.522(a), 42 CFR 2.31
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any, Final, NamedTuple

from chartloop.kernel.access.grants import DENIAL, PERMISSION, RESTRICTION, SELF_PAID, Grant
from chartloop.kernel.errors import Issue
from fhir_server.granting.criteria import ANYTHING, Criteria, widened, within
from fhir_server.granting.relations import local

MOST: Final = 400
"""Most grants of one Consent."""

_DEPTH: Final = 8
_BASES: Final[Mapping[str, str]] = {"OPTIN": "permit", "OPTINR": "permit", "OPTOUT": "deny", "OPTOUTE": "deny"}
_KINDS: Final[Mapping[str, int]] = {"hipaa-restrictions": RESTRICTION, "hipaa-self-pay": SELF_PAID}
_NEUTRAL: Final = frozenset({"hipaa-npp", "hipaa-auth", "42CFRPart2"})
"""Policies that tell of a notice or a form, not of a denial."""

_ELSEWHERE: Final = frozenset({"treatment", "adr"})
"""Scopes that are about what is done to a patient, not about who looks at the chart."""

Resource = Mapping[str, Any]


class Compiled(NamedTuple):
    """Grants of a resource, and what of it could not be counted."""

    grants: tuple[Grant, ...] = ()
    warnings: tuple[Issue, ...] = ()


def compile_consent(resource: Resource, patient: str, base: str) -> Compiled:
    """Write a Consent as grants.

    Args:
        resource: The Consent.
        patient: Whose it is; empty if that cannot be told.
        base: Address of this server.
    """
    if resource.get("status") != "active":
        return Compiled()
    if _codes(resource.get("scope")) & _ELSEWHERE:
        return Compiled(warnings=(_warning("A Consent of this scope changes nothing in who sees the chart.", "scope"),))
    if not patient:
        return Compiled(warnings=(_warning("The Consent names no patient of this server and changes nothing.", "patient"),))
    tree = _Tree(resource, patient, base)
    tree.grow()
    if len(tree.grants) > MOST or tree.too_deep:
        return Compiled((Grant(tree.denial, patient, node=1),), (_warning(f"A Consent of more than {MOST} rules or {_DEPTH} levels denies everything.", "provision"),))
    return Compiled(tuple(tree.grants), tuple(tree.warnings))


class _Tree:
    """The provisions of one Consent as they become grants."""

    def __init__(self, resource: Resource, patient: str, base: str) -> None:
        self._resource, self._patient, self._base = resource, patient, base
        self._rules = _codes(resource.get("policyRule"))
        self.denial = next((_KINDS[code] for code in sorted(self._rules & _KINDS.keys())), DENIAL)
        self._signed = patient in {local(each, base) for each in _objects(resource.get("performer"))} and not _refuted(resource)
        self._nodes = 0
        self.too_deep = False
        self.grants: list[Grant] = []
        self.warnings: list[Issue] = []

    def grow(self) -> None:
        """Compile the root and all that is inside it."""
        root: Resource = self._resource.get("provision") or {}
        inside = self._inside(root)
        kind = root.get("type") or self._base_rule()
        if kind is None and not any(each.get("type") for _, each in inside):
            if self._rules & _NEUTRAL and not root:
                return
            self._warn("A Consent that does not say what it permits or denies is taken as a denial.", "provision.type")
            kind = "deny"
        self._node(root, "provision", ANYTHING, 0, kind or "none", 1)

    def _base_rule(self) -> str | None:
        if self.denial != DENIAL:
            return "deny"
        return next((_BASES[code] for code in sorted(self._rules & _BASES.keys(), reverse=True)), None)

    def _inside(self, provision: Resource) -> list[tuple[int, Resource]]:
        return list(enumerate(_objects(provision.get("provision"))))

    def _node(self, provision: Resource, path: str, around: Criteria, parent: int, kind: str, depth: int) -> None:
        self._nodes += 1
        node = self._nodes
        if depth > _DEPTH or self._nodes > MOST:
            self.too_deep = True
            return
        criteria = within(around, provision, self._base)
        if kind != "none" and not criteria.idle:
            self._emit(provision, path, criteria, (node, parent), kind)
        for number, inner in self._inside(provision):
            self._node(inner, f"{path}.provision[{number}]", criteria, node, str(inner.get("type", "deny")), depth + 1)

    def _emit(self, provision: Resource, path: str, criteria: Criteria, place: tuple[int, int], kind: str) -> None:
        for element in criteria.left_out:
            self._warn(f"This cannot be told apart here: a denial denies without regard to it, a permission is not counted ({kind}).", f"{path}.{element}")
        if kind != "permit":
            self.grants += self._rows(self.denial, widened(criteria, provision), place)
        elif not self._signed:
            self._warn("A permission counts when Consent.performer is the patient, and it was not found to be false.", "performer")
        elif criteria.exact:
            self.grants += self._rows(PERMISSION, criteria, place)

    def _rows(self, kind: int, said: Criteria, place: tuple[int, int]) -> Iterator[Grant]:
        for actor, purpose, label, (type_, target) in product(said.actors, said.purposes, said.labels, said.things):
            yield Grant(
                kind, self._patient, actor, purpose=purpose, label=label, type=type_, target=target,
                starts=said.starts, ends=said.ends, node=place[0], parent=place[1],
            )  # fmt: skip

    def _warn(self, text: str, path: str) -> None:
        issue = _warning(text, path)
        if issue not in self.warnings:
            self.warnings.append(issue)


def _refuted(resource: Resource) -> bool:
    """Whether somebody looked into it and nobody found it true."""
    found = _objects(resource.get("verification"))
    return bool(found) and not any(each.get("verified") is True for each in found)


def _warning(text: str, path: str) -> Issue:
    return Issue("warning", "business-rule", text, f"Consent.{path}")


def _codes(concept: object) -> frozenset[str]:
    codings = concept.get("coding") if isinstance(concept, Mapping) else None
    return frozenset(str(each.get("code")) for each in _objects(codings))


def _objects(value: object) -> list[Resource]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []
