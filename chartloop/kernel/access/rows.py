"""What a decision sees of a stored row, and the SQL form of a decision over all rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple


@dataclass(frozen=True, slots=True)
class RowAttributes:
    """Attributes of one resource; an empty string or an empty set means there is none.

    Attributes:
        type: Resource type.
        labels: Sensitivity codes (keys of `labels.LABELS`).
        patient: Patient compartment, "Patient/1".
        owner: Task owner or author, as a reference.
        insurer: Insurer of a claim or its answer, "Organization/9".
        id: Its id.
        facts: Attributes of `grants.FACTS` that are true for the subject who asks; the engine fills them in.
        marks: Codes that granular scopes ask for; empty where nobody looked, so that such a scope grants nothing there.
    """

    type: str
    labels: frozenset[str]
    patient: str
    owner: str
    insurer: str
    id: str = ""
    facts: frozenset[str] = frozenset()
    marks: frozenset[str] = frozenset()


class RowFilter(NamedTuple):
    """Boolean SQL over a row of table resource, and its parameters.

    The text holds the placeholder `{r}` for the alias of table resource and, when it was asked for with
    version labels, `{v}` for the alias of the version; parameters are `?`.
    """

    sql: str
    params: tuple[object, ...]
    requires: tuple[tuple[str, str], ...] = ()
    """Attributes that every such row has, with their values: an index may start from them."""


NOTHING: Final = RowFilter("1=0", ())
EVERYTHING: Final = RowFilter("1=1", ())
