"""Candidates of one note and their features: what the words say, what the memory says, how siblings compare."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from predictions.coder_lexicon import Hit, Lexicon
from predictions.coder_memory import Gram, Memory, Recall, note_grams
from predictions.coder_text import ASSESSMENT, COMPLAINT, EXAMINATION, FAMILY, HISTORY, HYPOTHETICAL, NEGATED, Clause, clauses
from terminology.icd10cm import Icd10cm

LEXICAL_CANDIDATES = 200
MEMORY_CANDIDATES = 160

FEATURES = (
    "lex_score",
    "lex_mass",
    "lex_coverage",
    "lex_title",
    "lex_words",
    "lex_added",
    "lex_count",
    "lex_sum",
    "lex_rank",
    "lex_first",
    "lex_tight",
    "lex_clean",
    "lex_negated",
    "lex_family",
    "lex_hypothetical",
    "lex_history",
    "lex_in_clause",
    "lex_gap",
    "mem_best",
    "mem_total",
    "mem_ridge",
    "mem_nearest",
    "mem_prior",
    "mem_known",
    "mem_rank",
    "mem_negated",
    "mem_family_best",
    "cat_lex",
    "cat_lex_gap",
    "cat_ridge",
    "cat_ridge_gap",
    "cat_size",
    "cat_best_gap",
    "code_leaf",
    "code_depth",
    "code_length",
    "code_unspecified",
    "code_title_words",
    "code_chapter",
    "note_clauses",
    "note_candidates",
    "ridge_rank",
    "ridge_gap",
    "lex_dominated",
    "lex_clause_words",
    "lex_share",
    "lex_assessment",
    "lex_complaint",
    "lex_examination",
    "lex_any_assessment",
    "note_assessment",
)


class Evidence(NamedTuple):
    """The span that speaks for a candidate and what its context says."""

    start: int
    end: int
    flags: int


@dataclass(frozen=True, slots=True)
class Candidates:
    """Candidate codes of one note, one feature row each, one evidence span each."""

    codes: list[str]
    rows: NDArray[np.float64]
    evidence: list[Evidence | None]


@dataclass(frozen=True, slots=True)
class Reading:
    """What does not depend on a memory: clauses, lexical hits and n-grams of one note."""

    clauses: list[Clause]
    hits: list[Hit]
    grams: dict[str, Gram]


def read_note(lexicon: Lexicon, text: str) -> Reading:
    """Do the memory-free half of the work once."""
    parts = clauses(text)
    return Reading(parts, lexicon.hits(parts), note_grams(parts))


class _Lexical:
    """Running summary of the hits of one code."""

    __slots__ = ("assessed", "best", "clean", "count", "dominated", "first", "flags", "rank", "score", "total")

    def __init__(self) -> None:
        self.score, self.total, self.count, self.clean, self.flags, self.rank, self.first = 0.0, 0.0, 0, 0.0, 15, 0, 0
        self.best: Hit | None = None
        self.dominated = 0.0
        self.assessed = 0.0

    def add(self, hit: Hit, rank: int, dominated: float) -> None:
        """Take one more hit into the summary."""
        score = _score(hit)
        self.total += score
        self.count += 1
        self.flags &= hit.flags
        if not hit.flags & (NEGATED | FAMILY | HYPOTHETICAL):
            self.clean = max(self.clean, score)
        if score > self.score or self.best is None:
            self.score, self.best, self.rank, self.dominated = score, hit, rank, dominated


def _score(hit: Hit) -> float:
    return hit.mass * hit.coverage**2 * (0.5 if hit.flags & (NEGATED | FAMILY | HYPOTHETICAL) else 1.0)


def _summaries(hits: list[Hit], assessed: list[bool]) -> dict[int, _Lexical]:
    found: dict[int, _Lexical] = {}
    for _, group in itertools.groupby(hits, key=lambda h: h.clause):
        same = list(group)
        over = _dominance(same)
        for rank, hit in enumerate(same):
            if hit.code not in found:
                found[hit.code] = _Lexical()
                found[hit.code].first = hit.start
            found[hit.code].add(hit, rank, float(over[rank]))
            if assessed[hit.clause]:
                found[hit.code].assessed = max(found[hit.code].assessed, _score(hit))
    return found


def _dominance(hits: list[Hit]) -> NDArray[np.float64]:
    """Say by how much another code that reads the same words and more beats each hit of one clause."""
    start, end, code = (np.array([h[n] for h in hits]) for n in (6, 7, 0))
    score = np.array([_score(h) for h in hits])
    overlaps = (start[:, None] < end[None, :]) & (start[None, :] < end[:, None]) & (code[:, None] != code[None, :])
    return np.asarray(np.where(overlaps, score[None, :], 0.0).max(axis=1) - score)


class Featurizer:
    """Turns a reading and a memory into candidates."""

    def __init__(self, icd: Icd10cm, lexicon: Lexicon) -> None:
        """Look the static facts of the codes up once."""
        self._icd, self._lexicon = icd, lexicon
        self._static: dict[str, tuple[float, ...]] = {}
        self._at = {c: n for n, c in enumerate(icd.codes)}

    def _code_facts(self, code: str) -> tuple[float, ...]:
        if code not in self._static:
            known = self._icd.lookup(code)
            title = known.display.lower() if known else ""
            self._static[code] = (
                float(known is not None and self._icd.billable(code)),
                float(len(list(self._icd.ancestors(code)))),
                float(len(code)),
                float("unspecified" in title),
                float(len(title.split())),
                float(self._icd.chapter(code) or 0),
            )
        return self._static[code]

    def candidates(self, reading: Reading, memory: Memory, text_length: int) -> Candidates:
        """Choose candidates by words and by memory, and describe each."""
        lexical = _summaries(reading.hits, [c.section == ASSESSMENT for c in reading.clauses])
        recall = memory.recall(reading.grams)
        at = {c: n for n, c in enumerate(memory.codes)}
        ranked = sorted(lexical, key=lambda c: -lexical[c].score)
        codes = dict.fromkeys(self._lexicon.codes[c] for c in ranked[:LEXICAL_CANDIDATES])
        for scores in (recall.ridge, recall.best, recall.total):
            codes |= dict.fromkeys(memory.codes[n] for n in np.argsort(-scores, kind="stable")[: MEMORY_CANDIDATES // 2])
        names = list(codes)
        lex_rank = {c: n for n, c in enumerate(ranked)}
        rows = np.zeros((len(names), len(FEATURES)))
        evidence: list[Evidence | None] = []
        mem_rank = _ranks(recall.total)
        ridge_rank = _ranks(recall.ridge)
        for n, code in enumerate(names):
            lex = lexical.get(self._at.get(code, -1))
            rows[n, :18] = _lexical_row(lex, lex_rank.get(self._at.get(code, -1), 999), text_length)
            m = at.get(code, -1)
            rows[n, 18:27] = _memory_row(recall, memory, reading, m, mem_rank)
            rows[n, 33:39] = self._code_facts(code)
            rows[n, 41] = ridge_rank[m] if m >= 0 else 999
            if lex is not None and lex.best is not None:
                words = len({t.start for t in reading.clauses[lex.best.clause].tokens})
                section = reading.clauses[lex.best.clause].section
                rows[n, 43:46] = lex.dominated, words, lex.best.words / words
                rows[n, 46:49] = section == ASSESSMENT, section == COMPLAINT, section == EXAMINATION
                rows[n, 49] = lex.assessed
            evidence.append(_evidence(lex, recall, reading, m))
        _siblings(rows, names)
        rows[:, 39], rows[:, 40] = len(reading.clauses), len(names)
        rows[:, 50] = any(c.section == ASSESSMENT for c in reading.clauses)
        rows[:, 42] = rows[:, 20] - rows[:, 20].max(initial=0)
        return Candidates(names, rows, evidence)


def _ranks(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    ranks = np.empty(len(scores), dtype=np.int64)
    ranks[np.argsort(-scores, kind="stable")] = np.arange(len(scores))
    return ranks


def _lexical_row(lex: _Lexical | None, rank: int, length: int) -> tuple[float, ...]:
    if lex is None or lex.best is None:
        return (0.0,) * 8 + (999.0, 1.0) + (0.0,) * 6 + (99.0, 0.0)
    hit = lex.best
    return (
        lex.score,
        hit.mass,
        hit.coverage,
        float(hit.title),
        float(hit.words),
        float(hit.added),
        float(lex.count),
        lex.total,
        float(rank),
        lex.first / max(length, 1),
        hit.words / max(hit.end - hit.start, 1),
        lex.clean,
        float(bool(lex.flags & NEGATED)),
        float(bool(lex.flags & FAMILY)),
        float(bool(lex.flags & HYPOTHETICAL)),
        float(bool(hit.flags & HISTORY)),
        float(lex.rank),
        lex.total - lex.score,
    )


def _memory_row(recall: Recall, memory: Memory, reading: Reading, m: int, ranks: NDArray[np.int64]) -> tuple[float, ...]:
    if m < 0 or not recall.grams:
        return (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 999.0, 0.0, 0.0)
    gram = reading.grams[recall.grams[int(recall.best_gram[m])]]
    return (
        float(recall.best[m]),
        float(recall.total[m]),
        float(recall.ridge[m]),
        float(recall.nearest[m]),
        float(memory.prior[m]),
        1.0,
        float(ranks[m]),
        float(bool(gram.flags & NEGATED)),
        float(bool(gram.flags & FAMILY)),
    )


def _evidence(lex: _Lexical | None, recall: Recall, reading: Reading, m: int) -> Evidence | None:
    """Prefer the words of the code itself; fall back on the n-gram that the memory knows."""
    if lex is not None and lex.best is not None and (lex.best.coverage >= 0.5 or m < 0):
        return Evidence(lex.best.start, lex.best.end, lex.flags if lex.best.flags & lex.flags else 0)
    if m >= 0 and recall.grams and recall.best[m] > 0:
        gram = reading.grams[recall.grams[int(recall.best_gram[m])]]
        return Evidence(gram.start, gram.end, gram.flags)
    return Evidence(lex.best.start, lex.best.end, lex.best.flags) if lex is not None and lex.best is not None else None


def _siblings(rows: NDArray[np.float64], names: list[str]) -> None:
    """Compare each candidate with the others of its three-character category."""
    groups: dict[str, list[int]] = {}
    for n, code in enumerate(names):
        groups.setdefault(code[:3], []).append(n)
    for members in groups.values():
        lex, ridge, best = rows[members, 0], rows[members, 20], rows[members, 18]
        rows[members, 27], rows[members, 28] = lex.max(), lex - lex.max()
        rows[members, 29], rows[members, 30] = ridge.sum(), ridge - ridge.max()
        rows[members, 31], rows[members, 32] = len(members), best - best.max()
