"""The table of cases, and random ones beside it, decided by Cedar, by SQL, by plain Python and by oso: one answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pytest
from hypothesis import given, settings

from chartloop.kernel.access.grants import FACTS, Grant
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from tests.conftest import skip_or_fail
from tests.properties.access.cases import Case, cases, decided_plainly
from tests.properties.access.oracle import NEED, fact
from tests.properties.access.test_three_ways import ACCESS, Listed, actions, grants, rows, selected, store, subjects

CASES = list(cases())


def by_cedar(case: Case) -> bool:
    return ACCESS.over(Listed(case.granted())).decides(Scope(case.who(), case.action), case.attributes())


def by_sql(some: Iterable[Case]) -> dict[Case, bool]:
    """Decide cases by the row filter; those with the same grants share a store."""
    alike: dict[tuple[Grant, ...], list[Case]] = {}
    for case in some:
        alike.setdefault(case.granted(), []).append(case)
    answers = {}
    for granted, members in alike.items():
        db = store([case.attributes() for case in members], nulls=True, of_version=False, granted=granted)
        for rid, case in enumerate(members):
            answers[case] = rid in selected(db, Scope(case.who(), case.action), case.type)
        db.close()
    return answers


def by_oso(subject: Subject, action: str, row, granted: Iterable[Grant]) -> bool:
    """Decide with oso, the facts looked up by the plain oracle."""
    try:
        from tests.properties.access.with_oso import permitted_by_oso
    except ImportError:
        skip_or_fail("oso is not installed (no wheel for Python 3.13; pip install --no-deps oso)")
    listed = list(granted)
    return permitted_by_oso(subject, action, row, {name for name in FACTS if fact(name, subject, row, listed)})


def test_the_table_is_long_and_speaks_of_everybody():
    assert len(CASES) == len(set(CASES)) >= 300
    assert {case.role for case in CASES} >= set(ACCESS.policies.roles)
    assert {word for case in CASES for word in case.labels.split()} >= {"PSY", "PSYTHPN", "ETH", "HIV", "SDV", "SEX", "STD"}
    assert min(Counter(case.expected for case in CASES).values()) > 200


@pytest.mark.conformance("Access", "one table of more than 700 cases is decided alike by Cedar, SQL, plain Python and oso")
def test_every_case_has_its_answer_from_cedar_sql_and_plain_python():
    sql = by_sql(CASES)
    wrong = [(case, answers) for case in CASES if set(answers := (by_cedar(case), sql[case], decided_plainly(case))) != {case.expected == "permit"}]
    assert wrong == []


@pytest.mark.conformance("Access", "one table of more than 700 cases is decided alike by Cedar, SQL, plain Python and oso")
def test_every_case_has_its_answer_from_oso():
    wrong = [case for case in CASES if by_oso(case.who(), case.action, case.attributes(), case.granted()) is not (case.expected == "permit")]
    assert wrong == []


@pytest.mark.conformance("Access", "random cases are decided alike by Cedar and by oso")
@settings(max_examples=150, deadline=None)
@given(subjects, actions, rows, grants)
def test_cedar_and_oso_agree_on_anything(subject, action, row, granted):
    everything = Scope(Subject(**{**{name: getattr(subject, name) for name in ("id", "role", "user", "patient", "purpose", "session", "client")}, "scopes": ("system/*.cruds",)}), action)
    cedar = ACCESS.over(Listed(granted)).decides(everything, row)
    assert cedar is (action in NEED and by_oso(everything.subject, action, row, granted))
