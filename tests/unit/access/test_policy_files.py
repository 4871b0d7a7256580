"""Policies are files: one edit changes every answer, a mistake stops the start."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from chartloop.kernel.access.engine import Access
from chartloop.kernel.access.expression import UnsupportedError
from chartloop.kernel.access.labels import LABELS
from chartloop.kernel.access.policy_set import SHIPPED, PolicyError
from chartloop.kernel.access.rows import NOTHING, RowAttributes
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from fhir_server.spec.definitions import r4


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED, tmp_path / "policies"))


def _edit(folder: Path, file: str, old: str, new: str) -> None:
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new))


CODER = Scope(Subject("someone", "coder", scopes=("user/*.rs",)), "search")
NOTE = RowAttributes("DocumentReference", frozenset({"PSY"}), "Patient/1", "", "")


@pytest.mark.long
@pytest.mark.conformance("Access", "editing one policy changes decision, row filter, elements and searchable parameters")
def test_editing_one_policy_changes_decision_filter_elements_and_search(folder):
    before = Access(folder)
    assert not before.decides(CODER, NOTE)
    _edit(folder, "sensitive.cedar", 'Role::"behavioral-health-coder"', 'Role::"coder"')
    after = Access(folder)
    assert after.decides(CODER, NOTE)
    assert after.row_filter(CODER, "DocumentReference") != before.row_filter(CODER, "DocumentReference")
    assert after.policies.hash != before.policies.hash
    _edit(folder, "coding.cedar", '@id("coders-read-what-coding-needs")', '@id("coders-read-what-coding-needs")\n@elements("note-metadata")')
    hidden = Access(folder)
    assert "status" in (hidden.elements(CODER, NOTE) or ())
    assert not hidden.searchable(CODER, "DocumentReference", ["description"])
    assert after.searchable(CODER, "DocumentReference", ["description"])


@pytest.mark.conformance("The loop", "6 Access: the default is deny")
@pytest.mark.conformance("Access", "without a permit everything is denied")
def test_removing_every_permit_denies_everything(folder):
    for path in folder.glob("*.cedar"):
        if path.name != "sensitive.cedar":
            path.unlink()
    access = Access(folder)
    assert access.row_filter(CODER, "Claim") == NOTHING
    assert not access.permits(CODER, "Claim")


@pytest.mark.conformance("Attacks", "30: two rules that both match show what both show")
def test_two_permits_show_only_what_both_show(folder):
    (folder / "extra.cedar").write_text('@id("extra") @elements("identity") permit (principal in Role::"billing-administrator", action, resource) when { resource.type == "DocumentReference" };')
    billing = Scope(Subject("b", "billing-administrator", scopes=("user/*.rs",)), "read")
    allowed = Access(folder).elements(billing, RowAttributes("DocumentReference", frozenset(), "", "", ""))
    assert allowed == {"identifier.system", "identifier.value", "masterIdentifier.system", "masterIdentifier.value", "status", "subject.reference", "context.encounter.reference"}


@pytest.mark.conformance("Access", "a policy with a mistake stops the start")
@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ('@id("x") permit (principal in Role::"cooder", action, resource);', "cooder"),
        ('@id("x") permit (principal, action == Action::"reed", resource);', "reed"),
        ('@id("x") permit (principal, action, resource) when { resource.label == "PSY" };', "label"),
        ('@id("x") permit (principal, action, resource) when { resource in Group::"notes" };', "notes"),
        ("permit (principal, action, resource);", "@id"),
        ('@id("operator-sets-up") permit (principal, action, resource);', "@id"),
        ('@id("x") @elements("nowhere") permit (principal, action, resource);', "nowhere"),
        ("permit (principal action resource);", "parse"),
    ],
)
def test_a_policy_with_a_mistake_stops_the_start(folder, policy, said):
    (folder / "extra.cedar").write_text(policy)
    with pytest.raises(PolicyError, match=said):
        Access(folder)


@pytest.mark.conformance("Access", "a condition that cannot become SQL stops the start")
@pytest.mark.parametrize(
    "condition",
    [
        'resource.labels == ["PSY"]',
        'resource.labels.contains("PSYCH")',
        'resource.owner like "Practitioner/*/x"',
        'resource == Resource::"7"',
        "[resource.owner].contains(resource.patient)",
        "resource.labels.contains(resource.owner)",
        "resource.labels.containsAny([resource.owner])",
    ],
)
def test_a_condition_that_cannot_become_sql_stops_the_start(folder, condition):
    (folder / "extra.cedar").write_text(f'@id("x") permit (principal, action, resource) when {{ {condition} }};')
    with pytest.raises(UnsupportedError):
        Access(folder)


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("engines.toml", '"claims-engine"', '"claim-engine"', "claim-engine"),
        ("groups.toml", "work =", "works =", "works"),
        ("elements.toml", '"status", "type.coding.{system,code}"', '"status", "type.coding.{system,code"', "unbalanced"),
        ("engines.toml", "coding =", "coding", "cannot be used"),
    ],
)
def test_a_data_file_with_a_mistake_stops_the_start(folder, file, old, new, said):
    _edit(folder, file, old, new)
    with pytest.raises(PolicyError, match=said):
        Access(folder)


def test_a_missing_directory_or_file_stops_the_start(folder, tmp_path):
    with pytest.raises(PolicyError):
        Access(tmp_path / "nowhere")
    (folder / "schema.cedarschema").unlink()
    with pytest.raises(PolicyError):
        Access(folder)


def test_every_shipped_policy_says_in_its_file_what_it_is_for():
    for path in sorted(SHIPPED.glob("*.cedar")):
        assert path.read_text().startswith("//"), path.name


@pytest.mark.conformance("Command line", "all 19 roles exist in the policies")
def test_every_role_of_the_command_line_exists():
    roles = "clinician psychiatric-clinician coder behavioral-health-coder billing-administrator researcher patient privacy-officer auditor integration-engine coding-engine risk-engine claims-engine omop-bridge privacy-engine subscription-engine payer operator system-operator"
    assert set(Access().policies.roles) == set(roles.split())


def test_every_type_that_a_policy_or_a_list_names_is_an_r4_type():
    policies = Access().policies
    named = set(policies.groups) | {type_ for lists in policies.elements.values() for type_ in lists} | set(policies.scopes["directory"])
    for path in SHIPPED.glob("*.cedar"):
        code = re.sub(r"//.*", "", path.read_text())
        named |= set(re.findall(r'"([A-Z][A-Za-z]+)"', code)) - set(LABELS)
    assert named - set(r4().resource_types) == set()


def test_every_path_of_an_allow_list_is_an_r4_element():
    lists = Access().policies.elements
    wrong = [f"{type_}.{path}" for types in lists.values() for type_, paths in types.items() for path in paths if not _exists(type_, path.split("."))]
    assert wrong == []


def _exists(node: str, parts: list[str]) -> bool:
    for element in r4().elements(node):
        types = element.json_types()
        if parts[0] in types:
            return len(parts) == 1 or _exists(element.node or types[parts[0]], parts[1:])
    return False


@pytest.mark.conformance("Attacks", "23: a forbid policy that errs denies")
def test_a_policy_that_errs_denies_although_cedar_would_skip_it(folder):
    (folder / "extra.cedar").write_text('@id("x") forbid (principal in Role::"coder", action, resource) when { 9223372036854775807 + 1 == 2 };')
    access = Access(folder)
    assert access.row_filter(CODER, "Claim") == NOTHING
    assert not access.decides(CODER, RowAttributes("Claim", frozenset(), "", "", ""))
    assert access.row_filter(Scope(Subject("x", "operator", scopes=("user/*.rs",)), "search"), "Claim") != NOTHING
