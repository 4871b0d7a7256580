"""Boolean expressions over the attributes of a row: what is left of a policy once the subject is known.

Cedar's partial evaluation returns residual policies as JSON. They are parsed here into a small closed set of nodes; whatever
is not in the set raises, so that an operator nobody thought of refuses instead of permitting.

Spec: https://docs.cedarpolicy.com/policies/json-format.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from chartloop.kernel.access.grants import FACTS


class UnsupportedError(ValueError):
    """A policy uses an operator that cannot be compiled to SQL."""


@dataclass(frozen=True, slots=True)
class Const:
    """A value that is known."""

    value: bool | str | frozenset[str]


@dataclass(frozen=True, slots=True)
class Attr:
    """An attribute of the row."""

    name: str


@dataclass(frozen=True, slots=True)
class Op:
    """An operator and its operands; `like` carries the literal prefix of its pattern as a constant."""

    name: str
    args: tuple[Node, ...]


Node = Const | Attr | Op
TRUE: Final = Const(value=True)
FALSE: Final = Const(value=False)

STRINGS: Final = frozenset({"type", "patient", "owner", "insurer"})
LABELS_ATTRIBUTE: Final = "labels"
_RESOURCE: Final = {"unknown": [{"Value": "resource"}]}


def parse_policy(policy: Mapping[str, Any]) -> Node:
    """Parse one residual policy into the condition under which it holds."""
    if any(policy[part] != {"op": "All"} for part in ("principal", "action", "resource")):
        message = "residual policy with a head that is not resolved"
        raise UnsupportedError(message)
    parts = [_condition(condition) for condition in policy["conditions"]]
    return parts[0] if len(parts) == 1 else Op("&&", tuple(parts)) if parts else TRUE


def _condition(condition: Mapping[str, Any]) -> Node:
    body = parse(condition["body"])
    if condition["kind"] == "unless":
        return Op("!", (body,))
    return body


def parse(body: Mapping[str, Any]) -> Node:
    """Parse one expression of Cedar's JSON format."""
    if len(body) != 1:
        message = "expression with more than one operator"
        raise UnsupportedError(message)
    ((operator, operands),) = body.items()
    reader = _READERS.get(operator)
    if reader is None:
        message = f"operator {operator} cannot be compiled"
        raise UnsupportedError(message)
    return reader(operator, operands)


def _value(_operator: str, operands: Any) -> Node:
    if isinstance(operands, (bool, str)):
        return Const(operands)
    if isinstance(operands, list):
        return _set("Set", [{"Value": item} for item in operands])
    if isinstance(operands, dict) and set(operands) == {"__entity"}:
        return Const(_entity(operands["__entity"]))
    message = "value of a type that cannot be compiled"
    raise UnsupportedError(message)


def _entity(entity: Mapping[str, str]) -> str:
    return f"{entity['type']}::{entity['id']}"


def _set(_operator: str, operands: Any) -> Node:
    members = [parse(operand) for operand in operands]
    values = [member.value for member in members if isinstance(member, Const)]
    texts = frozenset(value for value in values if isinstance(value, str))
    if len(values) != len(members) or len(texts) != len(set(values)):
        message = "set with members that are not plain strings"
        raise UnsupportedError(message)
    return Const(texts)


def _attribute(_operator: str, operands: Any) -> Node:
    name = str(operands["attr"])
    if operands["left"] != _RESOURCE or name not in STRINGS | {LABELS_ATTRIBUTE} | FACTS.keys():
        message = f"attribute {name} cannot be compiled"
        raise UnsupportedError(message)
    return Attr(name)


def _binary(operator: str, operands: Any) -> Node:
    return Op(operator, (parse(operands["left"]), parse(operands["right"])))


def _not_equal(_operator: str, operands: Any) -> Node:
    return Op("!", (_binary("==", operands),))


def _unary(operator: str, operands: Any) -> Node:
    return Op(operator, (parse(operands["arg"]),))


def _choice(_operator: str, operands: Any) -> Node:
    condition = parse(operands["if"])
    then, otherwise = parse(operands["then"]), parse(operands["else"])
    return Op("||", (Op("&&", (condition, then)), Op("&&", (Op("!", (condition,)), otherwise))))


def _member(_operator: str, operands: Any) -> Node:
    """`resource in Group::"x"`: the groups of a row follow from its type."""
    if operands["left"] != _RESOURCE:
        message = "in with a left side that is not the resource"
        raise UnsupportedError(message)
    right = parse(operands["right"])
    if not isinstance(right, Const) or isinstance(right.value, bool):
        message = "in with a right side that is not a group"
        raise UnsupportedError(message)
    groups = right.value if isinstance(right.value, frozenset) else frozenset({right.value})
    return Op("in", (Attr("type"), Const(groups)))


def _like(_operator: str, operands: Any) -> Node:
    pattern = operands["pattern"]
    literal = "".join(part["Literal"] for part in pattern if isinstance(part, dict))
    if not pattern or pattern[-1] != "Wildcard" or any(part == "Wildcard" for part in pattern[:-1]):
        message = "like with a pattern that is not a prefix"
        raise UnsupportedError(message)
    return Op("like", (parse(operands["left"]), Const(literal)))


def _is(_operator: str, operands: Any) -> Node:
    if operands["left"] != _RESOURCE or "in" in operands:
        message = "is with a left side that is not the resource"
        raise UnsupportedError(message)
    return Const(operands["entity_type"] == "Resource")


_READERS: Final[Mapping[str, Callable[[str, Any], Node]]] = {
    "Value": _value,
    "Set": _set,
    ".": _attribute,
    "&&": _binary,
    "||": _binary,
    "==": _binary,
    "!=": _not_equal,
    "contains": _binary,
    "containsAny": _binary,
    "containsAll": _binary,
    "!": _unary,
    "isEmpty": _unary,
    "if-then-else": _choice,
    "in": _member,
    "like": _like,
    "is": _is,
}
