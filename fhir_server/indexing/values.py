"""Turn one FHIR value into rows of an index: tokens, strings, dates, references, quantities, URIs, numbers.

Spec: https://hl7.org/fhir/R4/search.html#ptypes
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from itertools import islice, product
from math import inf, nextafter
from sys import float_info
from typing import Any

from fhir_server.indexing.dates import OPEN_HIGH, OPEN_LOW, date_bounds

Rows = list[tuple[Any, ...]]
MAX_COMBINATIONS = 1000
"""Most combinations of codings that one group of a composite is indexed by."""
TEXT = "text"
"""A mark on a resource: a text that stands beside a code."""
OF_TYPE = "of-type"
"""A mark on a resource: an identifier with its type."""

_CURRENCY = "urn:iso:std:iso:4217"
_NAME_PARTS = ("text", "family", "given", "prefix", "suffix")
_ADDRESS_PARTS = ("text", "line", "city", "district", "state", "postalCode", "country")
_RESTFUL = re.compile(r"(?:(?P<base>.+)/)?(?P<type>[A-Z][A-Za-z]+)/(?P<id>[A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]{1,64})?\Z")


@lru_cache(maxsize=16_384)
def fold(text: str) -> str:
    """Comparable form of a string: no accents, no case, single spaces."""
    if not text.isascii():
        text = "".join(part for part in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(part))
    return " ".join(text.casefold().split())


@lru_cache(maxsize=16_384)
def split_reference(text: str) -> tuple[str, str, str]:
    """(base, type, id) of a reference; all empty where it does not point at a resource by type and id."""
    found = _RESTFUL.match(text)
    return ("", "", "") if found is None else (found["base"] or "", found["type"], found["id"])


def reference_type(value: Mapping[str, Any]) -> str:
    """The type a reference points at, as far as the reference itself says."""
    return split_reference(value.get("reference", ""))[1] or str(value.get("type", ""))


def token_code(rows: Rows, param: int, value: object) -> None:
    """Index a string, id, uri or code without a system."""
    rows.append((param, "", value))


def token_boolean(rows: Rows, param: int, value: bool) -> None:
    """Index true or false."""
    rows.append((param, "", "true" if value else "false"))


def token_coding(rows: Rows, marks: Rows, param: int, value: Mapping[str, str]) -> None:
    """Index system and code, and the display."""
    code = value.get("code", "")
    system = value.get("system", "")
    if code or system:
        rows.append((param, system, code))
    display = value.get("display")
    if display:
        marks.append((param, TEXT, fold(display)))


def token_concept(rows: Rows, marks: Rows, param: int, value: Mapping[str, Any]) -> None:
    """Index each coding of a CodeableConcept, and its text."""
    for coding in value.get("coding", ()):
        token_coding(rows, marks, param, coding)
    text = value.get("text")
    if text:
        marks.append((param, TEXT, fold(text)))


def token_identifier(rows: Rows, marks: Rows, param: int, value: Mapping[str, Any]) -> None:
    """Index system and value of an Identifier, and its type."""
    _identifier(rows, param, value)
    text = value.get("value", "")
    type_ = value.get("type", {})
    if "text" in type_:
        marks.append((param, TEXT, fold(type_["text"])))
    for coding in type_.get("coding", ()):
        if text and "system" in coding and "code" in coding:
            marks.append((param, OF_TYPE, f"{coding['system']}|{coding['code']}|{text}"))


def _identifier(rows: Rows, param: int, value: Mapping[str, Any]) -> None:
    text = value.get("value", "")
    system = value.get("system", "")
    if text or system:
        rows.append((param, system, text))


def token_contact(rows: Rows, param: int, value: Mapping[str, str]) -> None:
    """Index the value of a ContactPoint."""
    text = value.get("value", "")
    if text:
        rows.append((param, "", text))


def string_text(rows: Rows, param: int, value: str) -> None:
    """Index a string, folded."""
    rows.append((param, fold(value), value))


def _string_parts(rows: Rows, param: int, value: Mapping[str, Any], names: tuple[str, ...]) -> None:
    for name in names:
        part = value.get(name)
        if part is None:
            continue
        for text in (part,) if isinstance(part, str) else part:
            if text is not None:
                rows.append((param, fold(text), text))


def string_name(rows: Rows, param: int, value: Mapping[str, Any]) -> None:
    """Index every part of a HumanName."""
    _string_parts(rows, param, value, _NAME_PARTS)


def string_address(rows: Rows, param: int, value: Mapping[str, Any]) -> None:
    """Index every part of an Address."""
    _string_parts(rows, param, value, _ADDRESS_PARTS)


def date_point(rows: Rows, param: int, value: str) -> None:
    """Index a date, dateTime or instant."""
    bounds = date_bounds(value)
    if bounds is not None:
        rows.append((param, *bounds))


def period_bounds(value: Mapping[str, str]) -> tuple[int, int]:
    """Bounds of a Period; an absent end is open."""
    start = date_bounds(value["start"]) if "start" in value else None
    end = date_bounds(value["end"]) if "end" in value else None
    return start[0] if start else OPEN_LOW, end[1] if end else OPEN_HIGH


def date_period(rows: Rows, param: int, value: Mapping[str, str]) -> None:
    """Index a Period that has a start or an end."""
    if "start" in value or "end" in value:
        rows.append((param, *period_bounds(value)))


def date_timing(rows: Rows, param: int, value: Mapping[str, Any]) -> None:
    """Index the outer limits of a Timing: its events and its bounds."""
    limits = [bounds for text in value.get("event", ()) if text and (bounds := date_bounds(text))]
    period = value.get("repeat", {}).get("boundsPeriod")
    if period:
        limits.append(period_bounds(period))
    if limits:
        rows.append((param, min(low for low, _ in limits), max(high for _, high in limits)))


def reference_canonical(rows: Rows, param: int, value: str) -> None:
    """Index a canonical URL, with its version and without."""
    rows.append((param, "", "", value))
    plain, bar, _ = value.partition("|")
    if bar:
        rows.append((param, "", "", plain))


def _float(value: Decimal | float) -> float:
    """Nearest finite double: an index may be coarse, the stored body stays exact."""
    return max(-float_info.max, min(float_info.max, float(value)))


def quantity_value(rows: Rows, param: int, value: Mapping[str, Any]) -> None:
    """Index a Quantity; a comparator opens one side, and without `=` leaves the number itself out."""
    number = value.get("value")
    if number is None:
        return
    low = high = _float(number)
    comparator = value.get("comparator", "")
    if comparator[:1] == "<":
        low, high = -float_info.max, high if comparator == "<=" else nextafter(high, -inf)
    elif comparator[:1] == ">":
        low, high = low if comparator == ">=" else nextafter(low, inf), float_info.max
    _with_unit(rows, param, value, low, high, str(number))


def _with_unit(rows: Rows, param: int, value: Mapping[str, Any], low: float, high: float, exact: str) -> None:
    """Index by the coded unit; by its text too where that says something else."""
    code, text = value.get("code", ""), value.get("unit", "")
    rows.append((param, value.get("system", "") if code else "", code or text, low, high, exact))
    if code and text and text != code:
        rows.append((param, "", text, low, high, exact))


def quantity_money(rows: Rows, param: int, value: Mapping[str, Any]) -> None:
    """Index an amount of money; the currency is the code."""
    number = value.get("value")
    if number is not None:
        rows.append((param, _CURRENCY, value.get("currency", ""), _float(number), _float(number), str(number)))


def quantity_range(rows: Rows, param: int, value: Mapping[str, Any]) -> None:
    """Index a Range by its outer limits."""
    low, high = value.get("low", {}), value.get("high", {})
    if "value" in low or "value" in high:
        unit = {**high, **low}
        limits = (_float(low.get("value", -float_info.max)), _float(high.get("value", float_info.max)))
        _with_unit(rows, param, unit, *limits, "")


def composite_value(rows: Rows, param: int, kinds: tuple[str, ...], parts: tuple[Rows, ...]) -> None:
    """Index every combination of the components' values in one group; of an absurd number of codings the first."""
    rows.extend((param, kinds, *combination) for combination in islice(product(*parts), MAX_COMBINATIONS))


def position_value(rows: Rows, param: int, value: Mapping[str, Any]) -> None:
    """Index a position in degrees."""
    if "latitude" in value and "longitude" in value:
        rows.append((param, _float(value["latitude"]), _float(value["longitude"])))


def uri_value(rows: Rows, param: int, value: str) -> None:
    """Index a URI."""
    rows.append((param, value))


def number_value(rows: Rows, param: int, value: Decimal | float) -> None:
    """Index a number."""
    rows.append((param, _float(value), _float(value), str(value)))


def number_range(rows: Rows, param: int, value: Mapping[str, Any]) -> None:
    """Index a Range without its unit."""
    units: Rows = []
    quantity_range(units, param, value)
    rows.extend((row[0], row[3], row[4], "") for row in units[:1])


def reference_value(rows: Rows, tokens: Rows, param: int, value: Mapping[str, Any], base: str) -> None:
    """Index a Reference: relative or under this server's base as (type, id), others by their text; the identifier as a token."""
    text = value.get("reference")
    if text is not None and text[:1] != "#":
        foreign, type_, id_ = split_reference(text)
        if foreign and foreign != base:
            id_ = ""
        rows.append((param, type_, id_, text))
    identifier = value.get("identifier")
    if identifier is not None:
        _identifier(tokens, param, identifier)


def reference_entry(rows: Rows, param: int, entry: Mapping[str, Any], type_: str, base: str) -> None:
    """Index the resource in a Bundle's entry, if it is of this type: by its id, and by its full URL where that is another address."""
    resource = entry["resource"]
    if resource.get("resourceType") != type_:
        return
    id_, url = resource.get("id", ""), entry.get("fullUrl", "")
    if id_:
        rows.append((param, type_, id_, f"{type_}/{id_}"))
    if url and url != f"{base}/{type_}/{id_}":
        rows.append((param, type_, "", url))
