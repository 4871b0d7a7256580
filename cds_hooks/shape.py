"""Members of JSON that strangers wrote: each is taken with its kind, and what is wrong is noted with its path."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from math import isfinite
from typing import Any, Final, TypeVar

from chartloop.kernel.errors import Invalid, Issue

T = TypeVar("T")

_WORDS: Final[Mapping[type, str]] = {str: "a string", dict: "an object", list: "an array", int: "a whole number"}
MOST_ISSUES: Final = 20


class Shape:
    """What was found wrong so far; paths look like `context.patientId` and `feedback[0].card`."""

    def __init__(self) -> None:
        """Begin with nothing wrong."""
        self.issues: list[Issue] = []

    def fault(self, path: str, text: str) -> None:
        """Note one thing that is wrong; a long list helps nobody."""
        if len(self.issues) < MOST_ISSUES:
            self.issues.append(Issue("error", "invalid", text, path))

    def take(self, holder: Mapping[str, Any], name: str, kind: type[T], path: str = "", *, required: bool = False) -> T | None:
        """Return a member of this kind; None where it is absent or of another kind, which is noted."""
        value = holder.get(name)
        where = joined(path, name)
        if value is None:
            if required:
                self.fault(where, "This is required.")
            return None
        if not isinstance(value, kind) or isinstance(value, bool):
            self.fault(where, f"This must be {_WORDS[kind]}.")
            return None
        if required and value in ("", {}, []):
            self.fault(where, "This must not be empty.")
            return None
        return value

    def number(self, holder: Mapping[str, Any], name: str, path: str = "") -> float | None:
        """Return a finite number, or None."""
        value = holder.get(name)
        if value is None:
            return None
        found = _finite(value)
        if found is None:
            self.fault(joined(path, name), "This must be a number.")
        return found

    def objects(self, holder: Mapping[str, Any], name: str, path: str = "") -> list[tuple[str, dict[str, Any]]]:
        """Return the objects of an array with their paths."""
        found = []
        for index, item in enumerate(self.take(holder, name, list, path) or []):
            where = f"{joined(path, name)}[{index}]"
            if isinstance(item, dict):
                found.append((where, item))
            else:
                self.fault(where, "This must be an object.")
        return found

    def refuse(self) -> None:
        """Raise Invalid with every issue, if there is one."""
        if self.issues:
            raise Invalid(issues=self.issues)


def joined(path: str, name: str) -> str:
    """A path and a member of what it leads to."""
    return f"{path}.{name}" if path else name


def _finite(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if isfinite(number) else None
