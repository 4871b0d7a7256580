"""Search query string to syntax tree; pure, and everything that is not built is refused by name.

Spec: https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl

from chartloop.kernel.errors import Invalid, Issue
from fhir_server import search_values
from fhir_server.search_params import SearchParam
from fhir_server.search_values import Value
from fhir_server.subset_query import SUMMARIES, Subset, element_names, problem

MAX_COUNT: Final = 1000
DEFAULT_COUNT: Final = 50
MAX_VALUES: Final = 1000
MAX_CRITERIA: Final = 50
MAX_SORT_KEYS: Final = 3
MAX_TEXT: Final = 200
"""Longest string value; what is indexed of a string is as long."""

CURSOR: Final = "_cursor"
"""Our own parameter: the signed position of a page link."""

MODIFIERS: Final[Mapping[str, frozenset[str]]] = {
    "token": frozenset({"", "not"}),
    "string": frozenset({"", "exact", "contains"}),
    "reference": frozenset({""}),
    "date": frozenset({""}),
    "quantity": frozenset({""}),
    "number": frozenset({""}),
    "uri": frozenset({""}),
}
SORTABLE: Final = frozenset({"date", "string"})
PARAMETERS_OF_RESULTS: Final = frozenset(
    {"_sort", "_count", "_include", "_revinclude", "_total", "_summary", "_elements", "_format", "_pretty", CURSOR}
)

ID: Final = SearchParam(id=-1, code="_id", type="token", targets=(), paths=("id",))
LAST_UPDATED: Final = SearchParam(id=-2, code="_lastUpdated", type="date", targets=(), paths=("meta.lastUpdated",))
OF_EVERY_TYPE: Final[Mapping[str, SearchParam]] = {"_id": ID, "_lastUpdated": LAST_UPDATED}


@dataclass(frozen=True, slots=True)
class Criterion:
    """One parameter with its alternatives; criteria are joined by AND, values by OR."""

    param: SearchParam
    values: tuple[Value, ...]
    modifier: str = ""
    missing: bool | None = None


class SortKey(NamedTuple):
    """One key of `_sort`."""

    param: SearchParam
    descending: bool


class Include(NamedTuple):
    """`Source:param[:Target]`."""

    source: str
    param: SearchParam
    target: str


@dataclass(slots=True)
class Query:
    """A parsed search."""

    type: str
    criteria: list[Criterion] = field(default_factory=list)
    sort: list[SortKey] = field(default_factory=list)
    count: int = DEFAULT_COUNT
    total: str = "none"
    summary: str = "false"
    elements: frozenset[str] = frozenset()
    includes: list[Include] = field(default_factory=list)
    revincludes: list[Include] = field(default_factory=list)
    cursor: str = ""
    ignored: list[str] = field(default_factory=list)
    pairs: list[tuple[str, str]] = field(default_factory=list)

    @property
    def subset(self) -> Subset:
        """The part of each match that is asked for."""
        return Subset("false" if self.summary == "count" else self.summary, self.elements)

    def paths(self) -> list[str]:
        """Element paths that this search filters or sorts the type on."""
        params = [criterion.param for criterion in self.criteria] + [key.param for key in self.sort]
        return [path for param in params for path in param.paths]


NOT_SEARCHABLE: Final = frozenset({"_security"})
"""Labels are in no stored body, and a search on them would disclose them."""

ParamsOf = Callable[[str], Mapping[str, SearchParam]]


def searchable_params(type_: str, params_of: ParamsOf) -> dict[str, SearchParam]:
    """Search parameters of a type by code."""
    params = {**params_of(type_), **OF_EVERY_TYPE}
    return {code: param for code, param in params.items() if code not in NOT_SEARCHABLE and param.type in MODIFIERS}


def parse(type_: str, query: str, params_of: ParamsOf, *, base: str = "", lenient: bool = False) -> Query:
    """Parse a query string.

    Raises:
        Invalid: Unknown parameters (unless lenient), modifiers that are not built, or malformed values, all of them.
    """
    parser = _Parser(type_, params_of, base, lenient)
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=False, errors="strict", max_num_fields=200)
    except (ValueError, UnicodeDecodeError) as error:
        raise Invalid(issues=(Issue("error", "invalid", "The query string cannot be read."),)) from error
    if any("\x00" in text for pair in pairs for text in pair):  # no FHIR string holds it, and PostgreSQL takes none
        raise Invalid(issues=(Issue("error", "invalid", "The query string contains the character U+0000."),))
    for name, value in pairs:
        parser.take(name, value)
    if parser.query.elements and parser.query.summary not in ("false", "count"):
        parser.issues.append(problem(type_, ""))
    if parser.issues:
        raise Invalid(issues=tuple(parser.issues))
    return parser.query


class _Parser:
    def __init__(self, type_: str, params_of: ParamsOf, base: str, lenient: bool) -> None:
        self.query = Query(type_)
        self.issues: list[Issue] = []
        self._params_of = params_of
        self._params = searchable_params(type_, params_of)
        self._base = base
        self._lenient = lenient

    def refuse(self, code: str, text: str, name: str) -> None:
        self.issues.append(Issue("error", code, text, f"http.{name[:64]}"))

    def take(self, name: str, value: str) -> None:
        if name in PARAMETERS_OF_RESULTS:
            if name not in ("_format", "_pretty", CURSOR):
                self.query.pairs.append((name, value))
            self._result(name, value)
            return
        code, _, modifier = name.partition(":")
        param = self._params.get(code)
        if param is None:
            self._unknown(name)
            return
        self.query.pairs.append((name, value))
        if len(self.query.criteria) >= MAX_CRITERIA:
            self.refuse("too-costly", f"A search has at most {MAX_CRITERIA} criteria.", name)
            return
        self._criterion(name, param, modifier, value)

    def _unknown(self, name: str) -> None:
        if self._lenient:
            self.query.ignored.append(name)
            return
        what = "Chained parameters are" if "." in name or name.startswith("_has") else f"Parameter {name[:64]!r} is"
        self.refuse("not-supported", f"{what} not supported for {self.query.type}.", name)

    def _criterion(self, name: str, param: SearchParam, modifier: str, value: str) -> None:
        if modifier == "missing":
            if param in OF_EVERY_TYPE.values():
                self.refuse("not-supported", f"{param.code} is never missing.", name)
            elif value not in ("true", "false"):
                self.refuse("value", f"{name} takes true or false.", name)
            self.query.criteria.append(Criterion(param, (), missing=value == "true"))
            return
        if modifier == "identifier" and param.type == "reference":
            # The identifier of a reference is indexed as a token of the same parameter.
            param, modifier = replace(param, type="token", code="identifier"), ""
        of_type = modifier if param.type == "reference" and modifier in (param.targets or (modifier,)) else ""
        if modifier not in MODIFIERS[param.type] and not (of_type and of_type[:1].isupper()):
            self.refuse("not-supported", f"Modifier :{modifier[:32]} is not supported for {param.code}.", name)
            return
        parts = search_values.split(value, ",")
        if len(parts) > MAX_VALUES:
            self.refuse("too-costly", f"A parameter has at most {MAX_VALUES} values.", name)
            return
        values = [self._value(param, of_type, part) for part in parts]
        if None in values:
            position = values.index(None) + 1
            self.refuse("value", f"Value {position} of {param.code} is not a valid {param.type}.", name)
            return
        self.query.criteria.append(
            Criterion(param, tuple(each for each in values if each is not None), "" if of_type else modifier)
        )

    def _value(self, param: SearchParam, of_type: str, text: str) -> Value | None:
        if param.type == "token":
            return search_values.token(text, system_alone=param.code == "identifier")
        if param.type == "date":
            return search_values.date(text)
        if param.type in ("quantity", "number"):
            return search_values.amount(text)
        if param.type == "reference":
            found = search_values.reference(text, self._base)
            if found is not None and of_type:
                return found._replace(type=of_type) if found.type in ("", of_type) and found.id else None
            return found
        plain = search_values.unescape(text)
        return search_values.Text(plain) if plain and len(plain) <= MAX_TEXT else None

    def _result(self, name: str, value: str) -> None:
        if name == "_count":
            self._count(value)
        elif name == "_sort":
            self._sort(value)
        elif name in ("_include", "_revinclude"):
            self._include(name, value)
        elif name == "_total":
            self._one_of(name, value, ("none", "accurate"))
            self.query.total = value
        elif name == "_summary":
            self.query.summary = value if value in (*SUMMARIES, "count") else self._refused(name)
        elif name == "_elements":
            self.query.elements |= element_names(self.query.type, value) or self._refused(name)
        elif name == "_format":
            self._one_of(name, value, ("json", "application/json", "application/fhir+json", "application/fhir json"))
        elif name == CURSOR:
            self.query.cursor = value

    def _refused(self, name: str) -> Any:
        self.issues.append(problem(self.query.type, name))
        return "false" if name == "_summary" else frozenset()

    def _one_of(self, name: str, value: str, allowed: tuple[str, ...]) -> None:
        if value not in allowed:
            self.refuse("not-supported", f"{name} takes {' or '.join(allowed[:2])}.", name)

    def _count(self, value: str) -> None:
        if not value.isascii() or not value.isdigit() or len(value) > 10:
            self.refuse("value", "_count is a whole number.", "_count")
            return
        self.query.count = min(int(value), MAX_COUNT)

    def _sort(self, value: str) -> None:
        for key in value.split(","):
            descending, code = key.startswith("-"), key.lstrip("-")
            param = self._params.get(code)
            if param is None or (param.type not in SORTABLE and param is not ID):
                self.refuse("not-supported", f"Sorting {self.query.type} by {code[:64]!r} is not supported.", "_sort")
            else:
                self.query.sort.append(SortKey(param, descending))
        if len(self.query.sort) > MAX_SORT_KEYS:
            self.refuse("too-costly", f"_sort takes at most {MAX_SORT_KEYS} keys.", "_sort")

    def _include(self, name: str, value: str) -> None:
        parts = value.split(":")
        source, code, target = (*parts, "", "")[:3]
        param = self._params_of(source).get(code) if len(parts) in (2, 3) else None
        if param is None or param.type != "reference" or (target and param.targets and target not in param.targets):
            self.refuse("not-supported", f"{name} takes Source:parameter or Source:parameter:Target.", name)
        elif name == "_include" and source != self.query.type:
            self.refuse("not-supported", f"_include starts at {self.query.type}.", name)
        elif name == "_include":
            self.query.includes.append(Include(source, param, target))
        elif target and target != self.query.type:
            self.refuse("not-supported", f"_revinclude ends at {self.query.type}.", name)
        else:
            self.query.revincludes.append(Include(source, param, target))
