"""Every SHALL and SHALL NOT of SMART App Launch 2.2.0 for servers has a row that names its tests, or says why it cannot apply."""

import ast
import csv
import io
import re
import tarfile
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROWS = tomllib.loads((ROOT / "docs" / "conformance" / "smart-2.2.0.toml").read_text("utf-8"))["requirement"]
LIST = "smart_app_launch_test_kit_requirements.csv"


@cache
def functions(path: str) -> dict[str, str]:
    """Names of the tests of a file, each with its decorators."""
    found = ast.parse((ROOT / path).read_text("utf-8"))
    return {node.name: " ".join(map(ast.unparse, node.decorator_list)) for node in ast.walk(found) if isinstance(node, ast.FunctionDef)}


def test_each_row_stands_once_and_is_tested_or_says_why_not() -> None:
    ids = [row["id"] for row in ROWS]
    assert ids == sorted(set(ids))
    for row in ROWS:
        if row["status"] == "tested":
            assert row["tests"]
            assert set(row) == {"id", "status", "tests"}
        else:
            assert row["status"] == "not applicable"
            assert len(row["reason"]) > 20


def test_every_named_test_exists_and_says_that_it_shows_the_requirement() -> None:
    wrong = []
    for row in ROWS:
        for named in row.get("tests", ()):
            path, _, name = named.partition("::")
            decorators = functions(path).get(name)
            if decorators is None or not re.search(rf"['\"](?:SMART-2\.2\.0@)?{row['id']}: ", decorators):
                wrong.append((row["id"], named))
    assert wrong == []


@pytest.mark.corpus
def test_every_requirement_of_the_list_has_a_row(corpus: Path) -> None:
    with tarfile.open(corpus / "cds" / "cds-hooks-smart-samples.tar.xz") as archive:
        member = next(each for each in archive.getmembers() if each.name.endswith(LIST))
        held = archive.extractfile(member)
        assert held is not None
        listed = list(csv.DictReader(io.TextIOWrapper(held, "utf-8-sig")))
    wanted = {
        int(each["ID"]) for each in listed
        if each["Req Set"].endswith("_2.2.0") and each["Conformance"] in ("SHALL", "SHALL NOT") and "erver" in each["Actors"]
    }  # fmt: skip
    assert len(wanted) == 172
    assert {row["id"] for row in ROWS} == wanted


@pytest.mark.conformance("SMART 2.2.0", "139: what a record link does to an authorization is documented")
def test_the_howto_says_what_a_record_link_does_to_an_authorization() -> None:
    assert "`Patient.link`" in (ROOT / "docs" / "howto" / "register-an-app.md").read_text("utf-8")
