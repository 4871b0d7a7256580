"""Parameters of a history; what is not built is refused by name.

Spec: https://hl7.org/fhir/R4/http.html#history
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from chartloop.kernel.errors import Invalid, Issue
from fhir_server.indexing.dates import date_bounds
from fhir_server.search.query import CURSOR, MAX_COUNT
from fhir_server.search.tree import DEFAULT_COUNT


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    """`_count`, `_since` in microseconds, and the position of a page."""

    count: int
    since: int | None
    cursor: str
    said: str


def parse_history(query: str) -> HistoryQuery:
    """Parse the query string of a history.

    Raises:
        Invalid: A parameter is unknown or malformed.
    """
    count, since, cursor, said = DEFAULT_COUNT, None, "", []
    for name, value in parse_qsl(query, keep_blank_values=True, max_num_fields=20):
        bounds = date_bounds(value.replace(" ", "+")) if name == "_since" else None
        if name == "_count" and value.isascii() and value.isdigit() and len(value) < len("10000000000"):
            count = max(1, min(int(value), MAX_COUNT))
        elif bounds is not None:
            since = bounds[0]
        elif name == CURSOR:
            cursor = value
            continue
        elif name not in ("_format", "_pretty"):
            text = f"{name[:64]!r} is not supported here, or its value cannot be read."
            raise Invalid(issues=(Issue("error", "not-supported", text, f"http.{name[:64]}"),))
        said.append((name, value))
    return HistoryQuery(count, since, cursor, urlencode(said))
