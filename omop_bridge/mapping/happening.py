"""A clinical statement that has not found its table yet: its concept's domain will tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from omop_bridge.mapping.coding import Coded
from omop_bridge.mapping.moments import Moment
from omop_bridge.mapping.values import Value


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that was done to, found in or said by a patient.

    Attributes:
        key: Path of the element it comes from.
        coded: What it is.
        start: When it was, or began.
        end: When it ended, where that is known.
        type_concept_id: Where the record comes from; never 0.
        table: Where it goes when no concept tells a domain.
        visit: visit_occurrence_id.
        value: A result.
        more: Further columns by table, written if it goes there.
    """

    key: str
    coded: Coded
    start: Moment
    type_concept_id: int
    table: str
    end: Moment | None = None
    visit: int | None = None
    value: Value | None = None
    more: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
