"""Parameters of a history; what is not built is refused by name.

Spec: https://hl7.org/fhir/R4/http.html#history
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from chartloop.kernel.errors import Invalid, Issue
from fhir_server.indexing.dates import date_bounds
from fhir_server.query_pairs import query_pairs
from fhir_server.search.query import CURSOR, MAX_COUNT
from fhir_server.search.tree import DEFAULT_COUNT


@dataclass(slots=True)
class HistoryQuery:
    """`_count`, `_since` and `_at` in microseconds (`_at` is [low, high)), and the position of a page."""

    count: int = DEFAULT_COUNT
    since: int | None = None
    at: tuple[int, int] | None = None
    cursor: str = ""
    said: str = ""


def parse_history(query: str) -> HistoryQuery:
    """Parse the query string of a history.

    Raises:
        Invalid: Parameters are unknown or malformed, or come twice; all of them are named.
    """
    asked, said, issues = HistoryQuery(), dict[str, str](), []
    for name, value in query_pairs(query, 20):
        if name in said:
            issues.append(Issue("error", "invalid", f"{name[:64]!r} is given twice.", f"http.{name[:64]}"))
        elif not _take(asked, name, value):
            text = f"{name[:64]!r} is not supported here, or its value cannot be read."
            issues.append(Issue("error", "not-supported", text, f"http.{name[:64]}"))
        if name != CURSOR:
            said[name] = value
    if issues:
        raise Invalid(issues=issues)
    asked.said = urlencode(said)
    return asked


def _take(asked: HistoryQuery, name: str, value: str) -> bool:
    if name == "_count":
        good = value.isascii() and value.isdigit() and len(value) < len("10000000000")
        asked.count = max(1, min(int(value), MAX_COUNT)) if good else asked.count
        return good
    if name == CURSOR:
        asked.cursor = value
        return True
    if name not in ("_since", "_at"):
        return name in ("_format", "_pretty")
    bounds = date_bounds(value.replace(" ", "+"))
    if bounds is not None and name == "_since":
        asked.since = bounds[0]
    elif bounds is not None:
        asked.at = bounds
    return bounds is not None
