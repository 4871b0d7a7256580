"""Files and functions stay small; every module says what it is."""

from __future__ import annotations

import ast

from tests.house_rules.sources import ROOT, name, product_files, tree

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 50
FORBIDDEN_NAMES = {"utils", "helpers", "common", "manager", "misc"}

# Tables of data, and nothing else.
LONG_FILES = {"chartloop/migrations/versions/0001_first_light.py"}
MIGRATIONS = "chartloop/migrations/versions/"  # written by Alembic


def test_a_file_has_at_most_400_lines():
    long = {name(path): lines for path in product_files() if (lines := len(path.read_text(encoding="utf-8").splitlines())) > MAX_FILE_LINES}
    assert {file: lines for file, lines in long.items() if file not in LONG_FILES} == {}


def test_a_function_has_at_most_50_lines():
    long = []
    for path in product_files():
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                where = f"{name(path)}:{node.name}"
                if lines > MAX_FUNCTION_LINES and not where.startswith(MIGRATIONS):
                    long.append(f"{where} {lines}")
    assert long == []


def test_every_module_says_in_one_line_what_it_is():
    silent = []
    for path in product_files():
        docstring = ast.get_docstring(tree(path))
        first = (docstring or "").split("\n", 1)[0]
        if not first.endswith((".", "?", "!")) or len(first) > 160:
            silent.append(name(path))
    assert silent == []


def test_an_init_module_holds_a_docstring_and_nothing_else():
    busy = [name(path) for path in product_files() if path.name == "__init__.py" and len(tree(path).body) != 1]
    assert busy == []


def test_no_module_is_a_drawer():
    assert [name(path) for path in product_files() if path.stem in FORBIDDEN_NAMES] == []


def test_nothing_is_left_unfinished():
    marks = ("TO" + "DO", "FIX" + "ME", "NotImplemented" + "Error", "X" + "XX")
    found = [f"{name(path)}: {mark}" for path in product_files() for mark in marks if mark in path.read_text(encoding="utf-8")]
    assert found == []


def test_the_repository_stays_a_door():
    door = ROOT / "fhir_server" / "repository.py"
    assert len(door.read_text(encoding="utf-8").splitlines()) <= 300
