"""Every role, every action, every kind of row: filter, decision and oracle agree without exception."""

from __future__ import annotations

import itertools
import random

import pytest

from chartloop.kernel.access.rows import RowAttributes
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from tests.properties.access.oracle import LOOK, permitted
from tests.properties.access.test_three_ways import ACCESS, TYPES, selected, store

LABELS = [frozenset[str](), frozenset({"PSY"}), frozenset({"PSYTHPN"}), frozenset({"HIV", "ETH"})]
ROWS = [
    RowAttributes(type_, labels, patient, owner, insurer)
    for type_, labels, patient, owner, insurer in itertools.product(TYPES, LABELS, ["", "Patient/1"], ["", "Practitioner/1"], ["", "Organization/9"])
]
ACTIONS = [action for action in ACCESS.policies.actions if action not in LOOK - {"search"} and action != "batch"]


def _disagreements(role: str, actions: list[str], rows: list[RowAttributes], users: list[str]) -> list[object]:
    found: list[object] = []
    db = store(rows, nulls=True, of_version=False)
    for action, user in itertools.product(actions, users):
        subject = Subject("x", role, user, "Patient/1", ("system/*.cruds",))
        scope = Scope(subject, action)
        by_sql = {type_: selected(db, scope, type_) for type_ in {row.type for row in rows}}
        for rid, row in enumerate(rows):
            answers = (ACCESS.decides(scope, row), rid in by_sql[row.type], permitted(subject, action, row))
            if len(set(answers)) != 1:
                found.append((action, user, row, answers))
    db.close()
    return found


@pytest.mark.conformance("Access", "row filter in SQL, Cedar decision and an independent oracle agree on every kind of row, for every role and action")
@pytest.mark.parametrize("role", ACCESS.policies.roles)
def test_nothing_is_decided_two_ways(role):
    user = "Organization/9" if role == "payer" else "Practitioner/1"
    assert _disagreements(role, ACTIONS, ROWS, [user]) == []


@pytest.mark.long
@pytest.mark.parametrize("role", ACCESS.policies.roles)
def test_a_quarter_of_a_million_random_rows_are_decided_one_way(role):
    chance = random.Random(role)
    references = ["", "Patient/1", "Patient/2", "Practitioner/1", "Practitioner/2", "Organization/9"]
    types = [*sorted(ACCESS.policies.groups), "Basic"]
    labels = ["PSY", "PSYTHPN", "ETH", "HIV", "SDV", "SEX"]
    rows = [
        RowAttributes(chance.choice(types), frozenset(chance.sample(labels, chance.choice([0, 0, 1, 2]))), chance.choice(references[:3]), chance.choice(references), chance.choice(references))
        for _ in range(1700)
    ]
    assert _disagreements(role, ["search", "update", "create"], rows, ["", "Practitioner/1", "Organization/9"]) == []
