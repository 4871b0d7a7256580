"""What can go wrong with a FHIRPath expression; texts name functions and positions, never values of a resource.

Spec: http://hl7.org/fhirpath/N1/#error-handling
"""

from __future__ import annotations


class FHIRPathError(ValueError):
    """The expression cannot be used."""

    def __init__(self, text: str, at: int | None = None) -> None:
        """Take a sentence, and where in the expression it is about (a character, from 0)."""
        super().__init__(text if at is None else f"{text} (at character {at + 1})")
        self.at = at


class Unreadable(FHIRPathError):
    """It is not FHIRPath."""


class Meaningless(FHIRPathError):
    """It is FHIRPath, but names an element, a function or a type that does not exist here."""


class Failed(FHIRPathError):
    """It cannot be computed for this input: several items where one must be, a text where a number must be."""


class Unanswerable(FHIRPathError):
    """It asks for what is not known here: a value set, a profile, another resource."""


class TooCostly(FHIRPathError):
    """It takes more steps than it may."""
