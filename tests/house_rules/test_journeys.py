"""A journey through pages waits for what it looks for: a click returns before the next page is whole."""

import ast

from tests.house_rules.sources import ROOT, name, tree

ASKED_AT_ONCE = {
    "all_inner_texts",
    "all_text_contents",
    "count",
    "get_attribute",
    "inner_html",
    "inner_text",
    "input_value",
    "is_checked",
    "is_disabled",
    "is_enabled",
    "is_hidden",
    "is_visible",
    "text_content",
    "url",
}


def test_what_a_page_shows_is_expected_and_not_asserted():
    found = []
    journeys = [path for path in sorted((ROOT / "tests" / "journeys").glob("test_*.py")) if "pytest.mark.browser" in path.read_text(encoding="utf-8")]
    for path in journeys:
        for statement in ast.walk(tree(path)):
            if isinstance(statement, ast.Assert):
                asked = {node.attr for node in ast.walk(statement.test) if isinstance(node, ast.Attribute)}
                found += [f"{name(path)}:{statement.lineno} {what}: say expect(…), which waits" for what in sorted(asked & ASKED_AT_ONCE)]
    assert journeys
    assert found == []
