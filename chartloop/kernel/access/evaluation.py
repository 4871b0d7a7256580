"""Evaluate an expression on one row in memory."""

from __future__ import annotations

from chartloop.kernel.access.expression import FALSE, TRUE, Attr, Const, Node, Op
from chartloop.kernel.access.folding import fold
from chartloop.kernel.access.grants import FACTS
from chartloop.kernel.access.rows import RowAttributes


def holds(node: Node, row: RowAttributes, groups: frozenset[str] = frozenset()) -> bool:
    """Whether a condition holds for a row."""
    if node in (TRUE, FALSE):
        return node == TRUE
    return fold(_bound(node, row), row.type, groups) == TRUE


def _bound(node: Node, row: RowAttributes) -> Node:
    if isinstance(node, Attr):
        return Const(node.name in row.facts if node.name in FACTS else getattr(row, node.name))
    if isinstance(node, Op):
        return Op(node.name, tuple(arg if node.name == "in" else _bound(arg, row) for arg in node.args))
    return node
