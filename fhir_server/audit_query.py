"""A search of AuditEvents, read: patient, entity, agent, date, action, outcome, type and subtype become a question to the index.

Spec: https://hl7.org/fhir/R4/auditevent.html#search
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, urlencode

from chartloop.kernel.audit.index import Wanted
from chartloop.kernel.errors import Invalid
from fhir_server.audit_codes import Words, words_of_subtype, words_of_type
from fhir_server.search import values

MOST: Final = 200
DEFAULT_COUNT: Final = 50
_ONCE: Final = ("patient", "entity", "agent", "agent:identifier", "action", "outcome", "type", "subtype", "_id", "_count", "_before", "_summary")
PARAMETERS: Final = frozenset({*_ONCE, "date", "_format", "_pretty"})
SEARCHED: Final = {"action": "token", "agent": "reference", "date": "date", "entity": "reference", "outcome": "token", "patient": "reference", "subtype": "token", "type": "token"}
"""Search parameters and their types, for the CapabilityStatement."""

_ACTIONS: Final = frozenset("CRUDE")
_OUTCOMES: Final = frozenset({"0", "4", "8", "12"})


class Asked(NamedTuple):
    """What one page of a search is made from."""

    wanted: Wanted
    numbers: tuple[int, ...] | None
    """Numbers that `_id` names; None asks nothing."""
    page: int
    before: int | None
    said: str
    """The query without its page."""


def read_query(query: str, base: str) -> Asked:
    """Read a query.

    Raises:
        Invalid: A parameter is unknown, given twice, or cannot be read.
    """
    pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=20)
    unknown = sorted({name for name, _ in pairs} - PARAMETERS)
    if unknown:
        raise Invalid(f"Parameter {unknown[0][:64]!r} is not supported for AuditEvent.", code="not-supported")
    given = {name: value for name, value in pairs if name != "date"}
    if len(given) < sum(name != "date" for name, _ in pairs):
        raise Invalid("A parameter other than date may be given once.", code="duplicate")
    empty = sorted(name for name, value in given.items() if not value.strip(","))
    if empty:  # an empty filter would mean everything
        raise Invalid(f"Parameter {empty[0]!r} has no value.", code="value")
    since, until = _bounds([value for name, value in pairs if name == "date"])
    any_of, none_of = _words(given)
    wanted = Wanted(
        patients=tuple(_reference(each, base, "Patient") for each in _list(given.get("patient"))),
        entities=tuple(_reference(each, base, "") for each in _list(given.get("entity"))),
        agents=(*(_reference(each, base, "") for each in _list(given.get("agent"))), *(each.rpartition("|")[2] for each in _list(given.get("agent:identifier")))),
        interactions=any_of,
        not_interactions=none_of,
        actions=_codes(given.get("action"), _ACTIONS, "action"),
        outcomes=_codes(given.get("outcome"), _OUTCOMES, "outcome"),
        since=since,
        until=until,
    )
    numbers = tuple(_number(each) for each in _list(given["_id"])) if "_id" in given else None
    said = urlencode([(name, value) for name, value in pairs if name != "_before"])
    return Asked(wanted, numbers, min(_count(given), MOST), _number(given["_before"]) if "_before" in given else None, said)


def _list(text: str | None) -> list[str]:
    return [each for each in values.split(text, ",") if each] if text else []


def _count(given: dict[str, str]) -> int:
    if given.get("_summary", "false") == "count":
        raise Invalid("Events of the audit log are not counted.", code="not-supported", expression="_summary")
    text = given.get("_count", "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < len(str(MOST * 1000)) else DEFAULT_COUNT


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < len(str(2**62)) else 0


def _reference(text: str, base: str, type_: str) -> str:
    text = text.removeprefix(f"{base}/")
    return f"{type_}/{text}" if type_ and "/" not in text else text


def _codes(text: str | None, known: frozenset[str], name: str) -> tuple[str, ...]:
    codes = tuple(each.rpartition("|")[2] for each in _list(text))
    if any(code not in known for code in codes):
        raise Invalid(f"{name} is one of {', '.join(sorted(known))}.", code="value", expression=f"http.{name}")
    return codes


def _words(given: dict[str, str]) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
    """Turn type and subtype into interaction words: any of these, none of those."""
    any_of: tuple[str, ...] | None = None
    none_of: tuple[str, ...] = ()
    for name, read in (("type", words_of_type), ("subtype", words_of_subtype)):
        if name not in given:
            continue
        found = [read(*_token(each)) for each in _list(given[name])]
        if any(each.none_of for each in found):
            none_of = _but(found)
        else:
            words = {word for each in found for word in each.any_of}
            any_of = tuple(sorted(words if any_of is None else words & set(any_of)))
    return any_of, none_of


def _but(found: Sequence[Words]) -> tuple[str, ...]:
    """Leave out what one of the codes leaves out and no other asks for."""
    out = {word for each in found for word in each.none_of}
    return tuple(sorted(out - {word for each in found for word in each.any_of}))


def _token(text: str) -> tuple[str | None, str]:
    system, bar, code = text.rpartition("|")
    return (system or None) if bar else None, code


def _bounds(dates: Sequence[str]) -> tuple[int | None, int | None]:
    """Turn dates into a half-open range of microseconds; several narrow it."""
    since, until = 0, 2**62
    for text in dates:
        found = values.date(text)
        if found is None or found.prefix in ("ne", "ap"):
            raise Invalid("A date is such as ge2026-01-01, lt2026-02-01 or 2026-01.", code="value", expression="http.date")
        low, high = _range(found.prefix, found.low, found.high)
        since, until = max(since, low), min(until, high)
    return (since or None), (until if until < 2**62 else None)


def _range(prefix: str, low: int, high: int) -> tuple[int, int]:
    """Range of instants that compare so with a range whose end is left out."""
    return {
        "eq": (low, high), "ge": (low, 2**62), "gt": (high, 2**62), "sa": (high, 2**62), "lt": (0, low), "le": (0, high), "eb": (0, low),
    }[prefix]  # fmt: skip
