"""Each operator that may stand in a policy means the same in SQL as in Cedar; the others are refused."""

from __future__ import annotations

import itertools
import shutil

import pytest

from chartloop.kernel.access.engine import Access
from chartloop.kernel.access.expression import UnsupportedError, parse, parse_policy
from chartloop.kernel.access.policy_set import SHIPPED
from chartloop.kernel.access.rows import RowAttributes
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from tests.properties.access.test_three_ways import selected, store

ROWS = [
    RowAttributes(type_, labels, patient, owner, insurer)
    for type_, labels, patient, owner, insurer in itertools.product(
        ["DocumentReference", "Basic"],
        [frozenset[str](), frozenset({"PSY"}), frozenset({"PSY", "ETH"}), frozenset({"HIV"})],
        ["", "Patient/1"],
        ["", "Patient/1", "practitioner/1", "Practitioner/1"],
        ["", "Organization/9"],
    )
]


@pytest.mark.conformance("Access", "each operator of a policy means the same in SQL as in Cedar")
@pytest.mark.parametrize("effect", ["permit", "forbid"])
@pytest.mark.parametrize(
    "condition",
    [
        "true",
        'resource.labels.contains("PSY")',
        'resource.labels.containsAny(["PSY", "HIV"])',
        'resource.labels.containsAll(["PSY", "ETH"])',
        "!(resource.labels.isEmpty())",
        'resource.owner like "Practitioner/*"',
        'resource.owner like "*"',
        'resource.type like "Doc*"',
        'resource.type == "Basic"',
        '"Patient/1" == resource.patient',
        'resource.patient != ""',
        "resource.owner == resource.patient",
        "resource.owner == principal.user",
        '["Patient/1", "Practitioner/1"].contains(resource.owner)',
        '[principal.user, ""].contains(resource.owner)',
        'if resource.patient == "" then resource.labels.isEmpty() else resource.insurer != ""',
        'resource.type == "Basic" && (resource.owner == "" || !(resource.insurer == "Organization/9"))',
        'resource in Group::"note"',
        'resource in [Group::"note", Group::"work"] || resource.labels.contains("HIV")',
        "resource is Resource",
        'principal in Role::"coder" && resource.labels.isEmpty()',
        'principal.patient == resource.patient && resource.patient != ""',
        '(resource.labels.isEmpty() && resource.owner == "") || (!resource.labels.isEmpty() && resource.owner != "")',
        '(resource.owner == "Patient/1" && resource.patient == "Patient/1") || !(resource.owner == "Patient/1" && resource.labels.contains("ETH"))',
    ],
)
def test_an_operator_means_the_same_in_sql_and_in_cedar(tmp_path, condition, effect):
    folder = shutil.copytree(SHIPPED, tmp_path / "policies", ignore=shutil.ignore_patterns("*.cedar"))
    other = '@id("y") permit (principal, action, resource);' if effect == "forbid" else ""
    (folder / "only.cedar").write_text(f'@id("x") {effect} (principal, action, resource) when {{ {condition} }};\n{other}')
    access = Access(folder)
    for role, user in (("coder", "Practitioner/1"), ("payer", "")):
        scope = Scope(Subject("x", role, user, "Patient/1", ("user/*.rs",)), "search")
        for nulls in (True, False):
            db = store(ROWS, nulls=nulls, of_version=False)
            found = set().union(*(selected(db, scope, type_, access=access) for type_ in ("DocumentReference", "Basic")))
            assert found == {rid for rid, row in enumerate(ROWS) if access.decides(scope, row)}
            db.close()


RESOURCE = {"unknown": [{"Value": "resource"}]}


@pytest.mark.parametrize(
    "body",
    [
        {"&&": {}, "||": {}},
        {"+": {"left": {"Value": 1}, "right": {"Value": 1}}},
        {"Value": 7},
        {"Value": {"__extn": {"fn": "ip", "arg": "::1"}}},
        {"Value": ["a", 7]},
        {".": {"left": RESOURCE, "attr": "secret"}},
        {".": {"left": {"Var": "context"}, "attr": "labels"}},
        {"in": {"left": {"Value": "x"}, "right": {"Value": "y"}}},
        {"in": {"left": RESOURCE, "right": {"Value": True}}},
        {"is": {"left": {"Value": "x"}, "entity_type": "Resource"}},
        {"is": {"left": RESOURCE, "entity_type": "Resource", "in": {"Value": "x"}}},
        {"like": {"left": RESOURCE, "pattern": []}},
        {"has": {"left": RESOURCE, "attr": "owner"}},
        {"ip": {"arg": {"Value": "::1"}}},
    ],
)
def test_what_is_not_known_is_refused(body):
    with pytest.raises(UnsupportedError):
        parse(body)


def test_a_residual_whose_head_is_open_is_refused():
    everyone = {"op": "All"}
    with pytest.raises(UnsupportedError):
        parse_policy({"principal": {"op": "in"}, "action": everyone, "resource": everyone, "conditions": []})
