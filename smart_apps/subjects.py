"""A subject as JSON text, for the rows that remember who entered."""

from __future__ import annotations

import msgspec

from chartloop.kernel.access.subject import Subject


def subject_to_json(subject: Subject) -> str:
    """Write a subject for a row."""
    return msgspec.json.encode(subject).decode()


def json_to_subject(text: str) -> Subject:
    """Read a subject back from a row."""
    return msgspec.json.decode(text, type=Subject)
