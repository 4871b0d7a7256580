"""ICD-10-CM as the server knows it: lookup, search, billable leaves, parents and Excludes1 conflicts.

Spec: https://www.cdc.gov/nchs/icd/icd-10-cm/files.html
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import msgspec
import zstandard

SYSTEM = "http://hl7.org/fhir/sid/icd-10-cm"
FACTS = Path(__file__).with_name("icd10cm.json.zst")

_CODE = r"[A-Z][0-9][0-9A-Z](?:\.[0-9A-Z]{0,4})?"
_SHAPE = re.compile(r"[A-Z][0-9][0-9A-Z](?:\.[0-9A-Z]{1,4})?")
_CITED = re.compile(rf"({_CODE})(?:-(?![A-Z]))?(?:\s*-\s*({_CODE})-?)?")
_WORD = re.compile(r"[a-z0-9]+")
_LENGTH_WITH_SEVENTH = 8  # "S72.001A": six characters, the dot and the seventh


@dataclass(frozen=True, slots=True)
class Concept:
    """One code with its title; billable means a leaf that a claim may carry."""

    code: str
    display: str
    billable: bool


def normalize(code: str) -> str:
    """Write a code the official way: upper case, with the dot after the third character.

    Spec: ICD-10-CM Official Guidelines, Section I.A.2.
    """
    plain = code.strip().upper().replace(".", "")
    return plain if len(plain) <= 3 else f"{plain[:3]}.{plain[3:]}"


class Icd10cm:
    """The tabular list; codes with a seventh character are derived from their definitions, not stored."""

    def __init__(self, facts: Mapping[str, Any]) -> None:
        """Take the decoded facts file; see terminology.generate_icd10cm."""
        self.release: str = facts["release"]
        self.codes: list[str] = facts["codes"].split("\n")
        self.titles: list[str] = facts["titles"].split("\n")
        self._facts = facts
        self._at = dict(zip(self.codes, range(len(self.codes)), strict=True))
        self._blocks = sorted((b[0].split("-")[0], b[0].split("-")[-1], b[0], b[2]) for b in facts["blocks"])
        self._cited: dict[str, tuple[tuple[str, str], ...]] = {}

    @cached_property
    def _inner(self) -> frozenset[str]:
        """Codes that have codes under them."""
        return frozenset(p for p in (self._stored_parent(c) for c in self.codes) if p)

    def _stored_parent(self, code: str) -> str:
        for end in range(len(code) - 1, 2, -1):
            prefix = code[:end].rstrip(".")
            if prefix in self._at and prefix != code:
                return prefix
        return ""

    def _stem(self, code: str) -> str:
        """Return the stored code under a code with a seventh character, '' if there is none."""
        if len(code) != _LENGTH_WITH_SEVENTH:
            return ""
        stem = code[:-1]
        while len(stem) >= 3:
            if stem in self._at:
                return stem if stem not in self._inner and code[-1] in self.seventh(stem) else ""
            if not stem.endswith(("X", ".")):
                return ""
            stem = stem[:-1]
        return ""

    def parent(self, code: str) -> str:
        """Return the next code up, '' for a category or an unknown code."""
        code = normalize(code)
        return self._stored_parent(code) if code in self._at else self._stem(code)

    def ancestors(self, code: str) -> Iterator[str]:
        """Yield the code itself, then every code above it up to the category."""
        step = normalize(code)
        while step:
            yield step
            step = self.parent(step)

    def children(self, code: str) -> list[str]:
        """Return the codes directly under a code, those with a seventh character included."""
        code = normalize(code)
        if code not in self._at:
            return []
        if code not in self._inner:
            return [self._with_seventh(code, c) for c in self.seventh(code)]
        start = self._at[code] + 1
        found = []
        for candidate in self.codes[start:]:
            if code not in self._above(candidate):
                break
            if self._stored_parent(candidate) == code:
                found.append(candidate)
        return found

    def _above(self, code: str) -> set[str]:
        return set(self.ancestors(code))

    @staticmethod
    def _with_seventh(code: str, char: str) -> str:
        plain = code.replace(".", "").ljust(6, "X") + char
        return f"{plain[:3]}.{plain[3:]}"

    def seventh(self, code: str) -> Mapping[str, str]:
        """Return the seventh characters a stored code takes, from its own note or the nearest above."""
        defined: Mapping[str, Mapping[str, str]] = self._facts["seventh"]
        step = code
        while step:
            if step in defined:
                return defined[step]
            step = self._stored_parent(step)
        return {}

    def billable(self, code: str) -> bool:
        """Say whether a claim may carry this code: a leaf, with its seventh character where one is required."""
        code = normalize(code)
        if code in self._at:
            return code not in self._inner and not self.seventh(code)
        return bool(self._stem(code))

    def lookup(self, code: str) -> Concept | None:
        """Find a code in any case, with or without the dot; None if the release does not have it."""
        code = normalize(code)
        if code in self._at:
            return Concept(code, self.titles[self._at[code]], self.billable(code))
        stem = self._stem(code)
        if not stem:
            return None
        return Concept(code, f"{self.titles[self._at[stem]]}, {self.seventh(stem)[code[-1]]}", billable=True)

    def terms(self, code: str) -> tuple[str, ...]:
        """Return the inclusion terms and includes notes of a stored code."""
        return (*self._facts["inclusion"].get(code, ()), *self._facts["includes"].get(code, ()))

    def notes(self, kind: str, code: str) -> tuple[str, ...]:
        """Return the notes of a kind (excludes1, excludes2, code_first, use_additional, code_also) on a code."""
        return tuple(self._facts[kind].get(code, ()))

    def chapter(self, code: str) -> str:
        """Return the chapter number of a code ('5' is mental, behavioral and neurodevelopmental disorders), '' if unknown."""
        block = self._block(code)
        return block[3] if block else ""

    def _block(self, code: str) -> tuple[str, str, str, str] | None:
        category = normalize(code)[:3]
        at = bisect.bisect_right(self._blocks, (category, "\x7f", "", "")) - 1
        for low, high, id_, chapter in reversed(self._blocks[: at + 1]):
            if low <= category <= high:
                return low, high, id_, chapter
        return None

    def excludes1(self, first: str, second: str) -> bool:
        """Say whether an Excludes1 note forbids the two codes on one claim, in either direction.

        Spec: ICD-10-CM Official Guidelines, Section I.A.12.a.
        """
        first, second = normalize(first), normalize(second)
        return first != second and (self._forbids(first, second) or self._forbids(second, first))

    def _forbids(self, code: str, other: str) -> bool:
        keys = list(self.ancestors(code))
        block = self._block(code)
        if block:
            keys += [f"block {block[2]}", f"chapter {block[3]}"]
        return any(low <= other <= high for key in keys for low, high in self._ranges(key) if not low <= code <= high)

    def _ranges(self, key: str) -> tuple[tuple[str, str], ...]:
        """Return the code ranges that the Excludes1 notes of a key cite, parsed once."""
        if key not in self._cited:
            self._cited[key] = tuple(r for note in self._facts["excludes1"].get(key, ()) for r in cited_ranges(note))
        return self._cited[key]

    def search(self, text: str, *, limit: int = 20) -> list[Concept]:
        """Find codes by code prefix or by the beginnings of all words in title or inclusion term, best first."""
        if _SHAPE.fullmatch(normalize(text)) and self.lookup(text):
            found = [*self.ancestors(text)][:1] + self.children(text)
            return [c for c in (self.lookup(f) for f in found) if c][:limit]
        words = _WORD.findall(text.lower())
        hits = [] if not words else [(self._rank(code, words, line), n) for n, (code, line) in enumerate(self._lines) if all(w in line for w in words)]
        best = sorted(h for h in hits if h[0][0] < 2)[:limit]
        return [c for c in (self.lookup(self._lines[n][0]) for _, n in best) if c]

    def _rank(self, code: str, words: list[str], line: str) -> tuple[int, int, int, str]:
        starts = all(re.search(rf"\b{w}", line) for w in words)
        return (0 if starts else 2, 0 if self.billable(code) else 1, len(line), code)

    @cached_property
    def _lines(self) -> list[tuple[str, str]]:
        """One searchable lower-case line per code."""
        return [(c, " | ".join((t, *self._facts["inclusion"].get(c, ()))).lower()) for c, t in zip(self.codes, self.titles, strict=True)]


def cited_ranges(note: str) -> list[tuple[str, str]]:
    """Parse the codes an instructional note cites: "(E08.-)", "(J09-J11)", "(A00.0, B20)" to ranges of dotted codes."""
    found = []
    for part in re.findall(r"\(([^()]*)\)", note):
        for match in _CITED.finditer(part):
            low, high = match.group(1).rstrip("."), (match.group(2) or match.group(1)).rstrip(".")
            found.append((low, high + "~"))
    return found


@cache
def load(path: Path = FACTS) -> Icd10cm:
    """Read the facts file once per process."""
    return Icd10cm(msgspec.json.decode(zstandard.ZstdDecompressor().decompress(path.read_bytes())))
