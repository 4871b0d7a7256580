"""Each rule of unusual access says yes where it should and no where it should not."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from chartloop.kernel.clock import parse_iso
from smart_apps.privacy.rules import MANY, MANY_PATIENTS, RULES, Access, Facts, Person, unusual

DOCTOR, NURSE = "Practitioner/1", "Practitioner/2"
FACTS = Facts(
    patients={"Patient/1": Person("Adler", "Clara", "2001-01-01"), "Patient/2": Person("Braun", "Bert", "1980-01-01"), "Patient/3": Person("Cohn", "Emil", "1950-01-01")},
    staff={DOCTOR: Person("ADLER", "Anna", "1970-01-01"), NURSE: Person("Braun", "Bert", "1980-01-01")},
    related=frozenset({(DOCTOR, "Patient/1"), (DOCTOR, "Patient/2"), (DOCTOR, "Patient/3"), (NURSE, "Patient/2")}),
    zone=ZoneInfo("Europe/Berlin"),
)


def access(agent: str, patient: str, time: str = "2026-11-22T10:00:00Z", **more: str) -> Access:
    return Access(1, parse_iso(time), agent, patient, more.get("interaction", "read"), more.get("purpose", "TREAT"), more.get("reason", ""))


@pytest.mark.parametrize(
    ("seen", "rules"),
    [
        (access(DOCTOR, "Patient/3"), set()),
        (access(DOCTOR, "Patient/1"), {"same family name"}),
        (access(DOCTOR, "Patient/2"), {"colleague"}),
        (access(NURSE, "Patient/2"), {"own record"}),
        (access(NURSE, "Patient/3"), {"no care relation"}),
        (access("Practitioner/unknown", "Patient/3"), set()),
        (access(DOCTOR, "Patient/3", purpose="BTG"), {"break-glass"}),
        (access(DOCTOR, "", interaction="break-glass"), {"break-glass"}),
        (access(DOCTOR, "Patient/3", "2026-11-22T20:59:59Z"), set()),
        (access(DOCTOR, "Patient/3", "2026-11-22T21:00:00Z"), {"at night"}),
        (access(DOCTOR, "Patient/3", "2026-11-22T04:59:59Z"), {"at night"}),
        (access(DOCTOR, "Patient/3", "2026-07-22T20:00:00Z"), {"at night"}),
        (access(DOCTOR, "Patient/3", "2026-11-22T05:00:00Z"), set()),
    ],
)
def test_a_rule_speaks_of_what_it_is_for(seen: Access, rules: set[str]) -> None:
    found = unusual([seen], FACTS)
    assert {each.rule for each in found} == rules <= set(RULES)
    assert all(each.why for each in found)


def test_many_patients_within_an_hour_are_told_once() -> None:
    seen = [access(DOCTOR, f"Patient/x{number}", f"2026-11-22T10:{number % 60:02d}:00Z") for number in range(MANY_PATIENTS)]
    assert [(each.rule, each.times) for each in unusual(seen, Facts()) if each.rule == MANY] == [(MANY, MANY_PATIENTS)]
    assert [each for each in unusual(seen[1:], Facts()) if each.rule == MANY] == []
    again = [access(DOCTOR, "Patient/x1")] * 100
    assert [each for each in unusual(again, Facts()) if each.rule == MANY] == []


def test_the_same_two_people_are_told_once_with_their_count() -> None:
    [found] = unusual([access(DOCTOR, "Patient/1"), access(DOCTOR, "Patient/1", "2026-11-22T11:00:00Z")], FACTS)
    assert (found.times, found.recorded) == (2, parse_iso("2026-11-22T11:00:00Z"))
