"""What one provision of a Consent speaks of, in the terms that grants have.

Where a provision narrows itself by something that grants cannot say, the criteria are wider than it and marked inexact: a denial then denies more than
was asked for, and a permission is not counted.
Spec: https://hl7.org/fhir/R4/consent-definitions.html#Consent.provision
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from chartloop.kernel.access import labels, purposes
from chartloop.kernel.access.grants import FOREVER
from fhir_server.granting.relations import local, span
from fhir_server.type_ids import TYPE_IDS

PART_2: Final = ("ETH", "SUD", "ETHUD", "OPIOIDUD")
"""Labels of what 42 CFR Part 2 may protect."""

_ACTORS: Final = frozenset({"Practitioner", "PractitionerRole", "Organization", "Patient", "RelatedPerson", "Device"})
_LOOKING: Final = frozenset({"access", "use", "disclose"})
_TYPES: Final = frozenset({"http://hl7.org/fhir/resource-types", "http://hl7.org/fhir/fhir-types"})
_DAY_ELSEWHERE_US: Final = 14 * 3_600_000_000
"""A day begins so much earlier, and ends so much later, somewhere on earth."""

Resource = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Criteria:
    """What a provision speaks of; an empty text or a zero is anything, several of one kind are alternatives.

    Attributes:
        actors: References.
        purposes: Codes of v3-ActReason.
        labels: Numbers of sensitivity labels.
        things: Types, each with an id or without.
        starts: Microseconds.
        ends: Microseconds.
        exact: Nothing was left out.
        idle: It speaks of nothing that is looked at here, such as collecting data.
        left_out: Elements that could not be counted.
    """

    actors: tuple[str, ...] = ("",)
    purposes: tuple[str, ...] = ("",)
    labels: tuple[int, ...] = (0,)
    things: tuple[tuple[str, str], ...] = (("", ""),)
    starts: int = 0
    ends: int = FOREVER
    exact: bool = True
    idle: bool = False
    left_out: tuple[str, ...] = ()


ANYTHING: Final = Criteria()


def within(around: Criteria, provision: Resource, base: str) -> Criteria:
    """Read a provision that stands inside another."""
    read = _Reading(provision, base)
    starts, ends = span(provision.get("period"))
    own = Criteria(read.actors(), read.purposes(), read.labels(), read.things(), starts, ends, idle=read.idle())
    for element in ("code", "dataPeriod", "modifierExtension"):
        if provision.get(element):
            read.left_out.append(element)
    merged = replace(
        own,
        actors=read.narrowed("actor", around.actors, own.actors, ""),
        purposes=read.narrowed("purpose", around.purposes, own.purposes, ""),
        labels=read.narrowed("securityLabel", around.labels, own.labels, 0),
        things=read.narrowed("class", around.things, own.things, ("", "")),
        starts=max(around.starts, starts),
        ends=min(around.ends, ends),
    )
    return replace(merged, exact=around.exact and not read.left_out, idle=around.idle or own.idle, left_out=tuple(dict.fromkeys(read.left_out)))


def widened(criteria: Criteria, provision: Resource) -> Criteria:
    """Let the days of a denial be days everywhere on earth."""
    said = provision.get("period") or {}
    early = _DAY_ELSEWHERE_US if "T" not in str(said.get("start", "T")) else 0
    late = _DAY_ELSEWHERE_US if "T" not in str(said.get("end", "T")) else 0
    return replace(criteria, starts=criteria.starts - early, ends=min(criteria.ends + late, FOREVER))


class _Reading:
    """One provision, element by element."""

    def __init__(self, provision: Resource, base: str) -> None:
        self._said = provision
        self._base = base
        self.left_out: list[str] = []

    def _wide(self, element: str, value: Any) -> tuple[Any, ...]:
        self.left_out.append(element)
        return (value,)

    def actors(self) -> tuple[str, ...]:
        found = [local(each.get("reference"), self._base, _ACTORS) for each in _objects(self._said.get("actor"))]
        return self._wide("actor", "") if "" in found else tuple(dict.fromkeys(found)) or ("",)

    def purposes(self) -> tuple[str, ...]:
        codings = _objects(self._said.get("purpose"))
        if any(each.get("system") != purposes.SYSTEM or each.get("code") not in purposes.KNOWN for each in codings):
            return self._wide("purpose", "")
        return tuple(dict.fromkeys(str(each["code"]) for each in codings)) or ("",)

    def labels(self) -> tuple[int, ...]:
        """Several labels are meant together (R4); grants know alternatives, so one of them stands for all."""
        found = [_label(each) for each in _objects(self._said.get("securityLabel"))]
        if not found:
            return (0,)
        if len(found) > 1 or not found[0]:
            self.left_out.append("securityLabel")
        return next(filter(None, found), (0,))

    def things(self) -> tuple[tuple[str, str], ...]:
        data, classes = _objects(self._said.get("data")), _objects(self._said.get("class"))
        if data:
            found = [local(each.get("reference"), self._base) for each in data if each.get("meaning") == "instance"]
            if classes or len(found) < len(data) or "" in found:
                return self._wide("data", ("", ""))
            return tuple((type_, id_) for type_, _, id_ in (each.partition("/") for each in found))
        if any(each.get("system") not in _TYPES or each.get("code") not in TYPE_IDS for each in classes):
            return self._wide("class", ("", ""))
        return tuple((str(each["code"]), "") for each in classes) or (("", ""),)

    def idle(self) -> bool:
        """Whether all of its actions are known and none of them is to look."""
        concepts = _objects(self._said.get("action"))
        codes = [{str(coding.get("code", "")) for coding in _objects(each.get("coding"))} for each in concepts]
        return bool(codes) and all(each and each <= {"collect", "correct"} for each in codes)

    def narrowed(self, element: str, around: tuple[Any, ...], own: tuple[Any, ...], anything: Any) -> tuple[Any, ...]:
        """What both provisions speak of; where that is not plain, what the inner one does."""
        if own == (anything,):
            return around
        if around != (anything,) and not set(own) <= set(around):
            self.left_out.append(element)
        return own


def _label(coding: Resource) -> tuple[int, ...]:
    if coding.get("system") != labels.SYSTEM:
        return ()
    code = str(coding.get("code"))
    named: Iterable[str] = PART_2 if code == "42CFRPart2" else (code,)
    return tuple(labels.LABELS[each] for each in named if each in labels.LABELS)


def _objects(value: object) -> list[Resource]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []
