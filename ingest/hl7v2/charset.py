"""Bytes of a message to text by MSH-18, never losing a byte.

Spec: https://terminology.hl7.org/CodeSystem-v2-0211.html (alternate character sets)
"""

from __future__ import annotations

from typing import NamedTuple

from ingest.hl7v2.problem import DATA_TYPE, Problem

_CODECS = {
    "": "utf-8",
    "ASCII": "utf-8",  # UTF-8 contains ASCII, and senders that say ASCII send names that are not
    "8859/1": "latin-1",
    **{f"8859/{part}": f"iso8859-{part}" for part in (2, 3, 4, 5, 6, 7, 8, 9, 15)},
    "ISO IR6": "utf-8",
    "ISO IR14": "iso2022_jp",
    "ISO IR87": "iso2022_jp",
    "ISO IR159": "iso2022_jp_2",
    "GB 18030-2000": "gb18030",
    "KS X 1001": "euc_kr",
    "BIG-5": "big5",
    "UNICODE": "utf-8",
    "UNICODE UTF-8": "utf-8",
    "UNICODE UTF-16": "utf-16",
    "UNICODE UTF-32": "utf-32",
    "UTF-8": "utf-8",
    "UTF8": "utf-8",
}
_MSH_18 = 17


class Decoded(NamedTuple):
    """Text of a message, the codec that gave it, and what was odd about it."""

    text: str
    codec: str
    problems: tuple[Problem, ...]


def decode(raw: bytes) -> Decoded:
    """Text by the declared character set, else UTF-8, else Windows-1252, else Latin-1, which takes every byte."""
    declared = _declared(raw)
    codec = _CODECS.get(declared)
    problems: tuple[Problem, ...] = ()
    if codec is None:
        problems = (_odd("MSH-18 names a character set that is not known here; UTF-8 assumed"),)
        codec = "utf-8"
    text = _try(raw, codec)
    if text is not None:
        return Decoded(text, codec, problems)
    for other in ("utf-8", "cp1252"):
        text = _try(raw, other)
        if text is not None:
            return Decoded(text, other, (*problems, _odd(f"bytes are not {declared or 'UTF-8'}; read as {other}")))
    return Decoded(raw.decode("latin-1"), "latin-1", (*problems, _odd("bytes fit no declared set; read as latin-1")))


def _declared(raw: bytes) -> str:
    start = raw.find(b"MSH", 0, 16)
    if start < 0 or len(raw) <= start + 3:
        return "UNICODE UTF-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else ""
    end = len(raw)
    for terminator in (b"\r", b"\n"):
        found = raw.find(terminator, start)
        if found >= 0:
            end = min(end, found)
    fields = raw[start:end].split(raw[start + 3 : start + 4])
    if len(fields) <= _MSH_18:
        return ""
    first = fields[_MSH_18].decode("latin-1").split("~")[0]
    return first.strip().upper()


def _try(raw: bytes, codec: str) -> str | None:
    try:
        return raw.decode(codec)
    except (UnicodeDecodeError, ValueError):
        return None


def _odd(text: str) -> Problem:
    return Problem(DATA_TYPE, text, "MSH", 1, 18, severity="W")
