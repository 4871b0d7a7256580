"""The functions of FHIRPath by name, and how each takes its arguments.

Spec: http://hl7.org/fhirpath/N1/#functions, https://hl7.org/fhir/R4/fhirpath.html#functions
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from fhir_server.fhirpath.run import Collection, Evaluate, Run, Scope


class Call(NamedTuple):
    """A call whose arguments are computed: its input, the arguments, and where it stands."""

    run: Run
    items: Collection
    arguments: list[Collection]
    at: int


class LazyCall(NamedTuple):
    """A call that computes its arguments itself, for each item or not at all."""

    scope: Scope
    items: Collection
    arguments: list[Evaluate]
    at: int


Plain = Callable[[Call], Collection]
Lazy = Callable[[LazyCall], Collection]


class Function(NamedTuple):
    """A function, and how many arguments it takes at least and at most."""

    least: int
    most: int
    plain: Plain | None = None
    lazy: Lazy | None = None


FUNCTIONS: Final[dict[str, Function]] = {}


def plain(least: int = 0, most: int | None = None, *, name: str = "") -> Callable[[Plain], Plain]:
    """Register a function whose arguments are computed before it, where the call stands."""

    def register(function: Plain) -> Plain:
        FUNCTIONS[name or _name(function.__name__)] = Function(least, least if most is None else most, plain=function)
        return function

    return register


def lazy(least: int = 0, most: int | None = None, *, name: str = "") -> Callable[[Lazy], Lazy]:
    """Register a function that computes its arguments itself, for each item."""

    def register(function: Lazy) -> Lazy:
        FUNCTIONS[name or _name(function.__name__)] = Function(least, least if most is None else most, lazy=function)
        return function

    return register


def _name(python: str) -> str:
    """Write a Python name in camelCase; a trailing underscore keeps Python's own words apart."""
    first, *rest = python.rstrip("_").split("_")
    return first + "".join(word.capitalize() for word in rest)
