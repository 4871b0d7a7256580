"""Allow-lists of element paths."""

from __future__ import annotations

import pytest

from chartloop.kernel.access.element_paths import expand, intersect, searchable, shows


@pytest.mark.parametrize(
    ("pattern", "paths"),
    [
        ("status", ["status"]),
        ("a.{b,c}", ["a.b", "a.c"]),
        ("a.{b,c.{d,e}}.f", ["a.b.f", "a.c.d.f", "a.c.e.f"]),
        ("{a,b}.{c,d}", ["a.c", "a.d", "b.c", "b.d"]),
    ],
)
def test_braces_are_spelled_out(pattern, paths):
    assert expand(pattern) == paths


def test_unbalanced_braces_are_refused():
    with pytest.raises(ValueError, match="unbalanced"):
        expand("a.{b,c")


def test_an_element_is_shown_with_its_ancestor_and_not_with_its_child_or_namesake():
    assert shows(frozenset({"a"}), "a.b.c")
    assert not shows(frozenset({"a.b"}), "a")
    assert not shows(frozenset({"ab"}), "a")


@pytest.mark.parametrize("path", ["name.extension.value", "name.given.modifierExtension", "name.id", "extension.extension.url", "contained.name"])
def test_what_can_hold_anything_is_not_shown_with_its_ancestor(path):
    assert not shows(frozenset({"name", "extension"}), path)
    assert shows(frozenset({path}), path)
    assert intersect(frozenset({path}), frozenset({"name"})) == frozenset()


@pytest.mark.conformance("Attacks", "30: two lists show what both show")
def test_two_lists_show_what_both_show():
    assert intersect(frozenset({"a", "b.c", "d"}), frozenset({"a.x", "b", "e"})) == {"a.x", "b.c"}


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("Claim.status", True),
        ("Claim.patient", True),
        ("(Claim.patient)", True),
        ("Claim.patient.where(resolve() is Patient)", True),
        ("Claim.identifier", True),
        ("Claim.identifier.value", True),
        ("Claim.type", True),
        ("Claim.text", False),
        ("Claim.type.text", False),
        ("Claim.supportingInfo.value", False),
        ("Claim.meta.lastUpdated", True),
        ("Claim.meta.security", False),
    ],
)
def test_a_search_looks_only_at_what_is_shown(path, answer):
    allowed = frozenset({"status", "patient.reference", "identifier.system", "identifier.value", "type.coding.system", "type.coding.code"})
    assert searchable(allowed, "Claim", [path]) is answer


@pytest.mark.conformance("Attacks", "12: an amount whose unit is hidden is not searched by: a search for an amount looks at the unit's words")
def test_an_amount_without_its_unit_is_not_searched_by():
    part = frozenset({"quantity.value", "quantity.system", "quantity.code"})
    assert not searchable(part, "ChargeItem", ["ChargeItem.quantity"])
    assert searchable(frozenset({"quantity"}), "ChargeItem", ["ChargeItem.quantity"])
    assert searchable(part, "ChargeItem", ["ChargeItem.quantity.code"])
