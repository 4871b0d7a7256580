"""The text of `_filter` as a syntax tree; pure, and every error says at which character.

`and` and `or` are of one rank and read from left to right, as the specification has it. Besides its grammar a name may say
its type and lead backwards, as in plain parameters: `subject:Patient.name`, `_has:Observation:patient:code`.
Spec: https://hl7.org/fhir/R4/search_filter.html
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

import msgspec

MAX_LENGTH: Final = 4_000
MAX_DEPTH: Final = 12
"""Most parentheses and brackets around one test."""
MAX_TESTS: Final = 50

OPERATORS: Final = frozenset(
    ("eq", "ne", "co", "sw", "ew", "gt", "lt", "ge", "le", "ap", "sa", "eb", "pr", "po", "ss", "sb", "in", "ni", "re")
)

_SPACE: Final = re.compile(r"\s*")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_\-]*(?::[A-Za-z0-9_\-]+)*", re.ASCII)
_WORD: Final = re.compile(r"[a-z]+(?=[\s(]|\Z)", re.ASCII)
_TOKEN: Final = re.compile(r"[^\s)\]]+")
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)


class FilterError(Exception):
    """A filter cannot be read, or asks for too much; positions count characters from 1."""

    def __init__(self, text: str, position: int, code: str = "value") -> None:
        """Say what is wrong, and where."""
        super().__init__(f"{text} at character {position} of _filter.")
        self.code = code


class Step(NamedTuple):
    """One name of a path, and the filter in brackets behind it."""

    name: str
    within: Filter | None


class Comparison(NamedTuple):
    """`path operator value`; the value is a JSON string that was read, or a token as it stands."""

    path: tuple[Step, ...]
    operator: str
    value: str
    position: int
    """Of the operator."""


class Joined(NamedTuple):
    """Filters under `and` or `or`, or one under `not`."""

    word: str
    parts: tuple[Filter, ...]


Filter = Comparison | Joined


def read_filter_text(text: str) -> Filter:
    """Read a filter.

    Raises:
        FilterError: It is no filter, or it is too long, too deep or has too many tests.
    """
    if len(text) > MAX_LENGTH:
        raise FilterError(f"A filter has at most {MAX_LENGTH} characters, and this one goes on", MAX_LENGTH + 1, "too-costly")
    reader = _Reader(text)
    found = reader.filter(0)
    if reader.place < len(text):
        raise reader.error("Expected and, or, or the end")
    return found


class _Reader:
    def __init__(self, text: str) -> None:
        self.place = 0
        self._text = text
        self._tests = 0
        self._space()

    def error(self, text: str, code: str = "value") -> FilterError:
        return FilterError(text, self.place + 1, code)

    def filter(self, depth: int) -> Filter:
        """Read one filter with what is joined to it, up to a closing mark or the end."""
        found = self._one(depth)
        while word := self._word(("and", "or")):
            following = self._one(depth)
            before = found.parts if isinstance(found, Joined) and found.word == word else (found,)
            found = Joined(word, (*before, following))
        return found

    def _one(self, depth: int) -> Filter:
        if depth > MAX_DEPTH:
            raise self.error(f"A filter is at most {MAX_DEPTH} parentheses deep", "too-costly")
        if self._word(("not",)):
            if not self._ahead("("):
                raise self.error("Expected a filter in parentheses after not")
            return Joined("not", (self._enclosed("(", ")", depth),))
        return self._enclosed("(", ")", depth) if self._ahead("(") else self._test(depth)

    def _enclosed(self, opening: str, closing: str, depth: int) -> Filter:
        self._take(opening)
        found = self.filter(depth + 1)
        self._take(closing)
        return found

    def _test(self, depth: int) -> Comparison:
        self._tests += 1
        if self._tests > MAX_TESTS:
            raise self.error(f"A filter has at most {MAX_TESTS} tests", "too-costly")
        path = [self._step(depth)]
        while self._text[self.place : self.place + 1] == ".":
            self.place += 1
            path.append(self._step(depth))
        if path[-1].within is not None:
            raise self.error("Expected a point and a name after the brackets")
        self._space(needed="a space and an operator")
        position = self.place + 1
        operator = self._match(_NAME)
        if operator not in OPERATORS:
            self.place = position - 1
            raise self.error(f"Expected an operator ({' '.join(sorted(OPERATORS))})")
        self._space(needed="a space and a value")
        return Comparison(tuple(path), operator, self._value(), position)

    def _step(self, depth: int) -> Step:
        name = self._match(_NAME)
        if not name:
            raise self.error("Expected the name of a search parameter")
        within = self._enclosed("[", "]", depth) if self._text[self.place : self.place + 1] == "[" else None
        return Step(name, within)

    def _value(self) -> str:
        start = self.place
        quoted = self._text[start : start + 1] == '"'
        found = self._match(_STRING if quoted else _TOKEN)
        if not found:
            raise self.error("Expected the end of this string" if quoted else "Expected a value")
        if quoted:
            try:
                found = msgspec.json.decode(found, type=str)
            except (msgspec.DecodeError, UnicodeEncodeError):
                self.place = start
                raise self.error("Expected a JSON string") from None
        if "\x00" in found:
            self.place = start
            raise self.error("Expected no character U+0000")
        self._space()
        return found

    def _word(self, words: tuple[str, ...]) -> str:
        """Take one of some words, if it is next."""
        found = _WORD.match(self._text, self.place)
        if found is None or found[0] not in words:
            return ""
        self.place = found.end()
        self._space()
        return found[0]

    def _match(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._text, self.place)
        if found is None:
            return ""
        self.place = found.end()
        return found[0]

    def _ahead(self, mark: str) -> bool:
        return self._text.startswith(mark, self.place)

    def _take(self, mark: str) -> None:
        if not self._ahead(mark):
            raise self.error(f"Expected {mark}")
        self.place += len(mark)
        if mark != "]":
            self._space()

    def _space(self, needed: str = "") -> None:
        found = _SPACE.match(self._text, self.place)
        if needed and (found is None or not found[0]):
            raise self.error(f"Expected {needed}")
        self.place = found.end() if found else self.place
