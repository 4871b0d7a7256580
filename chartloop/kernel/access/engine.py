"""The one decision path: policies and SMART scopes, for one row in memory or for many in SQL.

Spec: https://docs.cedarpolicy.com/auth/authorization.html
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from chartloop.kernel import clock
from chartloop.kernel.access import element_paths
from chartloop.kernel.access.cedar_sql import compile_filter
from chartloop.kernel.access.evaluation import holds
from chartloop.kernel.access.explanation import Explanation
from chartloop.kernel.access.expression import FALSE, Node
from chartloop.kernel.access.folding import junction
from chartloop.kernel.access.grant_sql import Slots, fill, slots_of
from chartloop.kernel.access.grants import FACTS, PERSONAL, Grant, GrantSource, NoGrants, facts
from chartloop.kernel.access.granular import Marker, enforceable, nothing, selected, unmet
from chartloop.kernel.access.policy_set import PolicySet, load
from chartloop.kernel.access.residuals import Rule, authorize, decision, for_type, residuals, used
from chartloop.kernel.access.rows import RowAttributes, RowFilter
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.simplification import simplify
from chartloop.kernel.access.smart_filter import scope_condition
from chartloop.kernel.access.subject import Subject

_CACHED = 8192


@dataclass(frozen=True, slots=True)
class _Plan:
    """Everything that is known of a subject, an action and a type before any row."""

    rules: tuple[Rule, ...]
    condition: Node
    scopes: Node
    used: frozenset[str]

    @property
    def facts(self) -> frozenset[str]:
        """Attributes that are looked up among the grants."""
        return self.used & FACTS.keys()

    @property
    def lists(self) -> bool:
        """Whether some policy shows less than all of a row."""
        return any(rule.elements for rule in self.rules)


class View(NamedTuple):
    """A policy (its @id) that permits a row, and the element paths that it shows; None is all of them."""

    policy: str
    shown: frozenset[str] | None


class Access:
    """Decisions over the policies of one directory."""

    def __init__(self, directory: Path | None = None, marker: Marker = nothing, grants: GrantSource | None = None) -> None:
        """Read, validate and compile the policies.

        Args:
            directory: Where they are; None means those that ship with the product.
            marker: Reads the search parameters of scopes; without one such scopes grant nothing.
            grants: Where grants are looked up for the decision of one row; None means that there are none.

        Raises:
            PolicyError: They cannot be used.
            UnsupportedError: A policy uses an operator that cannot be compiled to SQL.
        """
        self._policies = load(directory)
        self._marker = marker
        self._grants = grants or NoGrants()
        self._residuals = lru_cache(_CACHED)(self._residuals_uncached)
        self._plan = lru_cache(_CACHED)(self._plan_uncached)
        self._filter = lru_cache(_CACHED)(self._filter_uncached)
        self._reasons = lru_cache(_CACHED)(self._reasons_uncached)
        self._compile_everything()

    def over(self, grants: GrantSource) -> Access:
        """Return the same policies over other grants."""
        other = copy(self)
        vars(other)["_grants"] = grants
        return other

    @property
    def policies(self) -> PolicySet:
        """The policies that decide."""
        return self._policies

    def enforceable(self, scope: str) -> bool:
        """Whether a resource scope can be granted, search parameters included, because it is enforced exactly."""
        return enforceable(scope, self._marker)

    def permits(self, scope: Scope, type_: str) -> bool:
        """Whether some row of a type could be permitted. False means 403, whatever is stored."""
        return self._plan(_key(scope.subject), scope.action, type_).condition != FALSE

    def row_filter(self, scope: Scope, type_: str, *, version_labels: bool = False, now: int = 0) -> RowFilter:
        """SQL over a row of table resource that holds exactly where `decides` is true.

        Args:
            scope: Who asks for what.
            type_: Resource type.
            version_labels: Also look at the labels of the version under alias {v}.
            now: Moment at which grants must hold, in microseconds; 0 means this one.
        """
        row_filter, slots = self._filter(_key(scope.subject), scope.action, type_, version_labels)
        return fill(row_filter, slots, scope.subject, now or clock.now_us()) if slots else row_filter

    def known(self, scope: Scope, rows: Sequence[RowAttributes]) -> Sequence[Grant] | None:
        """Look the grants of many rows up at once, for `shown`; None where it asks for none."""
        subject = _key(scope.subject)
        plans = {type_: self._plan(subject, scope.action, type_) for type_ in {row.type for row in rows}}
        patients = {row.patient for row in rows if plans[row.type].lists and plans[row.type].facts}
        return self._grants.of(patients, subject.user) if patients else None

    def shown(self, scope: Scope, row: RowAttributes, known: Sequence[Grant] | None = None) -> frozenset[str] | None:
        """Element paths that the reader sees of a row that passed the row filter: nothing is decided again where no policy hides anything.

        Args:
            scope: Who asks for what.
            row: The row.
            known: Grants that `known` returned for it, so that a page asks once.
        """
        if not self._plan(_key(scope.subject), scope.action, row.type).lists:
            return None
        return self.elements(scope, row, known)

    def decides(self, scope: Scope, row: RowAttributes) -> bool:
        """Whether the policies and the scopes permit the action on one row. A write asks before and after."""
        return bool(self._permits(scope, row, None))

    def elements(self, scope: Scope, row: RowAttributes, known: Sequence[Grant] | None = None) -> frozenset[str] | None:
        """Element paths that the reader sees of a row that was decided on, or found through the row filter; None = all of it, empty = the identity alone.

        Args:
            scope: Who asks for what.
            row: The row.
            known: Its grants, if they were looked up already.
        """
        reasons = self._permits(scope, row, known, found=True)
        if not reasons:
            return frozenset()
        notes = self._policies.annotations
        return self._allowed([notes[key]["elements"] for key in sorted(reasons) if "elements" in notes[key]], row.type)

    def searchable(self, scope: Scope, type_: str, paths: Sequence[str]) -> bool:
        """Whether a reader may filter or sort on elements: no row of the type may hide them from this reader."""
        plan = self._plan(_key(scope.subject), scope.action, type_)
        if plan.condition == FALSE:
            return False
        allowed = self._allowed([rule.elements for rule in plan.rules if rule.elements], type_)
        return allowed is None or element_paths.searchable(allowed, type_, paths)

    def explain(self, scope: Scope, row: RowAttributes) -> tuple[str, ...]:
        """Names (@id) of the policies that permit a row; empty when it is denied."""
        return tuple(sorted(self._policies.annotations[key]["id"] for key in self._permits(scope, row, None)))

    def scope_filter(self, scope: Scope, type_: str) -> RowFilter:
        """SQL over a row of table resource that holds where the SMART scopes reach it, whatever the policies say."""
        return compile_filter(self._plan(_key(scope.subject), scope.action, type_).scopes, scope.subject)

    def reasons(self, scope: Scope, row: RowAttributes, *, reached: bool | None = None) -> Explanation:
        """Name every policy that speaks for or against a row, whatever the decision.

        Args:
            scope: Who asks for what.
            row: The row.
            reached: Whether the row passed `scope_filter`; None where nobody looked, so that scopes with search parameters reach nothing.
        """
        subject = _key(scope.subject)
        plan = self._plan(subject, scope.action, row.type)
        true = self._facts(scope.subject, plan, row, None)
        seen = replace(row, facts=true)
        held = [rule for rule in plan.rules if holds(rule.condition, seen)]
        through = holds(plan.scopes, row) if reached is None else reached
        permitted = through and bool(self._permits(scope, row, None, found=through))
        shown = self.elements(scope, row) if permitted else frozenset()
        return Explanation(
            permitted,
            tuple(sorted((rule.id, rule.elements) for rule in held if rule.effect == "permit")),
            tuple(sorted(rule.id for rule in held if rule.effect == "forbid")),
            through,
            tuple(sorted(true)),
            tuple(sorted(plan.used)),
            tuple(sorted(shown)) if shown is not None else None,
            () if through else tuple(unmet(scope.subject.scopes, scope.action, row.type, self._marker, otherwise=holds(selected(plan.scopes), row))),
        )

    def _permits(self, scope: Scope, row: RowAttributes, known: Sequence[Grant] | None, *, found: bool = False) -> frozenset[str]:
        """Cedar ids of the policies that permit a row, if the scopes do too; empty = deny. A row that was found has what granular scopes ask for."""
        subject = _key(scope.subject)
        plan = self._plan(subject, scope.action, row.type)
        if not holds(selected(plan.scopes) if found else plan.scopes, row):
            return frozenset()
        return self._reasons(subject, scope.action, _seen(row, plan.used, self._facts(scope.subject, plan, row, known)))

    def _facts(self, subject: Subject, plan: _Plan, row: RowAttributes, known: Sequence[Grant] | None) -> frozenset[str]:
        """Look up what the policies ask of this subject's grants."""
        if not plan.facts or not row.patient:
            return frozenset()
        found = self._grants.of((row.patient,), subject.user) if known is None else known
        return facts(plan.facts, subject, row, found, clock.now_us())

    def views(self, scope: Scope, row: RowAttributes) -> tuple[View, ...]:
        """What each policy that permits a row that was found shows of it: a reader sees what all of them show. None when it is denied."""
        permitting = (self._policies.annotations[key] for key in self._permits(scope, row, None, found=True))
        found = (View(notes["id"], self._allowed([notes["elements"]], row.type) if "elements" in notes else None) for notes in permitting)
        return tuple(sorted(found, key=lambda view: view.policy))

    def _allowed(self, names: Sequence[str], type_: str) -> frozenset[str] | None:
        allowed: frozenset[str] | None = None
        for name in names:
            listed = self._policies.elements[name].get(type_, frozenset())
            allowed = listed if allowed is None else element_paths.intersect(allowed, listed)
        return allowed

    def _residuals_uncached(self, subject: Subject, action: str) -> tuple[Rule, ...]:
        return residuals(self._policies, subject, action)

    def _plan_uncached(self, subject: Subject, action: str, type_: str) -> _Plan:
        rules = for_type(self._policies, self._residuals(replace(subject, scopes=()), action), type_, frozenset() if subject.user else PERSONAL)
        narrowing = scope_condition(subject, action, type_, self._policies.scopes, self._marker)
        return _Plan(rules, simplify(junction("&&", (decision(rules), narrowing))), narrowing, used(rules))

    def _filter_uncached(self, subject: Subject, action: str, type_: str, version_labels: bool) -> tuple[RowFilter, Slots]:
        compiled = compile_filter(self._plan(subject, action, type_).condition, subject, version_labels=version_labels)
        return compiled, slots_of(compiled)

    def _reasons_uncached(self, subject: Subject, action: str, row: RowAttributes) -> frozenset[str]:
        return authorize(self._policies, subject, action, row)

    def _compile_everything(self) -> None:
        """Refuse to start on a policy that could not be compiled for some reader later."""
        types = ["", *self._policies.groups]
        for role in self._policies.roles:
            subject = Subject(id="", role=role, user="User/0", patient="Patient/0", scopes=("system/*.cruds",))
            for type_ in types:
                self._filter(subject, "search", type_, True)


@lru_cache(_CACHED)
def _key(subject: Subject) -> Subject:
    """The part of a subject that decisions depend on: sessions of one person share what is cached."""
    return Subject(id="", role=subject.role, user=subject.user, patient=subject.patient, scopes=subject.scopes, purpose=subject.purpose)


def _seen(row: RowAttributes, names: frozenset[str], true: frozenset[str]) -> RowAttributes:
    """Blank what no rule looks at, so that rows which are decided alike share one decision."""
    if not names:
        return _bare(row.type)
    return RowAttributes(
        row.type,
        row.labels if "labels" in names else frozenset(),
        row.patient if "patient" in names else "",
        row.owner if "owner" in names else "",
        row.insurer if "insurer" in names else "",
        facts=true,
    )


@lru_cache(_CACHED)
def _bare(type_: str) -> RowAttributes:
    return RowAttributes(type_, frozenset(), "", "", "")
