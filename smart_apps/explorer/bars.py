"""The black bars: which elements of a type a reader's rules hide, told from the rules alone.

They stand where an element would stand, whether or not anything is stored there: a bar says nothing about the record.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from chartloop.kernel.access.element_paths import shows
from chartloop.kernel.access.engine import View

_OWN = frozenset({"id", "meta", "implicitRules", "language", "contained", "extension", "modifierExtension"})


class Bar(NamedTuple):
    """An element that is hidden, wholly or in parts, and the policies that hide it."""

    element: str
    policies: tuple[str, ...]
    partly: bool


def bars(elements: Iterable[str], views: Sequence[View]) -> list[Bar]:
    """Find what is hidden of the top elements of a type.

    Args:
        elements: Names of the elements, `value[x]` for a choice.
        views: What each policy that permits shows; what all of them show is shown.
    """
    found = []
    for element in elements:
        if element in _OWN:
            continue
        hiding = [(view.policy, _partly(view.shown, element)) for view in views if view.shown is not None and not shows(view.shown, _plain(element))]
        if hiding:
            found.append(Bar(element, tuple(policy for policy, _ in hiding), all(partly for _, partly in hiding)))
    return found


def _partly(shown: frozenset[str], element: str) -> bool:
    stem = _plain(element)
    return any(path.partition(".")[0].startswith(stem) if element.endswith("[x]") else path.startswith(f"{stem}.") for path in shown)


def _plain(element: str) -> str:
    return element.removesuffix("[x]")
