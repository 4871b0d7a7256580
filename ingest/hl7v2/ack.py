"""Acknowledgments in original and enhanced mode, with an ERR segment for each finding.

Spec: https://www.hl7.eu/HL7v2x/v29/std29/ch02.html#Heading37 (message acknowledgment), tables 0008 and 0155
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ingest.hl7v2.escapes import encode_escapes
from ingest.hl7v2.problem import CONDITIONS, REJECTING, Problem
from ingest.hl7v2.separators import STANDARD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ingest.hl7v2.message import Message
    from ingest.hl7v2.separators import Separators

_MOST_ERR = 20
_COMMIT = {"AA": "CA", "AE": "CE", "AR": "CR"}
_FIRST_NEW_ERR = (2, 5)


def verdict(problems: Sequence[Problem]) -> str:
    """AA, AE (the content is wrong) or AR (a type, event, version or processing id that is not taken), as table 0008 has them."""
    errors = [problem for problem in problems if problem.is_error]
    if not errors:
        return "AA"
    return "AR" if any(problem.code in REJECTING for problem in errors) else "AE"


def acknowledge(message: Message | None, code: str, problems: Sequence[Problem], *, stamp: str, control_id: str) -> bytes:
    """The acknowledgment of one message, or nothing where its sender wants none.

    Args:
        message: What was received; None if no MSH could be read, which gets an answer in standard separators.
        code: AA, AE or AR; in enhanced mode it becomes CA, CE or CR.
        problems: One ERR segment each, errors first.
        stamp: MSH-7 of the answer, an HL7 time stamp.
        control_id: MSH-10 of the answer.
    """
    if message is None:
        return _encode(_segments(None, code, problems, stamp, control_id), "utf-8")
    mode = _mode(message, code)
    return b"" if mode == "" else _encode(_segments(message, mode, problems, stamp, control_id), message.codec)


def _mode(message: Message, code: str) -> str:
    """The acknowledgment code for the sender's mode, or nothing if the sender asked for no answer."""
    accept, application = message.header.value(15).strip(), message.header.value(16).strip()
    if not accept and not application:
        return code
    if accept == "NE":
        return code if _wanted(application, code) else ""
    return _COMMIT[code] if _wanted(accept or "AL", code) else ""


def _wanted(condition: str, code: str) -> bool:
    if condition in ("", "NE"):
        return False
    return condition not in ("SU", "ER") or (condition == "SU") == (code == "AA")


def _segments(message: Message | None, code: str, problems: Sequence[Problem], stamp: str, control_id: str) -> list[str]:
    separators = message.separators if message else STANDARD
    errors = sorted(problems, key=lambda problem: not problem.is_error)
    text = errors[0].text if errors and errors[0].is_error else ""
    version = message.header.field(12) if message else "2.5.1"
    received = message.header.field(10) if message else ""
    msa = ["MSA", code, received, encode_escapes(text, separators)]
    lines = [_header(message, separators, stamp, control_id), separators.field.join(msa).rstrip(separators.field)]
    return lines + [_error(problem, separators, version) for problem in errors[:_MOST_ERR]]


def _header(message: Message | None, separators: Separators, stamp: str, control_id: str) -> str:
    fields = ["MSH", separators.declared] + [""] * 17
    fields[6], fields[9] = stamp, control_id
    if message is None:
        fields[8], fields[10], fields[11] = "ACK", "P", "2.5.1"
        return separators.field.join(fields).rstrip(separators.field)
    header = message.header
    for place, number in ((2, 5), (3, 6), (4, 3), (5, 4), (10, 11), (11, 12), (17, 18)):
        fields[place] = header.field(number)
    trigger = header.first(9).part(2)
    fields[8] = separators.component.join(("ACK", trigger, "ACK")) if trigger else "ACK"
    return separators.field.join(fields).rstrip(separators.field)


def _error(problem: Problem, separators: Separators, version: str) -> str:
    condition = [problem.code, CONDITIONS.get(problem.code, ""), "HL70357"]
    location = separators.component.join(problem.position.split("^")) if problem.segment else ""
    if not _is_new_err(version):
        old = [problem.segment, str(problem.occurrence), str(problem.field or ""), separators.subcomponent.join(condition)]
        return separators.field.join(("ERR", separators.component.join(old)))
    code = separators.component.join(condition)
    return separators.field.join(("ERR", "", location, code, problem.severity, "", "", "", encode_escapes(problem.text, separators)))


def _is_new_err(version: str) -> bool:
    numbers = [int(part) for part in version.split(".")[:2] if part.isdigit()]
    return tuple(numbers) >= _FIRST_NEW_ERR or len(numbers) < len(_FIRST_NEW_ERR)


def _encode(lines: list[str], codec: str) -> bytes:
    text = "".join(f"{line}\r" for line in lines)
    return text.encode(codec, errors="replace")
