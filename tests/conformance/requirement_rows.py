"""Lists of requirements that are kept as data: each row names its tests, or says why it cannot apply.

A file in docs/conformance has tables `[[requirement]]` of an id, a status ("tested" or "not applicable"), and tests or a reason; where no published
list holds the words, a statement in ours; and beside tests a note on what of the row cannot apply.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
LISTS: Final = {
    "attacks": "One hundred attacks, row by row",
    "cds-hooks-2.0-security": "CDS Hooks 2.0: what concerns security, row by row",
}
"""Lists with statements of their own, in the order in which the report shows them."""

Row = dict[str, Any]


def requirements(name: str) -> list[Row]:
    """Read the rows of a list."""
    found: list[Row] = tomllib.loads((ROOT / "docs" / "conformance" / f"{name}.toml").read_text("utf-8"))["requirement"]
    return found


def misshapen(rows: Sequence[Row], *more: str) -> Iterator[str]:
    """Name the rows that are not one of the two kinds; `more` are the members that each row has besides."""
    ids = [row["id"] for row in rows]
    if ids != sorted(set(ids)):
        yield "the ids are not in order, or one stands twice"
    for row in rows:
        kind = {"tests"} if row["status"] == "tested" else {"reason"}
        if row.keys() - {"note"} != {"id", "status", *kind, *more} or row["status"] not in ("tested", "not applicable"):
            yield f"{row['id']}: has other members than its status wants"
        elif kind == {"tests"} and not row["tests"]:
            yield f"{row['id']}: names no test"
        elif any(len(row.get(member, "x" * 21)) <= 20 for member in ("reason", "note", *more)):
            yield f"{row['id']}: says too little"


def unshown(rows: Sequence[Row], marker: str) -> Iterator[str]:
    """Name the tests that do not exist, or carry no marker of their row; `marker` is a pattern with {id}."""
    for row in rows:
        for named in row.get("tests", ()):
            path, _, name = named.partition("::")
            decorators = _functions(path).get(name)
            if decorators is None or not re.search(marker.format(id=row["id"]), decorators):
                yield f"{row['id']}: {named}"


@cache
def _functions(path: str) -> dict[str, str]:
    """Names of the tests of a file, each with its decorators."""
    if not (ROOT / path).is_file():
        return {}
    found = ast.parse((ROOT / path).read_text("utf-8"))
    return {node.name: " ".join(map(ast.unparse, node.decorator_list)) for node in ast.walk(found) if isinstance(node, ast.FunctionDef)}
