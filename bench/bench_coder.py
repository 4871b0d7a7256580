"""How fast notes are coded and how well: `python -m bench.bench_coder [--notes N] [--corpus DIR]`."""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

from bench.machine import machine
from predictions.cli_coding import as_table
from predictions.coder import Coder
from predictions.coder_report import report
from predictions.codiesp import read_charts
from predictions.pool import CoderPool
from predictions.synthetic_notes import synthetic_charts
from terminology.icd10cm import load

SEED = 31
TARGET_P50_MS = 50.0
CORPUS = Path(__file__).parents[2] / "shared" / "data" / "notes" / "codiesp-dev.tar.xz"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--notes", type=int, default=300)
    arguments.add_argument("--corpus", type=Path, default=CORPUS)
    given = arguments.parse_args()
    began = time.perf_counter()
    icd = load()
    texts = [c.text for c in synthetic_charts(icd, "B", charts=given.notes, seed=SEED)]
    coder = Coder.open()
    coder.suggest(texts[0])
    print(f"{machine()}; seed {SEED}; model {coder.version}")
    print(f"cold start (code system, model, lexicon, first note, {given.notes} notes written): {time.perf_counter() - began:.2f} s")
    times = []
    for text in texts:
        at = time.perf_counter()
        coder.suggest(text)
        times.append((time.perf_counter() - at) * 1000)
    _line("synthetic notes, in process", times)
    pool = CoderPool()
    pool.warm_up()
    times = []
    for text in texts:
        at = time.perf_counter()
        pool.suggest(text)
        times.append((time.perf_counter() - at) * 1000)
    pool.close()
    _line("synthetic notes, through the process pool", times)
    if given.corpus.exists():
        print(f"shipped model on {given.corpus.name}:\n{as_table(report(coder, read_charts(given.corpus), icd))}")
    else:
        print(f"skipped the report on coded charts: {given.corpus} is absent")


def _line(name: str, times: list[float]) -> None:
    ranked = sorted(times)
    p99 = ranked[int(len(ranked) * 0.99) - 1]
    print(
        f"{name}: {len(times)} notes, {1000 / statistics.fmean(times):.0f} notes/s, p50 {statistics.median(times):.1f} ms (target {TARGET_P50_MS:.0f}), p99 {p99:.1f} ms"
    )


if __name__ == "__main__":
    main()
