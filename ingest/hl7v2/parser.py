"""Bytes to a message: total over its input, errors as data.

Spec: https://www.hl7.eu/HL7v2x/v29/std29/ch02.html#Heading25 (message construction rules)
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ingest.hl7v2.charset import decode
from ingest.hl7v2.message import Message
from ingest.hl7v2.problem import SEGMENT_SEQUENCE, UNSUPPORTED_MESSAGE, Problem
from ingest.hl7v2.separators import declared_separators

_LINE_END = re.compile(r"\r\n|\r|\n")
_SEGMENT_NAME = re.compile(r"[A-Z][A-Z0-9]{2}")
_TEXT_SEGMENTS = frozenset({"OBX", "NTE"})
_SHORTEST = 5


class Parsed(NamedTuple):
    """A message, or none where there is no MSH to read, and what was found on the way."""

    message: Message | None
    problems: tuple[Problem, ...]


def parse(raw: bytes) -> Parsed:
    """Read one message. Never raises; a message that cannot be read at all has at least one problem of severity E."""
    text, codec, problems = decode(raw)
    text = text.strip("\ufeff\x00\x0b\x1c\r\n").lstrip(" \t\ufeff")
    refusal = _refusal(text)
    if refusal:
        return Parsed(None, (*problems, refusal))
    lines, odd_lines = _lines(text)
    separators, well_formed = declared_separators(text[3], lines[0][4:].split(text[3], 1)[0])
    if not well_formed:
        odd = Problem(SEGMENT_SEQUENCE, "MSH-2 does not declare four different separators", "MSH", 1, 2, severity="W")
        problems = (*problems, odd)
    return Parsed(Message(lines, separators, codec), (*problems, *odd_lines))


def _refusal(text: str) -> Problem | None:
    if text[:3] in ("FHS", "BHS"):
        return Problem(UNSUPPORTED_MESSAGE, "a batch (FHS, BHS) is not taken here: send its messages one by one", text[:3])
    if text[:3] != "MSH" or len(text) < _SHORTEST:
        return Problem(SEGMENT_SEQUENCE, "the message does not begin with an MSH segment", "MSH")
    if text[3].isalnum() or text[3] in "\r\n":
        return Problem(SEGMENT_SEQUENCE, "MSH-1 is not a field separator", "MSH", 1, 1)
    return None


def _lines(text: str) -> tuple[list[str], list[Problem]]:
    """Split at segment ends; a line without a segment name continues the text before it, so that nothing is lost."""
    parts = text.split("\r") if "\n" not in text else _LINE_END.split(text)
    separator = text[3]
    lines: list[str] = []
    problems: list[Problem] = []
    for part in parts:
        if not part:
            continue
        if part[3:4] in (separator, "") and _SEGMENT_NAME.match(part):
            lines.append(part)
        elif part.strip():
            problems.append(_continued(lines[-1][:3], len(lines)))
            lines[-1] = f"{lines[-1]}\n{part}"
    return lines, problems


def _continued(name: str, line: int) -> Problem:
    severity = "W" if name in _TEXT_SEGMENTS else "E"
    return Problem(SEGMENT_SEQUENCE, f"a line after segment {line} has no segment name", name, severity=severity)
