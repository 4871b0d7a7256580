"""A payload is read to its end before anything of it is stored: readings wait in the spool, what is unknown is counted, problems are gathered."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from ingest.vendors import apple_health, dexcom, open_mhealth
from ingest.vendors.reading import IMPLAUSIBLE, Problem, Reading, Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import BinaryIO

    from ingest.telemetry.spool import Spool
    from ingest.vendors.measure import Context
    from ingest.vendors.reading import Item, Source

XML: Final = frozenset({"application/xml", "text/xml"})
JSON: Final = frozenset({"application/json"})
VENDORS: Final[Mapping[str, frozenset[str]]] = {"apple-health": XML, "dexcom": JSON, "open-mhealth": JSON}
"""Media types by vendor."""

PART: Final = 2_000
"""Readings between two pauses, and in one transaction."""
PAUSE_S: Final = 0.001
"""How long the interpreter is left to others after each part."""
_PROBLEMS: Final = 20
_NAMES: Final = 1_000
_SOURCES: Final = 1_000
_OTHERS: Final = "other names"


class Normalised(NamedTuple):
    """What a payload holds."""

    readings: int
    flagged: int
    unknown: Mapping[str, int]
    problems: Sequence[Problem]


def normalise(vendor: str, stream: BinaryIO, context: Context, spool: Spool) -> Normalised:
    """Read a payload to its end, or to its twentieth problem.

    Args:
        vendor: One of VENDORS.
        stream: The payload.
        context: What the request says about it.
        spool: Takes the readings, as long as there is no problem.
    """
    unknown: Counter[str] = Counter()
    problems: list[Problem] = []
    sources: set[Source] = set()
    part: list[Reading] = []
    count = flagged = 0
    for item in items(vendor, stream, context):
        if isinstance(item, Reading):
            count += 1
            flagged += bool(item.flags & IMPLAUSIBLE)
            part.append(item)
            if len(part) == PART:
                _put(spool, part, sources, problems)
                part = []
        elif isinstance(item, Unknown):
            unknown[item.name if item.name in unknown or len(unknown) < _NAMES else _OTHERS] += 1
        else:
            problems.append(item)
        if len(problems) >= _PROBLEMS:
            break
    _put(spool, part, sources, problems)
    return Normalised(count, flagged, dict(unknown), problems)


def items(vendor: str, stream: BinaryIO, context: Context) -> Iterator[Item]:
    """What a payload holds, by its vendor's module."""
    if vendor == "apple-health":
        return apple_health.read(stream, context)
    return dexcom.read(stream.read(), context) if vendor == "dexcom" else open_mhealth.read(stream.read(), context)


def _put(spool: Spool, part: list[Reading], sources: set[Source], problems: list[Problem]) -> None:
    sources.update(reading.source for reading in part)
    if len(sources) > _SOURCES:
        problems.append(Problem("", f"The payload names more than {_SOURCES} sources.", "too-costly"))
    elif not problems:
        spool.put(part)
    time.sleep(PAUSE_S)
