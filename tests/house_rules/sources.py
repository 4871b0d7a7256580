"""The product's own source files, parsed once for every house rule."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("chartloop", "fhir_server", "terminology", "predictions", "cds_hooks", "smart_apps", "claims", "omop_bridge", "ingest")


@cache
def product_files() -> tuple[Path, ...]:
    return tuple(sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py")))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def attribute_calls(path: Path) -> list[tuple[str, int]]:
    """Dotted names that a file calls or reads, with their lines: `datetime.now`, `os.environ`."""
    found = []
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Attribute):
            parts = [node.attr]
            value = node.value
            while isinstance(value, ast.Attribute):
                parts.append(value.attr)
                value = value.value
            if isinstance(value, ast.Name):
                parts.append(value.id)
                found.append((".".join(reversed(parts)), node.lineno))
    return found


def strings(path: Path) -> list[tuple[str, int]]:
    """String literals of a file with their lines; docstrings left out."""
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
        and isinstance(node.body[0].value, ast.Constant)
    }
    return [(node.value, node.lineno) for node in ast.walk(tree(path)) if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings]
