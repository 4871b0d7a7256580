"""_security: the labels of a resource, those in its stored body and the sensitivity labels beside it.

Sensitivity labels stand in a table of their own, and `$meta` shows them to who sees all of a resource. A search by them is
answered to the same readers: of a type of which no policy hides any element from them, in any row; to others it is refused.
What rows they find is filtered as ever, so that a label is never learned of a row that is hidden.
Spec: https://hl7.org/fhir/R4/search.html#security
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from chartloop.kernel.access.labels import LABELS, SYSTEM
from fhir_server.search.params import SearchParam
from fhir_server.search.values import Token

if TYPE_CHECKING:
    from fhir_server.search.tree import Criterion

_CODE: Final = "_security"
_BESIDE: Final = "$labels"
"""Stands for what is beside the body: on no list of elements, so that only who sees everything may look at it."""


def is_security(param: SearchParam) -> bool:
    """Whether a parameter reads labels."""
    return param.code == _CODE and param.id > 0


def with_labels(param: SearchParam) -> SearchParam:
    """Let `_security` say that it reads more than elements."""
    return replace(param, paths=(*param.paths, _BESIDE)) if is_security(param) and _BESIDE not in param.paths else param


def labelled(criterion: Criterion, hashes: Sequence[int]) -> tuple[str, tuple[object, ...]]:
    """Write the probe over alias r: of any label, or of those that are named."""
    if criterion.missing is not None:
        body, beside = "SELECT t.rid FROM idx_token t WHERE t.param = ?", "SELECT 1 FROM resource_label l WHERE l.rid = r.rid"
        sql, params = f"(r.rid IN ({body}) OR EXISTS ({beside}))", (criterion.param.id,)
        return (f"NOT {sql}" if criterion.missing else sql), params
    body = f"t.rank = r.rank AND t.rid = r.rid AND t.param = ? AND t.value IN ({_marks(hashes)})"
    numbers = _numbers(criterion)
    found = f"EXISTS (SELECT 1 FROM idx_token t WHERE {body})"
    if numbers:
        found = f"({found} OR EXISTS (SELECT 1 FROM resource_label l WHERE l.rid = r.rid AND l.label IN ({_marks(numbers)})))"
    return f"NOT {found}" if criterion.modifier == "not" else found, (criterion.param.id, *hashes, *numbers)


def labelled_rows(criterion: Criterion, hashes: Sequence[int]) -> tuple[str, str, tuple[object, ...]]:
    """Write the rows (alias d) that find labelled resources: table, condition, parameters."""
    numbers = _numbers(criterion)
    body = f"SELECT t.rid FROM idx_token t WHERE t.param = ? AND t.value IN ({_marks(hashes)})"
    beside = f" UNION ALL SELECT l.rid FROM resource_label l WHERE l.label IN ({_marks(numbers)})" if numbers else ""
    return f"({body}{beside})", "1 = 1", (criterion.param.id, *hashes, *numbers)


def _numbers(criterion: Criterion) -> list[int]:
    """List the numbers of the sensitivity labels that are named."""
    codes = {value.code or "" for value in criterion.values if isinstance(value, Token) and value.system in (None, SYSTEM)}
    return sorted(LABELS[code] for code in codes if code in LABELS)


def _marks(values: Sequence[int]) -> str:
    return ", ".join("?" * len(values))
