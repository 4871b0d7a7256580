"""The rows of the R4 specification are whole: each names tests that are there or a reason, and none that R4 publishes is missing."""

from __future__ import annotations

import ast
import json
import tarfile
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

from tests.conformance.r4_matrix import ROOT, asked, tables
from tests.conformance_report import matrix

ROWS = [(table.title, row) for table in tables() for row in table.rows]
KINDS = {"number", "date", "string", "token", "reference", "composite", "quantity", "uri", "special"}


@cache
def _tests(path: str) -> frozenset[str]:
    file = ROOT / path
    return frozenset(node.name for node in ast.parse(file.read_text(encoding="utf-8")).body if isinstance(node, ast.FunctionDef)) if file.exists() else frozenset()


def test_every_row_names_tests_that_are_there_or_says_why_not() -> None:
    wrong = []
    for title, row in ROWS:
        lost = [test for test in row.tests if test.partition("::")[2] not in _tests(test.partition("::")[0])]
        if lost or not (row.tests or row.reason):
            wrong.append((title, row.words, lost))
    assert wrong == []


def test_no_row_stands_twice() -> None:
    assert [each for each, times in Counter((title, row.words) for title, row in ROWS).items() if times > 1] == []


def test_the_report_shows_every_row_and_fails_what_failed() -> None:
    failed = "tests/integration/fhir_server/test_places.py::test_a_place_is_near"
    text = "\n".join(matrix({failed: "failed"}))
    assert all(f"| {row.words.replace('|', chr(92) + '|')} |" in text for _, row in ROWS)
    assert "`integration/fhir_server/test_places.py::test_a_place_is_near` **failed**" in text
    assert "not supported: matches are exact and have no rank" in text


@cache
def _published(package: Path) -> dict[str, dict[str, Any]]:
    found = {}
    wanted = ("restful-interaction", "search-modifier-code", "search-comparator", "search-param-type")
    with tarfile.open(package) as archive:
        for member in archive:
            name = Path(member.name).name
            content = archive.extractfile(member) if name.startswith("OperationDefinition-") or name in {f"CodeSystem-{each}.json" for each in wanted} else None
            if content is not None:
                found[name.removesuffix(".json")] = json.load(content)
    return found


def _codes(package: Path, system: str) -> set[str]:
    return {each["code"] for each in _published(package)[f"CodeSystem-{system}"]["concept"]}


def test_every_published_modifier_and_prefix_is_asked_of_every_kind(published: Path) -> None:
    assert _codes(published, "search-param-type") == KINDS
    named = {"type": "[type]", "ofType": "of-type"}
    modifiers = {f":{named.get(code, code)}" for code in _codes(published, "search-modifier-code")}
    of_kind = {kind: {each.word for each in asked("r4_modifiers.toml") if each.kind == kind} for kind in KINDS}
    assert [kind for kind, words in of_kind.items() if not modifiers <= words] == []
    prefixes = _codes(published, "search-comparator")
    for kind in ("number", "date", "quantity", "_lastUpdated", "composite"):
        assert prefixes <= {each.word.removeprefix("in a part: ") for each in asked("r4_prefixes.toml") if each.kind == kind}


def test_every_published_operation_has_a_row(published: Path) -> None:
    rows = {row.words for title, row in ROWS if title == "Operations"}
    assert rows == {each["id"] for each in _published(published).values() if each["resourceType"] == "OperationDefinition"}


def test_every_published_interaction_has_a_row(published: Path) -> None:
    system = _published(published)["CodeSystem-restful-interaction"]["concept"]
    codes = {inner["code"] for each in system for inner in (each, *each.get("concept", ()))}
    words = " ".join(row.words for title, row in ROWS if title == "Interactions")
    assert [code for code in sorted(codes) if code.partition("-")[0] not in words] == []
