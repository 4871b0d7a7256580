"""Simplify a condition: negations at the leaves, and no part that its neighbours already decide."""

from __future__ import annotations

from chartloop.kernel.access.expression import FALSE, LABELS_ATTRIBUTE, TRUE, Attr, Const, Node, Op
from chartloop.kernel.access.folding import fold, junction

_DUAL = {"&&": "||", "||": "&&"}
_NO_LABELS = Op("isEmpty", (Attr(LABELS_ATTRIBUTE),))


def simplify(node: Node) -> Node:
    """Return an equivalent condition that is smaller or the same."""
    previous, current = None, _pushed(node, negated=False)
    while previous != current:
        previous, current = current, _pruned(current)
    return current


def _pushed(node: Node, *, negated: bool) -> Node:
    if isinstance(node, Op) and node.name == "!":
        return _pushed(node.args[0], negated=not negated)
    if isinstance(node, Op) and node.name in _DUAL:
        name = _DUAL[node.name] if negated else node.name
        return junction(name, tuple(_pushed(arg, negated=negated) for arg in node.args))
    return fold(Op("!", (node,)), "", frozenset()) if negated else node


def _pruned(node: Node) -> Node:
    """In `A && B`, B may take A for granted; in `A || B`, B may take A for refuted."""
    if not isinstance(node, Op) or node.name not in _DUAL:
        return node
    args = list(node.args)
    for index, fact in enumerate(args):
        if isinstance(fact, Op) and fact.name in _DUAL:
            continue
        known = fact if node.name == "&&" else _pushed(fact, negated=True)
        args = [arg if other == index else _assuming(arg, known) for other, arg in enumerate(args)]
    return junction(node.name, tuple(_pruned(arg) for arg in args))


def _assuming(node: Node, fact: Node) -> Node:
    if node == fact:
        return TRUE
    if node == _pushed(fact, negated=True):
        return FALSE
    if isinstance(node, Op):
        parts = tuple(_assuming(arg, fact) if node.name in _DUAL or node.name == "!" else _bound(arg, fact) for arg in node.args)
        return fold(Op(node.name, parts), "", frozenset())
    return node


def _bound(node: Node, fact: Node) -> Node:
    """An attribute whose value the fact gives away."""
    if fact == _NO_LABELS and node == Attr(LABELS_ATTRIBUTE):
        return Const(frozenset())
    if isinstance(fact, Op) and fact.name == "==" and node in fact.args and isinstance(node, Attr):
        other = fact.args[1] if fact.args[0] == node else fact.args[0]
        return other if isinstance(other, Const) else node
    return node
