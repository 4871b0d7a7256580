"""Lexical retrieval: find the code titles and inclusion terms whose words a clause covers, weighted by rarity (IDF)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from predictions.coder_text import Clause, content_stems
from terminology.icd10cm import Icd10cm

TOP_STRINGS = 16
MIN_COVERAGE = 0.34


class Hit(NamedTuple):
    """One string of the code system found in one clause."""

    code: int
    clause: int
    mass: float
    coverage: float
    title: bool
    words: int
    start: int
    end: int
    flags: int
    added: int


class Lexicon:
    """Postings from stems to strings of the code system, and from strings to codes."""

    def __init__(self, icd: Icd10cm) -> None:
        """Index every title and inclusion term once (about one second)."""
        self.codes = icd.codes
        strings: list[tuple[int, bool, tuple[str, ...]]] = []
        for n, code in enumerate(icd.codes):
            strings.append((n, True, tuple(dict.fromkeys(content_stems(icd.titles[n])))))
            strings += [(n, False, tuple(dict.fromkeys(content_stems(t)))) for t in icd.terms(code)]
        strings = [s for s in strings if s[2]]
        self.code_of = np.array([s[0] for s in strings], dtype=np.int32)
        self.is_title = np.array([s[1] for s in strings], dtype=bool)
        self.stems = [s[2] for s in strings]
        self._index(len(strings))

    def _index(self, count: int) -> None:
        postings: dict[str, list[int]] = {}
        for n, stems in enumerate(self.stems):
            for s in stems:
                postings.setdefault(s, []).append(n)
        self.postings = {s: np.array(p, dtype=np.int32) for s, p in postings.items()}
        self.idf = {s: float(np.log((count + 1) / (len(p) + 1))) for s, p in postings.items()}
        self.total = np.array([sum(self.idf[s] for s in stems) for stems in self.stems])
        self.count = count

    def hits(self, parts: list[Clause]) -> list[Hit]:
        """Return the best strings per clause with the span of the words that matched."""
        found: list[Hit] = []
        for number, clause in enumerate(parts):
            places: dict[str, list[int]] = {}
            for n, token in enumerate(clause.tokens):
                if token.stem in self.postings:
                    places.setdefault(token.stem, []).append(n)
            if places:
                found += self._of_clause(number, clause, places)
        return found

    def _of_clause(self, number: int, clause: Clause, places: dict[str, list[int]]) -> list[Hit]:
        ids = np.concatenate([self.postings[s] for s in places])
        weights = np.concatenate([np.full(len(self.postings[s]), self.idf[s]) for s in places])
        mass = np.asarray(np.bincount(ids, weights, self.count), dtype=np.float64)
        best = self._best(mass)
        return [self._hit(int(n), number, clause, places, float(mass[n])) for n in best]

    def _best(self, mass: NDArray[np.float64]) -> NDArray[np.int64]:
        some = np.flatnonzero(mass > MIN_COVERAGE * self.total)
        score = mass[some] ** 2 / self.total[some]
        if len(some) > TOP_STRINGS:
            keep = np.argpartition(-score, TOP_STRINGS)[:TOP_STRINGS]
            some, score = some[keep], score[keep]
        return np.asarray(some[np.lexsort((some, -score))], dtype=np.int64)

    def _hit(self, string: int, number: int, clause: Clause, places: dict[str, list[int]], mass: float) -> Hit:
        matched = [s for s in self.stems[string] if s in places]
        anchor = min(places[matched[0]], key=lambda n: n)
        tokens = [clause.tokens[min(places[s], key=lambda n: abs(n - anchor))] for s in matched]
        flags = tokens[0].flags  # "diabetes without complications" is not negated, though "complications" is
        for t in tokens[1:]:
            flags &= t.flags
        return Hit(
            int(self.code_of[string]),
            number,
            mass,
            mass / float(self.total[string]),
            bool(self.is_title[string]),
            len(matched),
            min(t.start for t in tokens),
            max(t.end for t in tokens),
            flags,
            sum(t.added for t in tokens),
        )
