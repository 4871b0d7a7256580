"""Generate one Python function per resource type that extracts all its search values in a single walk.

Spec: https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from fhir_server.indexing import values as indexer_values
from fhir_server.indexing.paths import Op, Place

Extractor = Callable[..., None]
# Names of the row lists, by search parameter type; they are the arguments of the generated function.
LISTS = {"token": "t", "string": "s", "date": "d", "reference": "f", "quantity": "q", "uri": "u", "number": "n"}
_TEXT_TYPES = ("string", "markdown", "code", "id", "uri", "url", "canonical", "oid", "uuid")
_AMOUNTS = ("Quantity", "Age", "Duration", "Count", "Distance")
EMITTERS: dict[tuple[str, str], str] = {
    **{("token", name): "token_code" for name in _TEXT_TYPES},
    ("token", "boolean"): "token_boolean",
    ("token", "Coding"): "token_coding",
    ("token", "CodeableConcept"): "token_concept",
    ("token", "Identifier"): "token_identifier",
    ("token", "ContactPoint"): "token_contact",
    **{("string", name): "string_text" for name in _TEXT_TYPES},
    ("string", "HumanName"): "string_name",
    ("string", "Address"): "string_address",
    **{("date", name): "date_point" for name in ("date", "dateTime", "instant")},
    ("date", "Period"): "date_period",
    ("date", "Timing"): "date_timing",
    ("reference", "Reference"): "reference_value",
    **{("reference", name): "reference_canonical" for name in ("canonical", "uri", "url")},
    **{("quantity", name): "quantity_value" for name in _AMOUNTS},
    ("quantity", "Money"): "quantity_money",
    ("quantity", "Range"): "quantity_range",
    **{("uri", name): "uri_value" for name in ("uri", "url", "canonical", "oid", "uuid")},
    **{("number", name): "number_value" for name in ("integer", "decimal", "positiveInt", "unsignedInt")},
    ("number", "Range"): "number_range",
}


@dataclass(slots=True)
class Leaf:
    """Index the value here under one parameter."""

    param: int
    kind: str
    place: Place


@dataclass(slots=True)
class _Branch:
    """A trie over operations: parameters that share a path share the walk."""

    children: dict[Op, _Branch] = field(default_factory=dict)
    leaves: list[Leaf] = field(default_factory=list)


def supported(leaf: Leaf) -> bool:
    """Whether a value of this type can be indexed under a parameter of this kind."""
    return leaf.place.true or (leaf.kind, leaf.place.type) in EMITTERS


def compile_extractor(name: str, leaves: Iterable[Leaf]) -> Extractor:
    """Build the function `name(resource, tokens, strings, dates, references, quantities, uris, numbers, base)`."""
    root = _Branch()
    flags: dict[int, list[str]] = {}
    for leaf in leaves:
        if leaf.place.true:
            flags.setdefault(leaf.param, []).append(leaf.place.ops[-1].name)
            continue
        branch = root
        for op in leaf.place.ops:
            branch = branch.children.setdefault(op, _Branch())
        branch.leaves.append(leaf)
    lines = [f"def {name}(v0, {', '.join(LISTS.values())}, base):", *map(_flag, flags, flags.values()), "    pass"]
    _write(root, 0, "    ", lines)
    namespace: dict[str, Any] = dict(vars(indexer_values))
    # The source is made of element names and numbers of our own definitions; literals, which an operator may have sent, are quoted by repr.
    exec(compile("\n".join(lines), f"<extract {name}>", "exec"), namespace)  # noqa: S102
    extractor: Extractor = namespace[name]
    return extractor


def _flag(param: int, names: list[str]) -> str:
    """Index whether a choice element of the resource itself exists and is not false; absent means false."""
    known = " or ".join(f"v0.get({name!r}, False) is not False" for name in names)
    return f"    token_boolean(t, {param}, {known})"


def _write(branch: _Branch, depth: int, indent: str, lines: list[str]) -> None:
    value = f"v{depth}"
    lines.extend(indent + _emit(leaf, value) for leaf in branch.leaves)
    for op, child in branch.children.items():
        _write_op(op, child, depth, indent, lines)


def _write_op(op: Op, child: _Branch, depth: int, indent: str, lines: list[str]) -> None:
    value, inner = f"v{depth}", f"v{depth + 1}"
    if op.kind == "where":
        lines.append(f"{indent}if {value}.get({op.name!r}) == {op.literal!r}:")
        lines.append(f"{indent}    {inner} = {value}")
    elif op.kind == "resolve":
        lines.append(f"{indent}if reference_type({value}) == {op.name!r}:")
        lines.append(f"{indent}    {inner} = {value}")
    elif op.kind == "key":
        lines.append(f"{indent}{inner} = {value}.get({op.name!r})")
        lines.append(f"{indent}if {inner} is not None:")
    else:
        lines.append(f"{indent}for {inner} in {value}.get({op.name!r}, ()):")
        indent += "    "
        lines.append(f"{indent}if {inner} is not None:")
    _write(child, depth + 1, indent + "    ", lines)
    if lines[-1].endswith(":"):
        lines.append(indent + "    pass")


def _emit(leaf: Leaf, value: str) -> str:
    rows = LISTS[leaf.kind]
    emitter = EMITTERS[leaf.kind, leaf.place.type]
    if emitter == "token_code":
        return f"{rows}.append(({leaf.param}, {leaf.place.system!r}, {value}))"
    if emitter == "reference_value":
        return f"reference_value({rows}, t, {leaf.param}, {value}, base)"
    return f"{emitter}({rows}, {leaf.param}, {value})"
