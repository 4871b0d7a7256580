"""Search strings that must find a resource, made from the values a parameter reads; written without the server's code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from typing import Any

_CONTACTS = {"phone", "fax", "email", "pager", "url", "sms", "other"}
_PARTS = ("text", "family", "given", "prefix", "suffix", "line", "city", "district", "state", "postalCode", "country")
_LONGEST = 200
"""A search string is as long as this at most."""

Asked = tuple[str, str]
"""Modifier with its colon, and value."""


def escaped(text: str) -> str:
    """A value with what separates values escaped."""
    return re.sub(r"([\\,|$])", r"\\\1", text)


def asked(kind: str, value: Any) -> Iterator[Asked]:
    """(modifier, value) pairs of one parameter that must find a resource with this value; nothing for what cannot be asked for."""
    kinds = {"token": _token, "string": _string, "uri": _string, "date": _date, "reference": _reference, "quantity": _quantity, "number": _number,
             "special": _place}  # fmt: skip
    yield from kinds[kind](value)


def combined(components: list[tuple[str, str]], group: dict[str, Any], resource: dict[str, Any]) -> Iterator[Asked]:
    """The same for a composite: (kind, expression) of each component, and one group of it."""
    parts = [
        [text for value in _inside(expression, group, resource) for modifier, text in asked(kind, value) if not modifier] for kind, expression in components
    ]
    yield from (("", "$".join(combination)) for combination in product(*parts))


def _inside(expression: str, group: dict[str, Any], resource: dict[str, Any]) -> Iterator[Any]:
    """Values of `code`, `value.as(Type) | ...`, `%resource.a.b`."""
    for path in expression.split(" | "):
        place, names = (resource, path.removeprefix("%resource.")) if path.startswith("%") else (group, path)
        if found := re.fullmatch(r"(\w+)\.as\((\w+)\)", names):
            names = found[1] + found[2][0].upper() + found[2][1:]
        elif names == "value":
            names = next((name for name in group if name.startswith("value")), names)
        for name in names.split("."):
            place = place.get(name, {})
        if place != {}:
            yield place


def _token(value: Any) -> Iterator[Asked]:
    if isinstance(value, bool):
        yield "", str(value).lower()
    elif isinstance(value, str):
        yield "", escaped(value)
    elif "coding" in value:
        for coding in value["coding"]:
            yield from _token(coding)
    elif value.get("system") in _CONTACTS or ("value" in value and "code" not in value):
        yield from _coded("" if value.get("system") in _CONTACTS else value.get("system", ""), value.get("value"))
    else:
        yield from _coded(value.get("system", ""), value.get("code"))


def _coded(system: str, code: str | None) -> Iterator[Asked]:
    if code:
        yield "", escaped(code)
        yield "", f"{escaped(system)}|{escaped(code)}"


def _string(value: Any) -> Iterator[Asked]:
    parts = [value] if isinstance(value, str) else [text for name in _PARTS for text in _listed(value.get(name))]
    for text in parts:
        if text and text.strip() and len(text) <= _LONGEST:
            yield "", escaped(text)


def _listed(value: Any) -> list[str]:
    return [] if value is None else [value] if isinstance(value, str) else [text for text in value if text]


def _date(value: Any) -> Iterator[Asked]:
    if isinstance(value, str):
        yield "", value
        yield "", f"ge{value}"
        yield "", f"le{value}"
    elif "event" in value:
        for moment in value["event"]:
            yield "", f"ge{moment}"
    else:
        if "start" in value:
            yield "", f"ge{value['start']}"
        if "end" in value:
            yield "", f"le{value['end']}"


def _reference(value: Any) -> Iterator[Asked]:
    text = value if isinstance(value, str) else value.get("reference", "")
    if text and not text.startswith("#"):
        yield "", escaped(text)
    if isinstance(value, str):
        return
    if found := re.fullmatch(r"[A-Z]\w+/([A-Za-z0-9.\-]+)", text):
        yield "", found[1]
    identifier = value.get("identifier", {})
    if identifier.get("value"):
        yield ":identifier", f"{escaped(identifier.get('system', ''))}|{escaped(identifier['value'])}"


def _quantity(value: Any) -> Iterator[Asked]:
    if "currency" in value and "value" in value:
        yield "", f"{value['value']}|urn:iso:std:iso:4217|{value['currency']}"
    elif "value" in value and "comparator" not in value:
        yield "", str(value["value"])
        if "code" in value and "system" in value:
            yield "", f"{value['value']}|{escaped(value['system'])}|{escaped(value['code'])}"
            yield "", f"{value['value']}||{escaped(value['code'])}"
            yield "", f"ap{value['value']}|{escaped(value['system'])}|{escaped(value['code'])}"
        if "unit" in value:
            yield "", f"{value['value']}||{escaped(value['unit'])}"


def _number(value: Any) -> Iterator[Asked]:
    if isinstance(value, dict):
        for end in ("low", "high"):
            if "value" in value.get(end, {}):
                yield "", f"{'ge' if end == 'low' else 'le'}{value[end]['value']}"
    else:
        yield "", str(value)


def _place(value: Any) -> Iterator[Asked]:
    yield "", f"{value['latitude']}|{value['longitude']}|1|m"
