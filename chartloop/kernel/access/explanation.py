"""Why a decision is what it is: which policies spoke for it and against it, on what they looked, and what they leave of the row."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Explanation:
    """One decision on one row.

    Attributes:
        permitted: The decision.
        permits: Names (@id) of the policies that permit it, each with its allow-list of elements or "".
        forbids: Names of those that forbid it; one is enough.
        scopes: Whether the SMART scopes reach the row.
        facts: Grants that hold for this subject and this row ("treated", "brokenGlass" …).
        asked: Attributes that the policies looked at for this role, action and type.
        elements: Element paths that are shown; None = all of them.
        narrowed: Scopes with search parameters that speak of the type and do not reach the row, each with why.
    """

    permitted: bool
    permits: tuple[tuple[str, str], ...]
    forbids: tuple[str, ...]
    scopes: bool
    facts: tuple[str, ...]
    asked: tuple[str, ...]
    elements: tuple[str, ...] | None
    narrowed: tuple[tuple[str, str], ...] = ()
