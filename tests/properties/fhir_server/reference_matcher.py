"""Whether a value that an expression found matches a search value: one function for each kind, on plain JSON, without the store's code.

Spec: https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, NamedTuple

from tests.properties.fhir_server.brute_force import UCUM, UNITS, date_matches, date_range, number_matches, quantity_matches

BASE = "http://127.0.0.1:8080/fhir/"
NOW = dt.datetime(2026, 11, 22, 8, tzinfo=dt.UTC)
"""The time that the clock of the tests shows."""
PREFIX = re.compile(r"eq|ne|gt|lt|ge|le|sa|eb|ap")
_ALWAYS = (dt.datetime.min.replace(tzinfo=dt.UTC), dt.datetime.max.replace(tzinfo=dt.UTC))


class Found(NamedTuple):
    """A value and its FHIR type."""

    type: str
    value: Any


def unescaped(text: str) -> str:
    """Take the backslashes away."""
    return re.sub(r"\\(.)", r"\1", text)


def split(text: str, mark: str) -> list[str]:
    """Split at a mark that no backslash stands before."""
    return re.split(rf"(?<!\\){re.escape(mark)}", text)


def folded(text: str) -> str:
    """Without case, accents and runs of spaces."""
    plain = "".join(each for each in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(each))
    return " ".join(plain.split())


def strings(found: Found) -> Iterator[str]:
    """The strings of a value."""
    if isinstance(found.value, str):
        yield found.value
    elif found.type in ("HumanName", "Address"):
        for key, part in found.value.items():
            if key not in ("use", "period", "type"):
                yield from [part] if isinstance(part, str) else part


def tokens(found: Found) -> Iterator[tuple[str, str]]:
    """System and code of a value."""
    value = found.value
    if found.type == "CodeableConcept":
        for each in value.get("coding", ()):
            yield each.get("system", ""), each.get("code", "")
    elif found.type == "Coding":
        yield value.get("system", ""), value.get("code", "")
    elif found.type == "Identifier":
        yield value.get("system", ""), value.get("value", "")
    elif found.type == "ContactPoint":
        yield "", value.get("value", "")
    elif isinstance(value, bool):
        yield "", str(value).lower()
    elif isinstance(value, str):
        yield "", value


def texts(found: Found) -> Iterator[str]:
    """Texts beside the codes of a value."""
    concept = found.value.get("type", {}) if found.type == "Identifier" else found.value
    if found.type in ("CodeableConcept", "Identifier") and "text" in concept:
        yield concept["text"]
    codings = [found.value] if found.type == "Coding" else found.value.get("coding", ()) if found.type == "CodeableConcept" else ()
    yield from (each["display"] for each in codings if "display" in each)


def intervals(found: Found) -> Iterator[tuple[dt.datetime, dt.datetime]]:
    """The stretch of time of a value; half open."""
    value = found.value
    if isinstance(value, str):
        yield date_range(value)
    elif found.type == "Period" and value:
        yield date_range(value["start"])[0] if "start" in value else _ALWAYS[0], date_range(value["end"])[1] if "end" in value else _ALWAYS[1]
    elif found.type == "Timing" and value.get("event"):
        ranges = [date_range(each) for each in value["event"]]
        yield min(low for low, _ in ranges), max(high for _, high in ranges)


def matches(kind: str, modifier: str, text: str, found: Found) -> bool:
    """Whether one value is what one search value says; `:not` and `:missing` are said of all values."""
    return {"string": _string, "token": _token, "date": _date, "number": _number, "quantity": _quantity, "reference": _reference, "uri": _uri}[kind](modifier, text, found)


def searchable(kind: str, found: Found) -> bool:
    """Whether there is anything in a value that its kind could search for."""
    if kind == "reference":
        return isinstance(found.value, str) or not {"reference", "identifier"}.isdisjoint(found.value)
    if kind in ("number", "quantity"):
        return not isinstance(found.value, dict) or not {"value", "low", "high"}.isdisjoint(found.value)
    if kind == "token":
        return any(map(any, tokens(found))) or any(texts(found))
    return any(True for _ in {"string": strings, "date": intervals}.get(kind, tokens)(found))


def _string(modifier: str, text: str, found: Found) -> bool:
    said = unescaped(text)
    if modifier == "exact":
        return said in strings(found)
    if modifier == "contains":
        return any(folded(said) in folded(each) for each in strings(found))
    return any(folded(each).startswith(folded(said)) for each in strings(found))


def _token(modifier: str, text: str, found: Found) -> bool:
    parts = [unescaped(each) for each in split(text, "|")]
    if modifier == "text":
        return any(folded(each).startswith(folded(unescaped(text))) for each in texts(found))
    if modifier == "of-type":
        types = found.value.get("type", {}).get("coding", ())
        return found.value["value"] == parts[2] and any([each["system"], each["code"]] == parts[:2] for each in types)
    if len(parts) == 1:
        return any(parts[0] == code for _, code in tokens(found))
    return any(parts[0] == system and parts[1] in (code, "") for system, code in tokens(found))


def _date(_modifier: str, text: str, found: Found) -> bool:
    prefix, said = (text[:2], text[2:]) if PREFIX.match(text) else ("eq", text)
    return any(_in_time(prefix, date_range(said), each) for each in intervals(found)) if prefix != "ap" or found.type in ("Period", "Timing") else date_matches("ap", said, found.value, NOW)


def _in_time(prefix: str, asked: tuple[dt.datetime, dt.datetime], value: tuple[dt.datetime, dt.datetime]) -> bool:
    inside, gap = asked[0] <= value[0] and value[1] <= asked[1], max(asked[0] - NOW, NOW - asked[1], dt.timedelta()) / 10
    return {
        "eq": inside, "ne": not inside, "gt": value[1] > asked[1], "lt": value[0] < asked[0], "ge": value[1] > asked[1] or inside, "le": value[0] < asked[0] or inside,
        "sa": value[0] >= asked[1], "eb": value[1] <= asked[0], "ap": value[0] < asked[1] + gap and value[1] > asked[0] - gap,
    }[prefix]  # fmt: skip


def _number(_modifier: str, text: str, found: Found) -> bool:
    prefix, said = (text[:2], text[2:]) if PREFIX.match(text) else ("eq", text)
    bounds = (found.value["low"]["value"], found.value["high"]["value"]) if isinstance(found.value, dict) else (found.value, found.value)
    return number_matches(prefix, said, Fraction(str(bounds[0])), Fraction(str(bounds[1])))


def _quantity(_modifier: str, text: str, found: Found) -> bool:
    if found.type == "Money":
        return quantity_matches(text, {"value": found.value["value"], "system": "urn:iso:std:iso:4217", "code": found.value["currency"]})
    if found.type == "Range":
        return _range(text, found.value["low"], found.value["high"])
    return quantity_matches(text, found.value)


def _range(text: str, low: dict[str, Any], high: dict[str, Any]) -> bool:
    prefix, said = (text[:2], text[2:]) if PREFIX.match(text) else ("eq", text)
    number, _, unit = said.partition("|")
    system, _, code = unit.partition("|")
    bounds = Fraction(str(low["value"])), Fraction(str(high["value"]))
    mine, its = UNITS.get(code), UNITS.get(low["code"])
    if system == low["system"] == UCUM and mine is not None and its is not None:
        return mine[0] == its[0] and number_matches(prefix, number, *bounds, Fraction(mine[1]) / Fraction(its[1]))
    return unit in ("", f"{low['system']}|{low['code']}", f"|{low['code']}") and number_matches(prefix, number, *bounds)


def _reference(modifier: str, text: str, found: Found) -> bool:
    if isinstance(found.value, str):
        said, version = unescaped(text), found.value.partition("|")[2]
        if modifier == "below":
            return found.value == said or (found.value.partition("|")[0] == said if "|" not in said else f"{said.partition('|')[0]}|{version}" == found.value and f"{version}.".startswith(f"{said.partition('|')[2]}."))
        return said in (found.value, found.value.partition("|")[0])
    if modifier == "identifier":
        return "identifier" in found.value and _token("", text, Found("Identifier", found.value["identifier"]))
    address = found.value.get("reference", "").removeprefix(BASE)
    said = f"{modifier}/{text}" if modifier and "/" not in text else text.removeprefix(BASE)
    if "/" not in said:
        return re.fullmatch(rf"[A-Z][A-Za-z]+/{re.escape(said)}", address) is not None
    return address == said and (not modifier or said.startswith(f"{modifier}/"))


def _uri(modifier: str, text: str, found: Found) -> bool:
    said = unescaped(text)
    if modifier == "below":
        return found.value == said or found.value.startswith(said.rstrip("/") + "/")
    if modifier == "above":
        return found.value == said or said.startswith(found.value.rstrip("/") + "/")
    return bool(found.value == said)
