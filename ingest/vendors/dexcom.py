"""Dexcom API v3: estimated glucose values of a continuous monitor.

`systemTime` is UTC by definition, with or without its Z; `displayTime` gives the offset that the subject saw.
Spec: https://developer.dexcom.com/docs/dexcomv3/operation/getEstimatedGlucoseValuesV3/
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ingest.vendors import times
from ingest.vendors.json_document import decode, literal
from ingest.vendors.measure import NO_NUMBER, Context, number, scale
from ingest.vendors.metric import METRICS
from ingest.vendors.reading import ABOVE, BELOW, Item, Problem, Reading, Source, Unknown
from ingest.vendors.times import Moment

if TYPE_CHECKING:
    from collections.abc import Iterator

METRIC: Final = "glucose-interstitial"
_RANGE: Final = {"low": BELOW, "high": ABOVE}
_LONGEST: Final = 200
_UNITS: Final = {"mg/dl": "mg/dL", "mmol/l": "mmol/L"}


class _Page(msgspec.Struct):
    records: list[msgspec.Raw]
    recordType: str = "egv"  # noqa: N815 Dexcom's word
    userId: Any = None  # noqa: N815 Dexcom's word


class _Record(msgspec.Struct):
    systemTime: str  # noqa: N815 Dexcom's word
    displayTime: str  # noqa: N815 Dexcom's word
    value: msgspec.Raw = msgspec.Raw(b"null")
    unit: str | None = "mg/dL"
    recordId: str = ""  # noqa: N815 Dexcom's word
    status: str | None = None
    trend: str | None = None
    transmitterId: str | None = None  # noqa: N815 Dexcom's word
    transmitterGeneration: str | None = None  # noqa: N815 Dexcom's word
    displayDevice: str | None = None  # noqa: N815 Dexcom's word


def read(body: bytes, context: Context) -> Iterator[Item]:
    """Yield what a page of values holds, in its order.

    Args:
        body: The JSON document.
        context: The subject's zone, for display times without an offset, and when the payload first came.
    """
    page = decode(body, _Page, "")
    if isinstance(page, Problem):
        yield page
        return
    for number_, raw in enumerate(page.records):
        if page.recordType != "egv":
            yield Unknown(page.recordType[:_LONGEST])
            continue
        path = f"records[{number_}]"
        record = decode(raw, _Record, path)
        yield record if isinstance(record, Problem) else _reading(record, path, context)


def _reading(record: _Record, path: str, context: Context) -> Item:
    when = _when(record, path, context)
    if isinstance(when, Problem):
        return when
    measured = _measured(record, _UNITS.get((record.unit or "").lower()))
    if measured is None:
        return Problem(f"{path}.value", NO_NUMBER)
    if isinstance(measured, Unknown | Problem):
        return measured if isinstance(measured, Unknown) else measured._replace(path=f"{path}.{measured.path}")
    value, flags = measured
    return Reading(
        METRIC,
        Source("dexcom", "Dexcom", (record.transmitterId or "")[:_LONGEST], "Dexcom", (record.transmitterGeneration or "")[:_LONGEST]),
        when.us,
        when.us,
        when.offset,
        value,
        flags | context.flags(METRIC, value, when.us, when.us),
        record.recordId,
        context.received,
        f"trend={record.trend[:_LONGEST]}" if record.trend else "",
    )


def _measured(record: _Record, unit: str | None) -> tuple[Decimal, int] | Unknown | Problem | None:
    """Value in mg/dL, and whether the sensor's range ends there; `LOW`, `HIGH` and the status say the same and need no unit, as no value needs none."""
    text = literal(record.value).strip('"').strip().lower()
    status = (record.status or "").lower()
    outside = _RANGE.get(text) or _RANGE.get(status)
    limits = METRICS[METRIC].limits
    if outside and limits:
        return (limits[0] if outside == BELOW else limits[1]), outside
    if text == "null":
        return Unknown("egv without a value")
    if unit is None:
        return Problem("unit", "The unit is neither mg/dL nor mmol/L.")
    value, convert = number(text) if not bytes(record.value).startswith(b'"') else None, scale(METRIC, unit)
    return (convert(value), 0) if value is not None and convert is not None else None


def _when(record: _Record, path: str, context: Context) -> Moment | Problem:
    utc = record.systemTime if not times.is_naive(record.systemTime) else f"{record.systemTime}Z"
    instant = times.moment(utc, None)
    if isinstance(instant, str):
        return Problem(f"{path}.systemTime", instant)
    if times.is_naive(record.displayTime):
        if context.zone is None:
            return Problem(f"{path}.displayTime", times.NO_ZONE, "required")
        return Moment(instant.us, times.offset_at(instant.us, context.zone))
    shown = times.moment(record.displayTime, None)
    if isinstance(shown, str):
        return Problem(f"{path}.displayTime", shown)
    return Moment(instant.us, shown.offset)
