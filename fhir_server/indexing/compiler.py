"""Generate one Python function per resource type that extracts all its search values in a single walk.

Spec: https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from fhir_server.indexing import values as indexer_values
from fhir_server.indexing.paths import Op, Place

Extractor = Callable[..., None]
# Names of the row lists, by search parameter type, and that of the marks beside the tokens; they are the arguments of the generated function.
LISTS = {
    "token": "t", "string": "s", "date": "d", "reference": "f", "quantity": "q", "uri": "u", "number": "n", "composite": "c", "special": "p",
    "mark": "m",
}  # fmt: skip
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
    ("special", "BackboneElement"): "position_value",
    **{("reference", name): "reference_entry" for name in ("Composition", "MessageHeader")},
}

_WITH_MARKS = frozenset({"token_coding", "token_concept", "token_identifier"})


@dataclass(slots=True)
class Leaf:
    """Index the value here under one parameter."""

    param: int
    kind: str
    place: Place
    rows: str = ""
    """Name of another list for its rows than that of its kind."""


class Group(NamedTuple):
    """Index every combination of the components' values in each group here under one composite parameter."""

    param: int
    ops: tuple[Op, ...]
    components: tuple[tuple[Leaf, ...], ...]
    of_resource: tuple[bool, ...]
    """Whether a component starts at the resource instead of at its group."""


@dataclass(slots=True)
class _Branch:
    """A trie over operations: parameters that share a path share the walk."""

    children: dict[Op, _Branch] = field(default_factory=dict)
    leaves: list[Leaf] = field(default_factory=list)
    groups: list[Group] = field(default_factory=list)

    def at(self, ops: Iterable[Op]) -> _Branch:
        """The branch at the end of some operations."""
        branch = self
        for op in ops:
            branch = branch.children.setdefault(op, _Branch())
        return branch


def supported(leaf: Leaf) -> bool:
    """Whether a value of this type can be indexed under a parameter of this kind."""
    return leaf.place.true or (leaf.kind, leaf.place.type) in EMITTERS


def compile_extractor(name: str, leaves: Iterable[Leaf], groups: Iterable[Group] = ()) -> Extractor:
    """Build the function `name(resource, tokens, strings, dates, references, quantities, uris, numbers, composites, positions, marks, base)`."""
    root = _Branch()
    flags: dict[int, list[str]] = {}
    for leaf in leaves:
        if leaf.place.true:
            flags.setdefault(leaf.param, []).append(leaf.place.ops[-1].name)
            continue
        root.at(leaf.place.ops).leaves.append(leaf)
    for group in groups:
        root.at(group.ops).groups.append(group)
    lines = [f"def {name}(v0, {', '.join(LISTS.values())}, base):", *map(_flag, flags, flags.values()), "    pass"]
    _write(root, 0, "    ", lines)
    namespace: dict[str, Any] = dict(vars(indexer_values))
    # The source is made of element names and numbers of our own definitions; literals, which an operator may have sent, are quoted by repr.
    exec(compile("\n".join(lines), f"<extract {name}>", "exec"), namespace)  # noqa: S102 the lines are this module's own  # nosec B102
    extractor: Extractor = namespace[name]
    return extractor


def _flag(param: int, names: list[str]) -> str:
    """Index whether a choice element of the resource itself exists and is not false; absent means false."""
    known = " or ".join(f"v0.get({name!r}, False) is not False" for name in names)
    return f"    token_boolean(t, {param}, {known})"


def _write(branch: _Branch, depth: int, indent: str, lines: list[str]) -> None:
    lines.extend(indent + _emit(leaf, depth) for leaf in branch.leaves)
    for group in branch.groups:
        _write_group(group, depth, indent, lines)
    for op, child in branch.children.items():
        _write_op(op, child, depth, indent, lines)


def _write_group(group: Group, depth: int, indent: str, lines: list[str]) -> None:
    """Collect each component's values in a list of its own, then combine them."""
    names = [f"c{depth}_{place}" for place in range(len(group.components))]
    for name, leaves, of_resource in zip(names, group.components, group.of_resource, strict=True):
        root = _Branch()
        for leaf in leaves:
            root.at(leaf.place.ops).leaves.append(replace(leaf, rows=name))
        lines.append(f"{indent}{name} = []")
        if of_resource:
            lines.append(f"{indent}v{depth + 1} = v0")
        _write(root, depth + of_resource, indent, lines)
    kinds = tuple(leaves[0].kind for leaves in group.components)
    lines.append(f"{indent}composite_value({LISTS['composite']}, {group.param}, {kinds!r}, ({', '.join(names)}))")


def _write_op(op: Op, child: _Branch, depth: int, indent: str, lines: list[str]) -> None:
    value, inner = f"v{depth}", f"v{depth + 1}"
    if op.kind == "where":
        lines.append(f"{indent}if {value}.get({op.name!r}) == {op.literal!r}:")
        lines.append(f"{indent}    {inner} = {value}")
    elif op.kind == "resolve":
        lines.append(f"{indent}if reference_type({value}) == {op.name!r}:")
        lines.append(f"{indent}    {inner} = {value}")
    elif op.kind == "key":
        lines.append(f"{indent}if {op.name!r} in {value} and ({inner} := {value}[{op.name!r}]) is not None:")
    elif op.kind == "first":
        lines.append(f"{indent}for {inner} in {value}.get({op.name!r}, ())[:1]:")
        indent += "    "
        lines.append(f"{indent}if {inner} is not None:")
    else:
        lines.append(f"{indent}if {op.name!r} in {value}:")
        lines.append(f"{indent}  for {inner} in {value}[{op.name!r}]:")
        indent += "    "
        lines.append(f"{indent}if {inner} is not None:")
    _write(child, depth + 1, indent + "    ", lines)
    if lines[-1].endswith(":"):
        lines.append(indent + "    pass")


def _emit(leaf: Leaf, depth: int) -> str:
    rows, value = leaf.rows or LISTS[leaf.kind], f"v{depth}"
    emitter = EMITTERS[leaf.kind, leaf.place.type]
    if emitter == "token_code":
        return f"{rows}.append(({leaf.param}, {leaf.place.system!r}, {value}))"
    if emitter in _WITH_MARKS:
        return f"{emitter}({rows}, {'[]' if leaf.rows else 'm'}, {leaf.param}, {value})"
    if emitter == "reference_value":
        return f"reference_value({rows}, {'[]' if leaf.rows else 't'}, {leaf.param}, {value}, base)"
    if emitter == "reference_entry":
        return f"reference_entry({rows}, {leaf.param}, v{depth - 1}, {leaf.place.type!r}, base)"
    return f"{emitter}({rows}, {leaf.param}, {value})"
