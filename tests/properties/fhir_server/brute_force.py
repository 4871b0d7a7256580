"""What a search must find, decided on plain JSON without any index; written without the server's code."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from fractions import Fraction
from typing import Any

Resource = dict[str, Any]
Range = tuple[dt.datetime, dt.datetime]


def date_range(text: str) -> Range:
    """The half-open range of a date as precise as it is written."""
    if len(text) == 4:
        return dt.datetime(int(text), 1, 1, tzinfo=dt.UTC), dt.datetime(int(text) + 1, 1, 1, tzinfo=dt.UTC)
    if len(text) == 7:
        year, month = map(int, text.split("-"))
        return dt.datetime(year, month, 1, tzinfo=dt.UTC), dt.datetime(year + month // 12, month % 12 + 1, 1, tzinfo=dt.UTC)
    if len(text) == 10:
        start = dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)
        return start, start + dt.timedelta(days=1)
    start = dt.datetime.fromisoformat(text)
    return start, start + (dt.timedelta(milliseconds=1) if "." in text else dt.timedelta(seconds=1))


DATE: dict[str, Callable[[Range, Range], bool]] = {
    "eq": lambda search, value: search[0] <= value[0] and value[1] <= search[1],
    "ne": lambda search, value: not (search[0] <= value[0] and value[1] <= search[1]),
    "gt": lambda search, value: value[1] > search[1],
    "lt": lambda search, value: value[0] < search[0],
    "ge": lambda search, value: value[1] > search[1] or (search[0] <= value[0] and value[1] <= search[1]),
    "le": lambda search, value: value[0] < search[0] or (search[0] <= value[0] and value[1] <= search[1]),
    "sa": lambda search, value: value[0] >= search[1],
    "eb": lambda search, value: value[1] <= search[0],
}


def number_matches(prefix: str, text: str, value: Fraction) -> bool:
    """Compare a number; equality is as wide as the search value is precise."""
    exact = Fraction(text)
    half = Fraction(1, 2) / 10 ** len(text.partition(".")[2])
    return {
        "eq": exact - half <= value <= exact + half, "ne": not exact - half <= value <= exact + half,
        "gt": value > exact, "lt": value < exact, "ge": value >= exact, "le": value <= exact,
    }[prefix]  # fmt: skip


def date_matches(prefix: str, text: str, value: str, now: dt.datetime) -> bool:
    """Compare a date; about it is within a tenth of its distance from now."""
    search, found = date_range(text), date_range(value)
    if prefix != "ap":
        return DATE[prefix or "eq"](search, found)
    gap = max(search[0] - now, now - search[1], dt.timedelta()) / 10
    return found[0] < search[1] + gap and found[1] > search[0] - gap


def tokens(resource: Resource, code: str) -> list[tuple[str, str]]:
    """(system, code) of a token parameter."""
    value = resource.get({"status": "status", "code": "code", "gender": "gender", "identifier": "identifier"}[code])
    if value is None:
        return []
    if isinstance(value, str):
        return [("", value)]
    if isinstance(value, list):
        return [(each.get("system", ""), each["value"]) for each in value]
    return [(each.get("system", ""), each.get("code", "")) for each in value.get("coding", ())]


def text_matches(text: str, resource: Resource) -> bool:
    """Compare the beginning of the texts beside a code, whatever their case and spaces."""
    texts = [resource["code"].get("text", ""), *(each.get("display", "") for each in resource["code"].get("coding", ()))]
    return any(" ".join(each.lower().replace("ö", "o").split()).startswith(" ".join(text.lower().split())) for each in texts)


def of_type_matches(text: str, resource: Resource) -> bool:
    """Compare system, code and value of the types of identifiers."""
    system, code, value = text.split("|")
    return any(
        each["value"] == value and any((its["system"], its["code"]) == (system, code) for its in each.get("type", {}).get("coding", ()))
        for each in resource.get("identifier", ())
    )


def below(url: str, found: list[str]) -> bool:
    """Whether an address is another or begins with it and a slash."""
    return any(each == url or each.startswith(url.rstrip("/") + "/") for each in found)


def token_matches(text: str, found: list[tuple[str, str]]) -> bool:
    """Compare `code`, `|code`, `system|code`, `system|`."""
    system, bar, code = text.rpartition("|")
    if bar and not code:
        return any(system == its for its, _ in found)
    return any(code == each and (not bar or system == its) for its, each in found)
