"""Who treats a patient, and who codes which note: grants from visits, care teams, general practitioners and Tasks.

Spec: https://hl7.org/fhir/R4/encounter.html, https://hl7.org/fhir/R4/careteam.html, https://hl7.org/fhir/R4/task.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from chartloop.kernel.access.grants import ASSIGNMENT, CARE, FOREVER, Grant
from fhir_server.indexing.dates import date_bounds
from fhir_server.indexing.values import split_reference

DAY_US: Final = 86_400_000_000
_NEVER_WAS: Final = frozenset({"entered-in-error", "cancelled"})
_OPEN_TASK: Final = frozenset({"requested", "received", "accepted", "ready", "in-progress", "on-hold"})
_DEAD_TASK: Final = frozenset({"draft", "cancelled", "rejected", "failed", "entered-in-error"})
_PEOPLE: Final = frozenset({"Practitioner", "PractitionerRole"})

Resource = Mapping[str, Any]


def local(value: object, base: str, types: frozenset[str] | None = None) -> str:
    """Read a Reference to a resource of this server as Type/id; empty for any other."""
    text = value.get("reference", "") if isinstance(value, Mapping) else ""
    foreign, type_, id_ = split_reference(text)
    return f"{type_}/{id_}" if id_ and foreign in ("", base) and (types is None or type_ in types) else ""


def encounter(resource: Resource, patient: str, base: str, after_us: int, now: int) -> Iterator[Grant]:
    """The participants of a visit treat the patient, and for a while after it."""
    if resource.get("status") in _NEVER_WAS:
        return
    _, ends = span(resource.get("period"))
    if ends == FOREVER and resource.get("status") == "finished":
        ends = now
    for person in _each(resource.get("participant"), lambda each: local(each.get("individual"), base, _PEOPLE)):
        yield Grant(CARE, patient, person, ends=min(ends + after_us, FOREVER))


def episode(resource: Resource, patient: str, base: str) -> Iterator[Grant]:
    """The care manager of an episode treats the patient as long as it lasts."""
    if resource.get("status") in _NEVER_WAS:
        return
    starts, ends = span(resource.get("period"))
    for person in filter(None, (local(resource.get("careManager"), base, _PEOPLE),)):
        yield Grant(CARE, patient, person, starts=starts, ends=ends)


def care_team(resource: Resource, patient: str, base: str) -> Iterator[Grant]:
    """The members of an active care team treat the patient, each while being a member."""
    if resource.get("status", "active") != "active":
        return
    starts, ends = span(resource.get("period"))
    for member in _objects(resource.get("participant")):
        joined, left = span(member.get("period"))
        for person in filter(None, (local(member.get("member"), base, _PEOPLE),)):
            yield Grant(CARE, patient, person, starts=max(starts, joined), ends=min(ends, left))


def patient(resource: Resource, own: str, base: str) -> Iterator[Grant]:
    """The general practitioner treats the patient."""
    for person in _each([{"who": each} for each in _objects(resource.get("generalPractitioner"))], lambda each: local(each["who"], base, _PEOPLE)):
        yield Grant(CARE, own, person)


def task(resource: Resource, own: str, base: str) -> Iterator[Grant]:
    """The notes that go into a Task are for its owner; while it has none and waits for one, for everybody who takes such Tasks."""
    status, owner = resource.get("status"), local(resource.get("owner"), base)
    if status in _DEAD_TASK or (not owner and status not in _OPEN_TASK):
        return
    for note in dict.fromkeys(_notes(resource, base)):
        type_, _, id_ = note.partition("/")
        yield Grant(ASSIGNMENT, own, owner, type=type_, target=id_)


def _notes(resource: Resource, base: str) -> Iterator[str]:
    for entry in _objects(resource.get("input")):
        yield from filter(None, (local(entry.get("valueReference"), base),))
        for outer in _objects(entry.get("extension")):
            yield from filter(None, (local(inner.get("valueReference"), base) for inner in _objects(outer.get("extension"))))


def span(period: object) -> tuple[int, int]:
    """Read a Period in microseconds: from the beginning of its start to the end of its end, as coarse as they are written."""
    said = period if isinstance(period, Mapping) else {}
    starts, ends = date_bounds(str(said.get("start", ""))), date_bounds(str(said.get("end", "")))
    return (starts[0] if starts else 0), (ends[1] if ends else FOREVER)


def _each(items: object, person: Callable[[Resource], str]) -> Iterable[str]:
    return dict.fromkeys(filter(None, map(person, _objects(items))))


def _objects(value: object) -> list[Resource]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []
