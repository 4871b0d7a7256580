"""The label of a model: 31 source attributes as a page for people and as JSON for programs. What is not known says so.

Spec: https://www.ecfr.gov/current/title-45/section-170.315#p-170.315(b)(11)(iv)(B)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from typing import Any, Final, NamedTuple

ModelLabel = Callable[[str], Mapping[str, Any] | None]
"""Gives the label of a model by its id, from memory; None where there is none."""

UNKNOWN: Final = "unknown"


class Attribute(NamedTuple):
    """One row of the page; `known` is False where nobody knows."""

    number: int
    name: str
    value: str
    known: bool


class Section(NamedTuple):
    """Attributes under one heading."""

    title: str
    attributes: tuple[Attribute, ...]


def title_of(label: Mapping[str, Any], model: str) -> str:
    """The name of the model, as its label says it."""
    return str(label.get("title") or label.get("name") or model)


def sections(label: Mapping[str, Any]) -> list[Section]:
    """The attributes of a label by section, in their numbers' order."""
    rows = sorted(_rows(label), key=lambda row: row[1].number)
    return [Section(title, tuple(attribute for _, attribute in group)) for title, group in groupby(rows, key=lambda row: row[0])]


def _rows(label: Mapping[str, Any]) -> Iterator[tuple[str, Attribute]]:
    for entry in label.get("attributes") or ():
        value = str(entry.get("value") or UNKNOWN).strip()
        known = not value.lower().startswith(UNKNOWN)
        yield str(entry.get("section", "")), Attribute(int(entry.get("number", 0)), str(entry.get("attribute", "")), value, known)
