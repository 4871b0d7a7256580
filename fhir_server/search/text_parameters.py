"""`_text` and `_content`: words of the narrative, and words of the whole resource.

They look at every element, so they are refused to readers from whom any element of the type is hidden in some row.
Spec: https://hl7.org/fhir/R4/search.html#text, https://hl7.org/fhir/R4/search.html#content
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Final

from chartloop.kernel.errors import Invalid
from fhir_server.search.params import SearchParam
from fhir_server.search.text_syntax import TextError, TextNode, fts5, has_prefix, read_text_query, tsquery
from fhir_server.search.tree import Criterion, Junction, Node, Query
from fhir_server.search.values import WordQuery
from fhir_server.spec.definitions import r4

KIND: Final = "text"
"""A kind of its own: a string parameter in the specification, but none that can be sorted by."""

TEXT: Final = SearchParam(id=-3, code="_text", type=KIND, targets=(), paths=("*",))
CONTENT: Final = SearchParam(id=-4, code="_content", type=KIND, targets=(), paths=("*",))
"""The path is on no list of elements that a reader sees."""

_OFF: Final = "_text and _content are switched off here: the setting fhir.full_text keeps the index that they need."


@cache
def text_params(type_: str) -> dict[str, SearchParam]:
    """Parameters of a type; what is no DomainResource has no narrative."""
    narrative = any(element.name == "text" for element in r4().elements(type_))
    return {"_content": CONTENT, **({"_text": TEXT} if narrative else {})}


def read_text(param: SearchParam, modifier: str, parts: list[str]) -> Criterion | tuple[str, str]:
    """Read one parameter whose alternatives are these; else an issue code and why not."""
    if modifier:
        return "not-supported", f"Modifier :{modifier[:32]} is not supported for {param.code}."
    found: list[TextNode] = []
    for place, part in enumerate(parts, start=1):
        try:
            found.append(read_text_query(part))
        except TextError as error:
            return "value", f"Value {place} of {param.code} is no text to search for: {error}."
    return Criterion(param, tuple(WordQuery(node) for node in found))


def require_full_text(query: Query, *, built: bool) -> None:
    """Refuse a search for words where their index is switched off."""
    if built:
        return
    nodes: list[Node] = [*query.criteria, *query.chains, *query.junctions]
    for node in nodes:
        if any(each.param.type == KIND for each in _criteria(node)):
            raise Invalid(_OFF, code="not-supported")


def _criteria(node: Node) -> Iterator[Criterion]:
    if isinstance(node, Criterion):
        yield node
    else:
        for part in node.parts if isinstance(node, Junction) else [branch.inner for branch in node.branches]:
            yield from _criteria(part)


def text_condition(criterion: Criterion, dialect: str) -> tuple[str, tuple[object, ...]]:
    """Write the probe of a row r; it looks at that row alone where it can."""
    wanted = _wanted(criterion, dialect)
    if dialect == "postgresql":
        # A scalar subquery: PostgreSQL would turn EXISTS into a join over everything that has these words.
        return f"COALESCE((SELECT t.{_column(criterion)} @@ CAST(? AS tsquery) FROM idx_text t WHERE t.rid = r.rid), FALSE)", (wanted,)
    if any(has_prefix(value.root) for value in criterion.values if isinstance(value, WordQuery)):
        # All words that begin so are gathered before any row is looked at: once, not for every row.
        return "r.rid IN (SELECT t.rowid FROM idx_text t WHERE t.idx_text MATCH ?)", (wanted,)
    return "EXISTS (SELECT 1 FROM idx_text t WHERE t.rowid = r.rid AND t.idx_text MATCH ?)", (wanted,)


def text_rows(criterion: Criterion, dialect: str) -> tuple[str, str, tuple[object, ...]]:
    """Write table, condition and parameters of the rows (alias d) that have these words."""
    wanted = _wanted(criterion, dialect)
    if dialect == "postgresql":
        return "idx_text", f"d.{_column(criterion)} @@ CAST(? AS tsquery)", (wanted,)
    return "(SELECT t.rowid AS rid FROM idx_text t WHERE t.idx_text MATCH ?)", "1 = 1", (wanted,)


def _wanted(criterion: Criterion, dialect: str) -> str:
    nodes = [value.root for value in criterion.values if isinstance(value, WordQuery)]
    if dialect == "postgresql":
        return " | ".join(map(tsquery, nodes))
    every = " OR ".join(map(fts5, nodes))
    return f"{{narrative}} : ({every})" if criterion.param is TEXT else every


def _column(criterion: Criterion) -> str:
    return "narrative" if criterion.param is TEXT else "words"
