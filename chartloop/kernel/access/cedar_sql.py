"""Compile an expression over row attributes to boolean SQL that is never NULL, on SQLite and PostgreSQL alike."""

from __future__ import annotations

from chartloop.kernel.access.expression import LABELS_ATTRIBUTE, STRINGS, Attr, Const, Node, Op, UnsupportedError
from chartloop.kernel.access.grant_sql import compile_fact
from chartloop.kernel.access.grants import FACTS
from chartloop.kernel.access.granular import MARKS
from chartloop.kernel.access.labels import LABELS
from chartloop.kernel.access.rows import EVERYTHING, NOTHING, RowFilter
from chartloop.kernel.access.subject import Subject


def compile_filter(node: Node, subject: Subject, *, version_labels: bool = False) -> RowFilter:
    """Compile a folded expression.

    Args:
        node: Expression whose type is already known.
        subject: Whose grants are looked for.
        version_labels: Also look at the labels of the version under alias {v}; a row then carries the union of both.

    Raises:
        UnsupportedError: There is no exact SQL for an operator. Nothing is guessed.
    """
    if isinstance(node, Const) and isinstance(node.value, bool):
        return EVERYTHING if node.value else NOTHING
    if isinstance(node, Attr) and node.name in FACTS:
        return compile_fact(node.name, subject, version_labels=version_labels)
    if not isinstance(node, Op):
        message = "condition that is not boolean"
        raise UnsupportedError(message)
    if node.name in {"&&", "||"}:
        return _joined(node, subject, version_labels=version_labels)
    if node.name == "!":
        inner = compile_filter(node.args[0], subject, version_labels=version_labels)
        return RowFilter(f"NOT ({inner.sql})", inner.params)
    if _is_labels(node):
        return _labels(node, version_labels=version_labels)
    if node.name == "containsAny" and node.args[0] == Attr(MARKS):
        return _marks(node.args[1], version_labels=version_labels)
    return _strings(node)


def _joined(node: Op, subject: Subject, *, version_labels: bool) -> RowFilter:
    parts = [compile_filter(arg, subject, version_labels=version_labels) for arg in node.args]
    word = " AND " if node.name == "&&" else " OR "
    required = {each for part in parts for each in part.requires if node.name == "&&" or all(each in other.requires for other in parts)}
    sql = "(" + word.join(part.sql for part in parts) + ")"
    return RowFilter(sql, tuple(param for part in parts for param in part.params), tuple(sorted(required)))


def _is_labels(node: Op) -> bool:
    return bool(node.args) and node.args[0] == Attr(LABELS_ATTRIBUTE)


def _labels(node: Op, *, version_labels: bool) -> RowFilter:
    if node.name == "isEmpty":
        exists = _exists(None, version_labels=version_labels)
        return RowFilter(f"NOT ({exists.sql})", ())
    other = node.args[1]
    if not isinstance(other, Const):
        message = f"labels.{node.name} with something that is not a literal"
        raise UnsupportedError(message)
    if node.name == "contains" and isinstance(other.value, str):
        return _exists((_number(other.value),), version_labels=version_labels)
    if not isinstance(other.value, frozenset) or node.name not in {"containsAny", "containsAll"}:
        message = f"labels.{node.name} cannot be compiled"
        raise UnsupportedError(message)
    numbers = tuple(sorted(_number(code) for code in other.value))
    if node.name == "containsAny":
        return _exists(numbers, version_labels=version_labels)
    parts = [_exists((number,), version_labels=version_labels) for number in numbers]
    return RowFilter("(" + " AND ".join(part.sql for part in parts) + ")", tuple(param for part in parts for param in part.params))


def _marks(wanted: Node, *, version_labels: bool) -> RowFilter:
    """The current version holds one of these codes; of others the index says nothing, so they are not granted."""
    if not isinstance(wanted, Const) or not isinstance(wanted.value, frozenset) or not wanted.value:
        message = "marks with something that is not a literal"
        raise UnsupportedError(message)
    parts = [_mark(*mark.split(":", 2)) for mark in sorted(wanted.value)]
    held = " OR ".join(part.sql for part in parts)
    # A scalar subquery, because PostgreSQL would turn EXISTS into a join over everything that holds the code.
    found = f"COALESCE((SELECT 1 FROM idx_token x WHERE x.rank = {{r}}.rank AND x.rid = {{r}}.rid AND ({held}) LIMIT 1), 0) = 1"
    params = tuple(param for part in parts for param in part.params)
    return RowFilter(f"({{v}}.version = {{r}}.version AND {found})" if version_labels else f"({found})", params)


def _mark(param: str, value: str, word: str | None = None) -> RowFilter:
    if word is None:
        return RowFilter("(x.param = ? AND x.value = ?)", (int(param), int(value)))
    words = "SELECT w.value FROM vocabulary w WHERE w.param = ? AND w.kind = ? AND w.word = ?"
    return RowFilter(f"(x.param = ? AND x.value IN ({words}))", (int(param), int(param), int(value), word))


def _number(code: str) -> int:
    number = LABELS.get(code)
    if number is None:
        message = f"policy names {code}, which is no label"
        raise UnsupportedError(message)
    return number


def _exists(numbers: tuple[int, ...] | None, *, version_labels: bool) -> RowFilter:
    """A row carries one of these labels, or any label at all."""
    choice = "" if numbers is None else f" AND x.label IN ({', '.join('?' * len(numbers))})"
    # PostgreSQL would turn EXISTS into a join with all labels, however few rows are asked about; and it takes `= 1` to be rare, NOT of it not.
    current = f"COALESCE((SELECT 1 FROM resource_label x WHERE x.rid = {{r}}.rid{choice} LIMIT 1), 0) = 1"
    if not version_labels:
        return RowFilter(current, numbers or ())
    of_version = f"EXISTS (SELECT 1 FROM version_label x WHERE x.rid = {{v}}.rid AND x.version = {{v}}.version{choice})"
    return RowFilter(f"({current} OR {of_version})", (numbers or ()) * 2)


def _strings(node: Op) -> RowFilter:
    left, right = node.args[0], node.args[1] if len(node.args) > 1 else None
    if node.name == "==" and right is not None:
        return _equal(left, right)
    if node.name == "contains" and isinstance(left, Const) and isinstance(left.value, frozenset) and _is_string(right):
        values = tuple(sorted(left.value))
        return RowFilter(f"{_column(right)} IN ({', '.join('?' * len(values))})", values)
    if node.name == "like" and _is_string(left) and isinstance(right, Const):
        # LIKE folds case on SQLite and not on PostgreSQL; substr does neither.
        return RowFilter(f"substr({_column(left)}, 1, {len(str(right.value))}) = ?", (right.value,))
    message = f"operator {node.name} cannot be compiled for these operands"
    raise UnsupportedError(message)


def _is_string(node: Node | None) -> bool:
    return isinstance(node, Attr) and node.name in STRINGS - {"type"}


def _column(node: Node | None) -> str:
    """A column as text that is never NULL: a missing value is the empty string, as in the policies."""
    name = node.name if isinstance(node, Attr) else ""
    return f"coalesce({{r}}.{name}, '')"


def _equal(left: Node, right: Node) -> RowFilter:
    if _is_string(left) and _is_string(right):
        return RowFilter(f"{_column(left)} = {_column(right)}", ())
    attr, const = (left, right) if _is_string(left) else (right, left)
    if not isinstance(attr, Attr) or not _is_string(attr) or not isinstance(const, Const) or not isinstance(const.value, str):
        message = "== cannot be compiled for these operands"
        raise UnsupportedError(message)
    if const.value == "":
        return RowFilter(f"{_column(attr)} = ?", ("",))
    # Two-valued and still served by an index on the column.
    return RowFilter(f"({{r}}.{attr.name} IS NOT NULL AND {{r}}.{attr.name} = ?)", (const.value,), ((attr.name, const.value),))
