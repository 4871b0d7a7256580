"""X12 bytes to segments and back, losslessly; bad input becomes issues, never an exception.

Spec: https://x12.org/products/technical-reports (ASC X12.5 interchange control structures, X12.6 application control structure)
"""

import re
from dataclasses import dataclass, field

from claims.x12.issue import ERROR, WARNING, Position, X12Issue
from claims.x12.segment import Delimiters, Segment

ISA_LENGTH = 106
ISA_WIDTHS = (2, 10, 2, 10, 2, 15, 2, 15, 6, 4, 1, 5, 9, 1, 1, 1)
_BREAKS = "\r\n\t \ufeff"
_LEAD = re.compile(f"[{_BREAKS}]*")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one reading may cost."""

    bytes: int = 64 * 1024 * 1024
    segments: int = 2_000_000
    segment_chars: int = 100_000


@dataclass(slots=True)
class RawInterchange:
    """The segments of one interchange in order; the first is its ISA unless `bare`."""

    index: int
    delimiters: Delimiters
    segments: list[Segment] = field(default_factory=list)
    bare: bool = False


@dataclass(slots=True)
class Reading:
    """Everything that was in the bytes."""

    interchanges: list[RawInterchange] = field(default_factory=list)
    suffix: str = ""
    issues: list[X12Issue] = field(default_factory=list)


def read(data: bytes, limits: Limits | None = None) -> Reading:
    """Split bytes into interchanges and segments."""
    bounds = limits or Limits()
    reading = Reading()
    text = data.decode("utf-8", "surrogateescape")
    if len(data) > bounds.bytes:
        _complain(reading, "too-large", f"the interchange is larger than {bounds.bytes} bytes", 1)
        reading.suffix = text
        return reading
    at, left = 0, bounds.segments
    if not text.strip(_BREAKS):
        _complain(reading, "no-isa", "nothing to read: an interchange must begin with ISA", 1)
    while left > 0:
        begin = _LEAD.match(text, at).end()  # type: ignore[union-attr]  # the pattern also matches nothing
        delimiters = _delimiters(text, begin, reading) if begin < len(text) else None
        if delimiters is None:
            break
        at, left = _split(text, at, begin, delimiters, reading, left, bounds)
    if left <= 0 and at < len(text):
        _complain(reading, "too-many-segments", f"more than {bounds.segments} segments", len(reading.interchanges))
    reading.suffix = text[at:]
    return reading


def write(reading: Reading) -> bytes:
    """Join a reading to the bytes it came from."""
    parts = [segment.text() for interchange in reading.interchanges for segment in interchange.segments]
    parts.append(reading.suffix)
    return "".join(parts).encode("utf-8", "surrogateescape")


def _complain(reading: Reading, code: str, text: str, interchange: int, severity: str = ERROR) -> None:
    reading.issues.append(X12Issue(severity, 1, code, text, Position(interchange, 1), "ISA"))


def _delimiters(text: str, at: int, reading: Reading) -> Delimiters | None:
    """Read the separators of the interchange that starts here."""
    number = len(reading.interchanges) + 1
    if text.startswith(("GS", "ST"), at):
        return _bare_delimiters(text, at, reading, number)
    if not text.startswith("ISA", at):
        _complain(reading, "no-isa", "an interchange must begin with ISA", number)
        return None
    header = text[at : at + ISA_LENGTH]
    if len(header) < ISA_LENGTH:
        _complain(reading, "isa-truncated", f"ISA has {len(header)} of its {ISA_LENGTH} characters", number)
        return None
    if [len(e) for e in header[4:105].split(header[3])] != list(ISA_WIDTHS):
        _complain(reading, "isa-malformed", "ISA elements do not have their fixed lengths", number)
        return None
    repetition = header[82] if header[84:89] >= "00402" and not header[82].isalnum() else ""
    found = Delimiters(header[3], header[104], repetition, header[105])
    if found.problem():
        _complain(reading, "bad-delimiters", found.problem(), number)
        return None
    return found


def _bare_delimiters(text: str, at: int, reading: Reading, number: int) -> Delimiters | None:
    """Guess the separators of a functional group or transaction set that came without its envelope."""
    separator = text[at + 2 : at + 3]
    terminator = "~" if "~" in text[at : at + 500] else "\n"
    found = Delimiters(separator or "*", ":", "^", terminator)
    if found.problem() or not separator:
        _complain(reading, "no-isa", "an interchange must begin with ISA", number)
        return None
    _complain(reading, "no-isa", "no interchange envelope; usual separators assumed", number, WARNING)
    return found


def _split(
    text: str, at: int, begin: int, delimiters: Delimiters, reading: Reading, left: int, bounds: Limits
) -> tuple[int, int]:
    """Collect the segments of one interchange; return where it ended and how many segments may still come."""
    bare = not text.startswith("ISA", begin)
    interchange = RawInterchange(len(reading.interchanges) + 1, delimiters, bare=bare)
    reading.interchanges.append(interchange)
    terminator, separator, find, segments = delimiters.terminator, delimiters.element, text.find, interchange.segments
    end, number, isa = len(text), 0, "ISA" + separator
    while at < end and number < left:
        stop = begin + 105 if number == 0 and not bare else find(terminator, at)
        closed = stop >= 0
        body = text[at : stop if closed else end]
        stripped = body.lstrip(_BREAKS)
        if (not stripped and not closed) or (number and stripped.startswith(isa)):
            break
        if len(body) > bounds.segment_chars:
            _complain(reading, "segment-too-long", f"segment {number + 1} never ends", interchange.index)
            return at, 0
        number += 1
        segment = Segment(stripped.split(separator), delimiters, number, body[: len(body) - len(stripped)], closed)
        segments.append(segment)
        at = stop + 1 if closed else end
        if not closed:
            _unterminated(reading, interchange, segment)
        if segment.elements[0] == "IEA":
            break
    return at, left - number


def _unterminated(reading: Reading, interchange: RawInterchange, segment: Segment) -> None:
    position = Position(interchange.index, segment.number)
    reading.issues.append(X12Issue(ERROR, 1, "unterminated", "the last segment has no terminator", position, segment.id[:3]))
