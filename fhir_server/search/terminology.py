"""The port through which a search asks about codes; whoever puts the server together says who answers.

Spec: https://hl7.org/fhir/R4/terminology-service.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

Codes = Mapping[str, frozenset[str] | None]
"""Codes by system; None in the place of codes: every code of the system."""


class Terminology(Protocol):
    """Somebody who knows codes. None means: this I cannot answer; it never means: nothing."""

    def expand(self, value_set: str) -> Codes | None:
        """Codes of a value set by its canonical address, with or without a version."""
        ...

    def below(self, system: str, code: str) -> frozenset[str] | None:
        """A code and every code that it subsumes."""
        ...

    def above(self, system: str, code: str) -> frozenset[str] | None:
        """A code and every code that subsumes it."""
        ...


class NoTerminology:
    """Knows nothing, so that everything that needs a terminology is refused."""

    def expand(self, value_set: str) -> Codes | None:
        """Know no value set."""
        return None

    def below(self, system: str, code: str) -> frozenset[str] | None:
        """Know no code."""
        return None

    def above(self, system: str, code: str) -> frozenset[str] | None:
        """Know no code."""
        return None


class Terminologies:
    """Several of them: the first that knows answers."""

    def __init__(self, members: Sequence[Terminology]) -> None:
        """Take them in the order in which they are asked."""
        self._members = members

    def expand(self, value_set: str) -> Codes | None:
        """Codes of a value set."""
        return next((found for each in self._members if (found := each.expand(value_set)) is not None), None)

    def below(self, system: str, code: str) -> frozenset[str] | None:
        """A code and every code that it subsumes."""
        return next((found for each in self._members if (found := each.below(system, code)) is not None), None)

    def above(self, system: str, code: str) -> frozenset[str] | None:
        """A code and every code that subsumes it."""
        return next((found for each in self._members if (found := each.above(system, code)) is not None), None)
