"""Simplify an expression once the type of the row is known: most policies then hold or fail without a row."""

from __future__ import annotations

from chartloop.kernel.access.expression import FALSE, TRUE, Attr, Const, Node, Op, UnsupportedError


def fold(node: Node, type_: str, groups: frozenset[str]) -> Node:
    """Put the type and its groups into an expression and evaluate what follows from them."""
    if isinstance(node, Const):
        return node
    if isinstance(node, Attr):
        return Const(type_) if node.name == "type" else node
    if node.name == "in":
        return Const(bool(_texts(node.args[1]) & {f"Group::{group}" for group in groups}))
    args = tuple(fold(arg, type_, groups) for arg in node.args)
    if node.name in {"&&", "||"}:
        return junction(node.name, args)
    if node.name == "!":
        return _negation(args[0])
    return _evaluated(Op(node.name, args))


def refuted(node: Node, names: frozenset[str]) -> Node:
    """Put false in the place of attributes that cannot be true."""
    if isinstance(node, Attr):
        return FALSE if node.name in names else node
    if isinstance(node, Op):
        return Op(node.name, tuple(refuted(arg, names) for arg in node.args))
    return node


def junction(name: str, args: tuple[Node, ...]) -> Node:
    """Join conditions with && or ||, dropping what is known and what is said twice."""
    neutral, absorbing = (TRUE, FALSE) if name == "&&" else (FALSE, TRUE)
    if absorbing in args:
        return absorbing
    flat: list[Node] = []
    for arg in args:
        inner = arg.args if isinstance(arg, Op) and arg.name == name else (arg,)
        flat.extend(part for part in inner if part != neutral and part not in flat)
    return neutral if not flat else flat[0] if len(flat) == 1 else Op(name, tuple(flat))


def _negation(arg: Node) -> Node:
    if isinstance(arg, Const):
        return Const(not arg.value)
    if isinstance(arg, Op) and arg.name == "!":
        return arg.args[0]
    return Op("!", (arg,))


def _evaluated(node: Op) -> Node:
    if not all(isinstance(arg, Const) for arg in node.args):
        return _partly(node)
    values = [arg.value for arg in node.args if isinstance(arg, Const)]
    if node.name == "==":
        return Const(values[0] == values[1])
    if node.name == "like":
        return Const(str(values[0]).startswith(str(values[1])))
    if node.name == "isEmpty":
        return Const(not _texts(node.args[0]))
    left = _texts(node.args[0])
    right = frozenset({str(values[1])}) if node.name == "contains" else _texts(node.args[1])
    if node.name == "containsAny":
        return Const(bool(left & right))
    return Const(right <= left)


def _partly(node: Op) -> Node:
    """Set operators with an empty literal are decided whatever the row holds."""
    if node.name == "containsAny" and Const(frozenset()) in node.args:
        return FALSE
    if node.name == "containsAll" and node.args[1] == Const(frozenset()):
        return TRUE
    if node.name == "contains" and node.args[0] == Const(frozenset()):
        return FALSE
    return node


def _texts(node: Node) -> frozenset[str]:
    if isinstance(node, Const) and isinstance(node.value, frozenset):
        return node.value
    message = "set operator on something that is not a set"
    raise UnsupportedError(message)


def attributes(node: Node) -> frozenset[str]:
    """Names of the row attributes that an expression still depends on."""
    if isinstance(node, Attr):
        return frozenset({node.name})
    if isinstance(node, Op):
        return frozenset().union(*(attributes(arg) for arg in node.args))
    return frozenset()
