"""Memory of coded charts: which n-grams came with which codes, and which charts were alike.

A memory built from a chart must not score that chart while training: cross-fit it (predictions.coder_train does).
An n-gram is kept only if at least two charts have it, so that no chart can be read back from a memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from predictions.coder_text import NEGATED, Clause

MIN_CHARTS = 2
MAX_SHARE = 0.35
RIDGE = 1.0


class Gram(NamedTuple):
    """Where an n-gram first stands in a note."""

    start: int
    end: int
    flags: int


def note_grams(parts: Sequence[Clause]) -> dict[str, Gram]:
    """Return the 1- to 3-grams of a note; those from negated words are marked with '!'."""
    found: dict[str, Gram] = {}
    for clause in parts:
        tokens = [t for t in clause.tokens if not t.added]
        for n in range(len(tokens)):
            for size in (1, 2, 3):
                run = tokens[n : n + size]
                if len(run) < size:
                    break
                flags = run[0].flags
                for t in run[1:]:
                    flags &= t.flags
                key = ("!" if flags & NEGATED else "") + " ".join(t.stem for t in run)
                found.setdefault(key, Gram(run[0].start, run[-1].end, flags))
    return found


@dataclass(frozen=True, slots=True)
class Recall:
    """What a memory says about one note, one row per code it knows."""

    best: NDArray[np.float64]
    total: NDArray[np.float64]
    ridge: NDArray[np.float64]
    nearest: NDArray[np.float64]
    best_gram: NDArray[np.int64]
    grams: list[str]


@dataclass(frozen=True)
class Memory:
    """Sparse counts of (n-gram, code), TF-IDF rows of the charts and the dual weights of a ridge regression."""

    grams: dict[str, int]
    codes: list[str]
    prior: NDArray[np.float64]
    offsets: NDArray[np.int64]
    pair_code: NDArray[np.int32]
    pair_strength: NDArray[np.float32]
    pair_weight: NDArray[np.float32]
    idf: NDArray[np.float32]
    chart_offsets: NDArray[np.int64]
    chart_of: NDArray[np.int32]
    chart_weight: NDArray[np.float32]
    dual: NDArray[np.float32]
    labels: NDArray[np.float32]

    def recall(self, found: dict[str, Gram]) -> Recall:
        """Score every known code for one note."""
        known = [g for g in found if g in self.grams]
        ids = np.array([self.grams[g] for g in known], dtype=np.int64)
        size = len(self.codes)
        if not len(ids) or not size:
            zero = np.zeros(size)
            return Recall(zero, zero, zero, zero, np.zeros(size, dtype=np.int64), [])
        where, picks = _rows(self.offsets, ids)
        code, strength = self.pair_code[picks], self.pair_strength[picks]
        best, best_gram = np.zeros(size), np.zeros(size, dtype=np.int64)
        order = np.argsort(strength, kind="stable")
        best[code[order]] = strength[order]
        best_gram[code[order]] = where[order]
        total = np.bincount(code, self.pair_weight[picks], size)
        alike = self._alike(ids)
        charts, starts = self._charts_by_code
        nearest = np.maximum.reduceat(alike[charts], starts)
        ridge = np.einsum("i,ij->j", alike, self.dual)  # not a BLAS call: those start threads that get in each other's way
        return Recall(best, np.asarray(total, dtype=np.float64), np.asarray(ridge, dtype=np.float64), nearest.astype(np.float64), best_gram, known)

    @cached_property
    def _charts_by_code(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Charts of each code, and where each code's begin; every code has one."""
        codes, charts = np.nonzero(self.labels.T)
        return charts, np.searchsorted(codes, np.arange(len(self.codes)))

    def _alike(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Cosine of the note with every chart remembered."""
        weight = self.idf[ids]
        where, picks = _rows(self.chart_offsets, ids)
        dots = np.bincount(self.chart_of[picks], self.chart_weight[picks] * weight[where], len(self.dual))
        return np.asarray(dots / max(float(np.sqrt((weight**2).sum())), 1e-9), dtype=np.float32)


def _rows(offsets: NDArray[np.int64], ids: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Expand rows of a CSR matrix: for each entry, which of `ids` it belongs to and where it is stored."""
    sizes = offsets[ids + 1] - offsets[ids]
    where = np.repeat(np.arange(len(ids)), sizes)
    starts = np.repeat(offsets[ids] - np.concatenate(([0], np.cumsum(sizes)[:-1])), sizes)
    return where, starts + np.arange(int(sizes.sum()))


def build_memory(notes: Sequence[dict[str, Gram]], codes: Sequence[Sequence[str]]) -> Memory:
    """Remember fully coded charts."""
    charts = len(notes)
    seen = Counter(g for note in notes for g in note)
    grams = {g: n for n, g in enumerate(sorted(g for g, c in seen.items() if MIN_CHARTS <= c <= max(MAX_SHARE * charts, MIN_CHARTS)))}
    names = sorted({c for row in codes for c in row})
    at = {c: n for n, c in enumerate(names)}
    labels = np.zeros((charts, len(names)), dtype=np.float32)
    for n, row in enumerate(codes):
        labels[n, [at[c] for c in row]] = 1
    member = [(grams[g], n) for n, note in enumerate(notes) for g in note if g in grams]
    member.sort()
    gram_of, chart_of = (np.array(x, dtype=np.int64) for x in (zip(*member, strict=True) if member else ((), ())))
    count = np.bincount(gram_of, minlength=len(grams)).astype(np.float64)
    idf = np.log((charts + 1) / (count + 1)).astype(np.float32)
    norms = np.sqrt(np.bincount(chart_of, idf[gram_of] ** 2, charts)) + 1e-9
    weight = (idf[gram_of] / norms[chart_of]).astype(np.float32)
    offsets = np.searchsorted(gram_of, np.arange(len(grams) + 1)).astype(np.int64)
    prior = labels.mean(axis=0).astype(np.float64)
    pair_offsets, pair_code, strength, evidence = _pairs(offsets, chart_of, labels, count, prior)
    kernel = np.zeros((charts, charts))
    for n in range(len(grams)):
        rows, w = chart_of[offsets[n] : offsets[n + 1]], weight[offsets[n] : offsets[n + 1]]
        kernel[np.ix_(rows, rows)] += np.outer(w, w)
    dual = np.linalg.solve(kernel + RIDGE * np.eye(charts), labels - prior) if charts else np.zeros((0, 0))
    return Memory(
        grams, names, prior, pair_offsets, pair_code, strength, evidence, idf, offsets, chart_of.astype(np.int32), weight, dual.astype(np.float32), labels
    )


def _pairs(
    offsets: NDArray[np.int64], chart_of: NDArray[np.int64], labels: NDArray[np.float32], count: NDArray[np.float64], prior: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.float32], NDArray[np.float32]]:
    """Count codes per n-gram; strength is a shrunk P(code | n-gram), weight the evidence against chance."""
    codes, strengths, weights, sizes = [], [], [], [0]
    for n in range(len(offsets) - 1):
        both = labels[chart_of[offsets[n] : offsets[n + 1]]].sum(axis=0)
        some = np.flatnonzero(both)
        k, total = both[some].astype(np.float64), count[n]
        rate = (k + 3 * prior[some]) / (total + 3)
        lift = np.log(rate / prior[some])
        keep = (lift > 0) & ((k >= MIN_CHARTS) | (total <= 4))
        codes.append(some[keep].astype(np.int32))
        strengths.append(rate[keep].astype(np.float32))
        weights.append((k * lift / np.sqrt(total))[keep].astype(np.float32))
        sizes.append(int(keep.sum()))
    empty32 = np.zeros(0, dtype=np.float32)
    return (
        np.cumsum(sizes).astype(np.int64),
        np.concatenate(codes) if codes else np.zeros(0, dtype=np.int32),
        np.concatenate(strengths) if strengths else empty32,
        np.concatenate(weights) if weights else empty32,
    )
