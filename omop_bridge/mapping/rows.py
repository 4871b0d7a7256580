"""What the mapping gives: rows, and what was left out with its reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from omop_bridge.mapping.coding import Coder

Element = Mapping[str, Any]
"""A parsed JSON object; decimals are `Decimal`, so that 72.50 stays 72.50."""


class Row(NamedTuple):
    """One row; `key` is the path of the element it comes from and a number, stable inside the resource.

    `values` lacks the primary key and person_id, which whoever writes the row knows.
    """

    table: str
    key: str
    values: dict[str, Any]


class Excluded(NamedTuple):
    """An element that gives no row; the key "" is the whole resource."""

    key: str
    reason: str


class Mapped(NamedTuple):
    """What one resource gives."""

    rows: tuple[Row, ...] = ()
    excluded: tuple[Excluded, ...] = ()


@dataclass(frozen=True, slots=True)
class Profile:
    """What a site decides.

    Attributes:
        orders: A MedicationRequest of any order counts as an exposure; else only `instance-order`, as the guide's test suite wants.
        text: Words may enter the database: the text of notes, and results that are words.
    """

    orders: bool = True
    text: bool = False


@dataclass(frozen=True, slots=True)
class Context:
    """What a resource's rows need to know of other resources.

    Attributes:
        coder: Finds concepts.
        profile: What the site decided.
        visit: The row of the Encounter it belongs to.
        care_site: The row of the Organization it names.
        medication: Looks up the code of a Medication by its reference; None where it is unknown.
    """

    coder: Coder
    profile: Profile = field(default_factory=Profile)
    visit: int | None = None
    care_site: int | None = None
    medication: Callable[[str], Element | None] = lambda _reference: None


def excluded(reason: str, key: str = "") -> Mapped:
    """Say that nothing comes of a resource, and why."""
    return Mapped((), (Excluded(key, reason),))
