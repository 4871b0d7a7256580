"""Which accesses somebody should look at, and why, in plain words. Rules, not scores: each can be explained to who is asked about it. Pure.

A finding is a question, not a verdict: whoever stood in for a colleague at night has done nothing wrong.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

MANY_PATIENTS: Final = 30
"""Patients of one person within an hour of the clock, from which on it is many."""
NIGHT_FROM, NIGHT_TO = 22, 6
_EMERGENCY: Final = frozenset({"BTG", "ETREAT"})
_SECOND_US: Final = 1_000_000

BREAK_GLASS: Final = "break-glass"
OWN_RECORD: Final = "own record"
COLLEAGUE: Final = "colleague"
FAMILY_NAME: Final = "same family name"
NO_RELATION: Final = "no care relation"
MANY: Final = "many patients"
NIGHT: Final = "at night"

RULES: Final[Mapping[str, str]] = {
    BREAK_GLASS: "somebody said that it was an emergency, to see what they may not see otherwise",
    OWN_RECORD: "somebody opened a record that is their own by name and date of birth",
    COLLEAGUE: "the patient has the name and the date of birth of somebody who works here",
    FAMILY_NAME: "who looked and who was looked at have the same family name",
    NO_RELATION: "no encounter names this person as taking part, and the patient does not name them as their practitioner",
    MANY: f"{MANY_PATIENTS} patients or more within an hour of the clock",
    NIGHT: f"between {NIGHT_FROM} and {NIGHT_TO} o'clock at night, local time",
}
"""Every rule, as it is told to whoever reads the page."""


class Person(NamedTuple):
    """Who somebody is, as far as a rule compares it."""

    family: str = ""
    given: str = ""
    born: str = ""

    @property
    def name(self) -> str:
        """Return the name for a page."""
        return f"{self.given} {self.family}".strip()

    def is_same(self, other: Person) -> bool:
        """Whether two records are most likely of one human being."""
        return bool(self.family and self.born) and (self.family.casefold(), self.given.casefold(), self.born) == (other.family.casefold(), other.given.casefold(), other.born)


class Access(NamedTuple):
    """One access of one person to the record of one patient."""

    seq: int
    recorded: int
    agent: str
    patient: str
    interaction: str
    purpose: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of people.

    Attributes:
        patients: Patient reference -> who that is.
        staff: Practitioner reference -> who that is.
        related: Pairs of practitioner and patient of whom the chart knows a reason.
        zone: Where the house is, for what counts as night.
    """

    patients: Mapping[str, Person] = field(default_factory=dict)
    staff: Mapping[str, Person] = field(default_factory=dict)
    related: frozenset[tuple[str, str]] = frozenset()
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))


class Finding(NamedTuple):
    """What is unusual, of one person and one patient; `patient` is empty where it is about several."""

    rule: str
    agent: str
    patient: str
    times: int
    recorded: int
    why: str


def unusual(accesses: Sequence[Access], facts: Facts) -> list[Finding]:
    """Find what somebody should look at, the latest first; the same rule on the same two people is told once, with its count."""
    told: dict[tuple[str, str, str], Finding] = {}
    for access in accesses:
        for rule, why in _of_one(access, facts):
            key = (rule, access.agent, access.patient)
            before = told.get(key)
            latest = access.recorded if before is None else max(before.recorded, access.recorded)
            told[key] = Finding(rule, access.agent, access.patient, 1 if before is None else before.times + 1, latest, why)
    return sorted([*told.values(), *_many(accesses)], key=lambda found: found.recorded, reverse=True)


def _of_one(access: Access, facts: Facts) -> Iterator[tuple[str, str]]:
    patient, agent = facts.patients.get(access.patient, Person()), facts.staff.get(access.agent, Person())
    if access.interaction == BREAK_GLASS or access.purpose in _EMERGENCY:
        yield BREAK_GLASS, f"They said it was an emergency{f': {access.reason}' if access.reason else ''}."
    if not access.patient:
        return
    if agent.is_same(patient):
        yield OWN_RECORD, "Name and date of birth are their own."
    elif any(patient.is_same(colleague) for colleague in facts.staff.values()):
        yield COLLEAGUE, "The patient is somebody who works here."
    elif agent.family and agent.family.casefold() == patient.family.casefold():
        yield FAMILY_NAME, f"Both are called {agent.family}."
    if access.agent in facts.staff and (access.agent, access.patient) not in facts.related:
        yield NO_RELATION, "No encounter and no choice of the patient connects the two."
    hour = _local(access.recorded, facts.zone).hour
    if hour >= NIGHT_FROM or hour < NIGHT_TO:
        yield NIGHT, f"It was {_local(access.recorded, facts.zone):%H:%M}."


def _many(accesses: Iterable[Access]) -> Iterator[Finding]:
    hours: dict[tuple[str, int], set[str]] = defaultdict(set)
    latest: dict[tuple[str, int], int] = {}
    for access in accesses:
        if access.patient:
            key = (access.agent, access.recorded // (3600 * _SECOND_US))
            hours[key].add(access.patient)
            latest[key] = max(latest.get(key, 0), access.recorded)
    for (agent, hour), patients in hours.items():
        if len(patients) >= MANY_PATIENTS:
            yield Finding(MANY, agent, "", len(patients), latest[agent, hour], f"{len(patients)} patients within this hour.")


def _local(recorded: int, zone: ZoneInfo) -> dt.datetime:
    return dt.datetime.fromtimestamp(recorded // _SECOND_US, zone)
