"""Escape sequences of HL7 v2 text, both ways; an unknown sequence stays as it was written.

Spec: https://www.hl7.eu/HL7v2x/v29/std29/ch02.html#Heading19 (use of escape sequences)
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from ingest.hl7v2.separators import Separators

_MOST_REPEATED = 1000


def decode_escapes(text: str, separators: Separators) -> str:
    """Text with its escape sequences resolved; a formatted line break becomes a line feed."""
    if separators.escape not in text:
        return text
    pattern, replace = _decoder(separators)
    return pattern.sub(replace, text)


def encode_escapes(text: str, separators: Separators) -> str:
    """Text that can stand inside a field: `decode_escapes` gives the same text back."""
    return text.translate(_encoder(separators))


@lru_cache(maxsize=64)
def _decoder(separators: Separators) -> tuple[re.Pattern[str], Callable[[re.Match[str]], str]]:
    escape = re.escape(separators.escape)
    known = r"[FSRTEHN]|X(?:[0-9A-Fa-f]{2})+|C[0-9A-Fa-f]{4}|M[0-9A-Fa-f]{4,6}|\.(?:br|sp|sk|in|ti|fi|nf|ce)[+-]?\d*"
    pattern = re.compile(f"{escape}({known}){escape}")
    plain = {
        "F": separators.field,
        "S": separators.component,
        "R": separators.repetition,
        "T": separators.subcomponent,
        "E": separators.escape,
        "H": "",
        "N": "",
    }

    def replace(match: re.Match[str]) -> str:
        sequence = match.group(1)
        known_text = plain.get(sequence)
        if known_text is not None:
            return known_text
        if sequence[0] == "X":
            return _hexadecimal(sequence[1:])
        if sequence[0] == ".":
            return _formatting(sequence)
        return match.group(0)  # \Cxxyy\ and \Mxxyyzz\ select a character set: kept, so that nothing is lost

    return pattern, replace


def _hexadecimal(digits: str) -> str:
    data = bytes.fromhex(digits)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace") if b"\x81" not in data else data.decode("latin-1")


def _formatting(sequence: str) -> str:
    command, count = sequence[1:3], sequence[3:].lstrip("+-")
    times = min(int(count), _MOST_REPEATED) if count else 1
    if command in ("br", "ce"):
        return "\n"
    if command == "sp":
        return "\n" * times
    return " " * times if command == "sk" else ""


@lru_cache(maxsize=64)
def _encoder(separators: Separators) -> dict[int, str]:
    escape = separators.escape
    table = {code: f"{escape}X{code:02X}{escape}" for code in (*range(0x20), 0x7F)}
    table[ord("\n")] = f"{escape}.br{escape}"
    named = zip(
        (separators.field, separators.component, separators.repetition, separators.subcomponent, escape),
        "FSRTE",
        strict=True,
    )
    table.update({ord(character): f"{escape}{letter}{escape}" for character, letter in named})
    return table
