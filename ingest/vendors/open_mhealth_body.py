"""The body of a data point: its time frame, its measures, and the words around them.

Spec: https://opensource.ieee.org/omh/1752 (time-frame, time-interval, unit-value)
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from ingest.vendors import times
from ingest.vendors.json_document import below, decode, literal
from ingest.vendors.measure import NO_NUMBER, Context, number, scale
from ingest.vendors.metric import METRICS, STATISTICS, over
from ingest.vendors.open_mhealth_schema import DURATION, SCHEMAS, SPECIMENS, TOLD, WORDS, Header, Measure, Schema
from ingest.vendors.reading import Item, Problem, Reading, Unknown
from ingest.vendors.times import Moment
from terminology.ucum import convert

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Body = dict[str, msgspec.Raw]
_BARE_STEPS: Final = 2
"""Step counts were plain numbers up to this major version."""
_LONGEST_TOLD: Final = 60


class _UnitValue(msgspec.Struct):
    value: msgspec.Raw
    unit: str


class _Interval(msgspec.Struct):
    start_date_time: str | None = None
    end_date_time: str | None = None
    duration: _UnitValue | None = None
    date: str | None = None
    part_of_day: str | None = None


class _Frame(msgspec.Struct):
    date_time: str | None = None
    time_interval: _Interval | None = None


class Span(NamedTuple):
    """From when until when."""

    start: Moment
    end: Moment


def readings(raw: bytes | msgspec.Raw, path: str, header: Header, id_: str, context: Context) -> Iterator[Item]:
    """Yield the readings of one body.

    Args:
        raw: The body.
        path: Its path in the document.
        header: What the header says; its schema is one of SCHEMAS.
        id_: Id of this body's data point, or of its element in the series.
        context: The subject's zone, and when the payload first came.
    """
    body, schema = decode(raw, dict[str, msgspec.Raw], path), SCHEMAS[header.schema]
    if isinstance(body, Problem):
        yield body
        return
    if schema.needs and schema.needs not in body:
        yield Problem(below(path, schema.needs), "This element is required.", "required")
        return
    words = _words(body, path)
    if isinstance(words, Problem):
        yield words
        return
    inner, place = _inside(body, path, schema)
    if isinstance(inner, Problem):
        yield inner
        return
    span = _span(body, below(path, "effective_time_frame"), header, schema, context)
    if isinstance(span, Problem):
        yield span
        return
    many = len(schema.measures) > 1 and not METRICS[schema.measures[0].metric].panel
    for measure in schema.measures:
        if measure.required or measure.member in inner:
            own = f"{id_}.{measure.member}" if many else id_
            yield _reading(inner, place, measure, words, span, header, own, context)


def _inside(body: Body, path: str, schema: Schema) -> tuple[Body | Problem, str]:
    if not schema.inside:
        return body, path
    place = below(path, schema.inside)
    if schema.inside not in body:
        return Problem(place, "This element is required.", "required"), place
    return decode(body[schema.inside], dict[str, msgspec.Raw], place), place


def _words(body: Body, path: str) -> Mapping[str, str] | Problem:
    """The words around a measure; those of a closed list are checked."""
    found: dict[str, str] = {}
    for member in (*WORDS, *TOLD):
        if member not in body or member in found:
            continue
        word = decode(body[member], str, below(path, member))
        if isinstance(word, Problem):
            return word
        if member in WORDS and word not in WORDS[member]:
            return Problem(below(path, member), "This word is not in the schema's list.", "code-invalid")
        found[member] = word
    if "supplemental_oxygen_flow_rate" in body:
        flow = decode(body["supplemental_oxygen_flow_rate"], _UnitValue, below(path, "supplemental_oxygen_flow_rate"))
        if isinstance(flow, Problem):
            return flow
        if flow.unit != "L/min":
            return Problem(below(path, "supplemental_oxygen_flow_rate.unit"), "The unit is L/min.", "code-invalid")
    return found


def _reading(
    body: Body, path: str, measure: Measure, words: Mapping[str, str], span: Span, header: Header, id_: str, context: Context
) -> Item:
    place = below(path, measure.member)
    if measure.member not in body:
        return Problem(place, "This element is required.", "required")
    name = _metric(measure, words, span)
    value = _value(body[measure.member], place, measure, header)
    if isinstance(value, Problem):
        return value
    if name is None:
        return Unknown(" ".join(part for part in (header.schema, words.get("specimen_source"), words.get("descriptive_statistic")) if part))
    start, end = span.start.us, span.end.us
    told = ";".join(f"{member}={words[member][:_LONGEST_TOLD]}" for member in TOLD if member in words)
    flags = header.flags | context.flags(name, value, start, end)
    return Reading(name, header.source, start, end, span.start.offset, value, flags, id_, header.created, told.replace("\n", " "))


def _metric(measure: Measure, words: Mapping[str, str], span: Span) -> str | None:
    """Name of the metric; none for a statistic in another unit than what was measured, and for glucose outside the blood."""
    statistic = words.get("descriptive_statistic", "")
    base: str | None = measure.metric
    if base == "glucose":
        base = SPECIMENS.get(words.get("specimen_source") or words.get("blood_specimen_type", ""))
    if base is None:
        return None
    if not statistic:
        return over(base, span.start.us, span.end.us)
    return f"{base}.{statistic}" if statistic in STATISTICS else None


def _value(raw: msgspec.Raw, place: str, measure: Measure, header: Header) -> Decimal | Problem:
    if measure.member == "step_count" and header.major <= _BARE_STEPS and bytes(raw)[:1] != b"{":
        bare = number(literal(raw))
        return Problem(place, NO_NUMBER) if bare is None else bare
    found = decode(raw, _UnitValue, place)
    if isinstance(found, Problem):
        return found
    value = number(literal(found.value))
    if value is None:
        return Problem(below(place, "value"), NO_NUMBER)
    code = measure.units.get(found.unit)
    convert_ = scale(measure.metric, found.unit, code) if code else None
    if convert_ is None:
        return Problem(below(place, "unit"), f"The unit is one of {', '.join(measure.units)}.", "code-invalid")
    return convert_(value)


def _span(body: Body, path: str, header: Header, schema: Schema, context: Context) -> Span | Problem:
    if "effective_time_frame" not in body:
        if header.major < schema.timed_from and header.namespace != "ieee" and header.measured is not None:
            return Span(header.measured, header.measured)
        return Problem(path, "This element is required.", "required")
    frame = decode(body["effective_time_frame"], _Frame, path)
    if isinstance(frame, Problem):
        return frame
    if frame.date_time is not None and frame.time_interval is not None:
        return Problem(path, "A time frame is a date_time or a time_interval, not both.", "structure")
    if frame.date_time is not None:
        if schema.interval and (header.namespace == "ieee" or header.major >= schema.timed_from):
            return Problem(below(path, "time_interval"), "This schema needs an interval.", "required")
        at = _at(frame.date_time, below(path, "date_time"), context)
        return at if isinstance(at, Problem) else Span(at, at)
    if frame.time_interval is None:
        return Problem(path, "A time frame needs a date_time or a time_interval.", "required")
    return _interval(frame.time_interval, below(path, "time_interval"), header, schema, context)


def _interval(interval: _Interval, path: str, header: Header, schema: Schema, context: Context) -> Span | Problem:
    start = _at(interval.start_date_time, below(path, "start_date_time"), context) if interval.start_date_time is not None else None
    end = _at(interval.end_date_time, below(path, "end_date_time"), context) if interval.end_date_time is not None else None
    for each in (start, end):
        if isinstance(each, Problem):
            return each
    length = _length(interval.duration, below(path, "duration")) if interval.duration is not None else None
    if isinstance(length, Problem):
        return length
    if isinstance(start, Moment) and isinstance(end, Moment) and length is None:
        return Span(start, end)
    if isinstance(start, Moment) and end is None and length is not None:
        return Span(start, Moment(start.us + length, start.offset))
    if isinstance(end, Moment) and start is None and length is not None:
        return Span(Moment(end.us - length, end.offset), end)
    if interval.date is not None and interval.part_of_day is not None and header.namespace != "ieee" and header.major < schema.exact_from:
        return _civil(interval.date, below(path, "date"), context)
    return Problem(path, "An interval has two of start_date_time, end_date_time and duration.", "required")


def _civil(date: str, path: str, context: Context) -> Span | Problem:
    """A date and a part of the day, which old schemas allow: within that civil day, and no more is known."""
    day = times.civil_day(date, context.zone)
    return Problem(path, day, "required" if context.zone is None else "value") if isinstance(day, str) else Span(*day)


def _length(duration: _UnitValue, path: str) -> int | Problem:
    value, unit = number(literal(duration.value)), DURATION.get(duration.unit)
    if unit is None:
        return Problem(below(path, "unit"), f"The unit is one of {', '.join(DURATION)}.", "code-invalid")
    if value is None or not 0 <= convert(value, unit, "d") < 36_600:
        return Problem(below(path, "value"), NO_NUMBER)
    return int(convert(value, unit, "us"))


def _at(text: str, path: str, context: Context) -> Moment | Problem:
    found = times.moment(text, context.zone)
    return Problem(path, found, "required" if found == times.NO_ZONE else "value") if isinstance(found, str) else found
