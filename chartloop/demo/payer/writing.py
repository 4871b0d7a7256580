"""Write the envelope of what a payer sends, and count its segments."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

Row = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Envelope:
    """Who sends to whom; `control` numbers the interchange, its group and its one set."""

    sender: str
    receiver: str
    control: int
    date: str  # CCYYMMDD
    time: str  # HHMM
    usage: str


def amount(value: Decimal) -> str:
    """A decimal as X12 writes it: no exponent, no trailing zeros."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def clean(text: str) -> str:
    """Names in the basic character set; the delimiters never appear inside an element."""
    return "".join(character for character in text.upper() if character.isascii() and character not in "*:~^")


def transaction(envelope: Envelope, functional: str, version: str, body: Iterable[Row]) -> str:
    """One interchange with one group and one transaction set; `body` is what stands between ST and SE."""
    rows = list(body)
    control = f"{envelope.control:09d}"
    code = {"FA": "999", "HN": "277", "HP": "835"}[functional]
    header: Row = ("ST", code, "0001", version) if functional != "HP" else ("ST", code, "0001")
    rows = [header, *rows, ("SE", str(len(rows) + 2), "0001")]
    group = ("GS", functional, envelope.sender, envelope.receiver, envelope.date, envelope.time, str(envelope.control), "X", version)
    return _join([_isa(envelope), group, *rows, ("GE", "1", str(envelope.control)), ("IEA", "1", control)])


def interchange_acknowledgment(envelope: Envelope, acknowledged: Row) -> str:
    """A TA1 stands alone between ISA and IEA."""
    return _join([_isa(envelope), acknowledged, ("IEA", "0", f"{envelope.control:09d}")])


def _isa(envelope: Envelope) -> Row:
    parties = ("00", " " * 10, "00", " " * 10, "ZZ", envelope.sender.ljust(15), "ZZ", envelope.receiver.ljust(15))
    return ("ISA", *parties, envelope.date[2:], envelope.time, "^", "00501", f"{envelope.control:09d}", "0", envelope.usage, ":")


def _join(rows: list[Row]) -> str:
    return "".join("*".join(row).rstrip("*") + "~\n" if row[0] != "ISA" else "*".join(row) + "~\n" for row in rows)
