"""Parameters of $everything, from an address or from a Parameters resource; what is not built is refused by name.

Spec: https://hl7.org/fhir/R4/operation-patient-everything.html
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlencode

from chartloop.kernel.errors import Invalid, Issue
from fhir_server.indexing.dates import date_bounds
from fhir_server.query_pairs import query_pairs
from fhir_server.search.query import CURSOR, MAX_COUNT
from fhir_server.type_ids import TYPE_IDS

_WRITTEN: Final = frozenset({"_format", "_pretty"})
"""How the answer is written; the links repeat the format."""

_CARE_DATES: Final = frozenset({"start", "end"})


@dataclass(slots=True)
class EverythingQuery:
    """What is asked for; times in microseconds, `end` is the first moment after the range."""

    count: int = MAX_COUNT
    since: int | None = None
    start: int | None = None
    end: int | None = None
    types: list[str] = field(default_factory=list)
    """Empty: every type."""
    cursor: str = ""
    said: str = ""


def parse_everything(type_: str, query: str) -> EverythingQuery:
    """Parse a query string.

    Raises:
        Invalid: Parameters are unknown (start and end belong to Patient) or malformed, all of them.
    """
    asked, issues, said = EverythingQuery(), [], []
    for name, value in query_pairs(query):
        if name == CURSOR:
            asked.cursor = value
            continue
        if name in _WRITTEN:
            said += [(name, value)] if name == "_format" else []
            continue
        if name in _CARE_DATES and type_ != "Patient":
            known: bool | None = None
        else:
            known = _take(asked, name, value)
        if known is None:
            issues.append(Issue("error", "not-supported", f"Parameter {name[:64]!r} is not supported here.", f"http.{name[:64]}"))
        elif not known:
            issues.append(Issue("error", "value", f"The value of {name} cannot be read.", f"http.{name}"))
        said.append((name, value))
    if issues:
        raise Invalid(issues=issues)
    asked.said = urlencode(said)
    return asked


def _take(asked: EverythingQuery, name: str, value: str) -> bool | None:
    """Take one parameter; False where its value is malformed, None where there is no such parameter."""
    if name == "_count":
        good = value.isascii() and value.isdigit() and 0 < len(value) < len("10000000000") and int(value) > 0
        asked.count = min(int(value), MAX_COUNT) if good else asked.count
        return good
    if name == "_type":
        wanted = [part.strip() for part in value.split(",")]
        asked.types += wanted
        return all(each in TYPE_IDS for each in wanted)
    if name not in ("_since", "start", "end"):
        return None
    bounds = date_bounds(value.replace(" ", "+"))
    if bounds is None:
        return False
    if name == "_since":
        asked.since = bounds[0]
    elif name == "start":
        asked.start = bounds[0]
    else:
        asked.end = bounds[1]
    return True
