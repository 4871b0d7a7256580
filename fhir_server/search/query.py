"""Search query string to syntax tree; pure, and everything that is not built is refused by name.

Spec: https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from collections.abc import Collection, Container
from typing import Any, Final
from urllib.parse import parse_qsl

from chartloop.kernel.errors import Invalid, Issue
from fhir_server.media_types import NAMES, wanted_format
from fhir_server.search.chains import read_parameter
from fhir_server.search.criteria import ParamsOf, Refusal, searchable_params
from fhir_server.search.filters import FILTER, read_filter
from fhir_server.search.include_syntax import INCLUDES, read_include
from fhir_server.search.security import is_security
from fhir_server.search.tree import Chain, Criterion, Junction, Node, Query, SortKey
from fhir_server.search.whole_syntax import OF_THE_WHOLE, read_whole
from fhir_server.subset_query import SUMMARIES, element_names, problem

MAX_COUNT: Final = 1000
MAX_CRITERIA: Final = 50
MAX_CHAINS: Final = 8
MAX_SORT_KEYS: Final = 3

CURSOR: Final = "_cursor"
"""Our own parameter: the signed position of a page link."""

_ORDERED: Final = frozenset({"token", "string", "date", "reference", "quantity", "uri", "number"})
_UNORDERED: Final = {"_score": "there is no score here", "_security": "labels have no order"}
PARAMETERS_OF_RESULTS: Final = frozenset({"_sort", "_count", "_total", "_summary", "_elements", "_format", "_pretty", CURSOR, *INCLUDES})
ONCE: Final = frozenset({"_count", "_total", "_summary"})
"""Of two values one would be ignored."""


def parse(
    type_: str,
    query: str,
    params_of: ParamsOf,
    *,
    base: str = "",
    lenient: bool = False,
    filling: Container[str] = (),
    among: Collection[str] = (),
) -> Query:
    """Parse a query string.

    Args:
        type_: Resource type.
        query: What a client sent.
        params_of: Search parameters by type.
        base: Addresses below it are our own.
        lenient: Ignore unknown parameters.
        filling: Codes of parameters that are being indexed.
        among: The types that are searched together, if there are others.

    Raises:
        Invalid: Unknown parameters (unless lenient), modifiers that are not built, or malformed values, all of them.
    """
    parser = _Parser(type_, params_of, base, lenient, filling, among or (type_,))
    for name, value in pairs_of(query):
        parser.take(name, value)
    if parser.query.elements and parser.query.summary not in ("false", "count"):
        parser.issues.append(problem(type_, ""))
    if parser.issues:
        raise Invalid(issues=tuple(parser.issues))
    return parser.query


def _count(node: Node, kind: type[Criterion | Chain]) -> int:
    if isinstance(node, Junction):
        return sum(_count(part, kind) for part in node.parts)
    return int(isinstance(node, kind))


def pairs_of(query: str) -> list[tuple[str, str]]:
    """Split a query string.

    Raises:
        Invalid: It cannot be read.
    """
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=False, errors="strict", max_num_fields=200)
    except (ValueError, UnicodeDecodeError) as error:
        raise Invalid(issues=(Issue("error", "invalid", "The query string cannot be read."),)) from error
    if any("\x00" in text for pair in pairs for text in pair):  # no FHIR string holds it, and PostgreSQL takes none
        raise Invalid(issues=(Issue("error", "invalid", "The query string contains the character U+0000."),))
    return pairs


class _Parser:
    def __init__(self, type_: str, params_of: ParamsOf, base: str, lenient: bool, filling: Container[str], among: Collection[str]) -> None:
        self.query = Query(type_)
        self.issues: list[Issue] = []
        self._params_of = params_of
        self._params = searchable_params(type_, params_of)
        self._base = base
        self._lenient = lenient
        self._criteria = 0
        self._chains = 0
        self._filling = filling
        self._among = among

    def refuse(self, code: str, text: str, name: str) -> None:
        self.issues.append(Issue("error", code, text, f"http.{name[:64]}"))

    def take(self, name: str, value: str) -> None:
        if name in PARAMETERS_OF_RESULTS:
            if name in ONCE and any(name == before for before, _ in self.query.pairs):
                self.refuse("value", f"{name} is said once.", name)
            if name not in ("_pretty", CURSOR):
                self.query.pairs.append((name, value))
            self._result(name, value)
            return
        if name in OF_THE_WHOLE:
            self._whole(name, value)
            return
        read_one = read_filter if name == FILTER else read_parameter
        read = read_one(self.query.type, name, value, self._params_of, self._base)
        if read is None:
            self._unknown(name)
            return
        self.query.pairs.append((name, value))
        if isinstance(read, Refusal):
            self.refuse(*read, name)
        else:
            self._add(read, name)

    def _add(self, node: Node, name: str) -> None:
        self._criteria += _count(node, Criterion)
        self._chains += _count(node, Chain)
        if self._criteria > MAX_CRITERIA:
            self.refuse("too-costly", f"A search has at most {MAX_CRITERIA} criteria.", name)
        elif self._chains > MAX_CHAINS:
            self.refuse("too-costly", f"A search has at most {MAX_CHAINS} chained parameters.", name)
        else:
            self.query.add(node)

    def _unknown(self, name: str) -> None:
        if name.partition(".")[0].partition(":")[0] in self._filling:
            self.refuse("not-supported", f"Parameter {name[:64]!r} is being indexed; try again later.", name)
            return
        if self._lenient:
            self.query.ignored.append(name)
            return
        self.refuse("not-supported", f"Parameter {name[:64]!r} is not supported for {self.query.type}.", name)

    def _result(self, name: str, value: str) -> None:
        if name == "_count":
            self._count(value)
        elif name == "_sort":
            self._sort(value)
        elif name in INCLUDES:
            self._include(name, value)
        elif name == "_total":
            self._one_of(name, value, ("none", "estimate", "accurate"))
            self.query.total = value
        elif name == "_summary":
            self.query.summary = value if value in (*SUMMARIES, "count") else self._refused(name)
        elif name == "_elements":
            self.query.elements |= element_names(self.query.type, value) or self._refused(name)
        elif name == "_format":
            self._one_of(name, value, (value,) if wanted_format(value.replace(" ", "+")) else NAMES)
        elif name == CURSOR:
            self.query.cursor = value

    def _refused(self, name: str) -> Any:
        self.issues.append(problem(self.query.type, name))
        return "false" if name == "_summary" else frozenset()

    def _one_of(self, name: str, value: str, allowed: tuple[str, ...]) -> None:
        if value not in allowed:
            self.refuse("not-supported", f"{name} takes {' or '.join(allowed[:3])}.", name)

    def _count(self, value: str) -> None:
        if not value.isascii() or not value.isdigit() or len(value) > 10:
            self.refuse("value", "_count is a whole number.", "_count")
            return
        self.query.count = min(int(value), MAX_COUNT)

    def _whole(self, name: str, value: str) -> None:
        self.query.pairs.append((name, value))
        refusal = read_whole(self.query, name, value)
        if refusal is not None:
            self.refuse(*refusal, name)

    def _sort(self, value: str) -> None:
        for key in value.split(","):
            descending, code = key.startswith("-"), key.removeprefix("-")
            param = self._params.get(code)
            if param is None or is_security(param) or param.type not in _ORDERED:
                reason = _UNORDERED.get(code, "it has no such parameter" if param is None else "its values have no order")
                self.refuse("not-supported", f"{self.query.type} cannot be sorted by {code[:64]!r}: {reason}.", "_sort")
            else:
                self.query.sort.append(SortKey(param, descending))
        if len(self.query.sort) > MAX_SORT_KEYS:
            self.refuse("too-costly", f"_sort takes at most {MAX_SORT_KEYS} keys.", "_sort")

    def _include(self, name: str, value: str) -> None:
        read = read_include(self._among, name, value, self._params_of)
        if isinstance(read, Refusal):
            self.refuse(*read, name)
        else:
            (self.query.includes if name.startswith("_include") else self.query.revincludes).append(read)
