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


def number_matches(prefix: str, text: str, low: Fraction, high: Fraction | None = None, scale: Fraction = Fraction(1)) -> bool:
    """Compare a number, or a range of them; equality is as wide as the search value is precise. Bounds are multiplied by `scale`."""
    high = low if high is None else high
    exact, half = Fraction(text) * scale, Fraction(1, 2) / 10 ** len(text.partition(".")[2]) * scale
    inside = exact - half <= low < exact + half and exact - half <= high < exact + half
    tenth = abs(exact) / 10
    return {
        "eq": inside, "ne": not inside, "gt": high > exact, "lt": low < exact, "ge": high >= exact, "le": low <= exact,
        "sa": low > exact, "eb": high < exact, "ap": low <= exact + tenth and high >= exact - tenth,
    }[prefix]  # fmt: skip


UNITS = {"kg": ("mass", "1000"), "g": ("mass", "1"), "mg": ("mass", "1/1000"), "mg{dry}": ("mass", "1/1000"), "[lb_av]": ("mass", "453.59237"),
         "mm[Hg]": ("pressure", "133322"), "kPa": ("pressure", "1000000"), "/min": ("rate", "1/60"), "{beats}/min": ("rate", "1/60"), "Hz": ("rate", "1")}  # fmt: skip
UCUM = "http://unitsofmeasure.org"
FAR = Fraction(10) ** 400


def quantity_matches(text: str, quantity: Resource) -> bool:
    """Compare `[prefix]number`, `...||unit` and `...|system|code` with a stored Quantity."""
    number, _, unit = text.partition("|")
    system, _, code = unit.partition("|")
    prefix, number = (number[:2], number[2:]) if number[:2].isalpha() else ("eq", number)
    value = Fraction(str(quantity["value"]))
    low, high = value, value
    if quantity.get("comparator"):
        edge = Fraction(1, 10**12) if len(quantity["comparator"]) == 1 else 0
        low, high = (-FAR, value - edge) if quantity["comparator"][0] == "<" else (value + edge, FAR)
    if not code:
        return number_matches(prefix, number, low, high)
    if not system:
        return code in (quantity.get("code"), quantity.get("unit")) and number_matches(prefix, number, low, high)
    if system != quantity.get("system"):
        return False
    mine, its = UNITS.get(code), UNITS.get(quantity["code"])
    if system != UCUM or mine is None or its is None:
        return bool(code == quantity["code"]) and number_matches(prefix, number, low, high)
    return mine[0] == its[0] and number_matches(prefix, number, low, high, Fraction(mine[1]) / Fraction(its[1]))
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
