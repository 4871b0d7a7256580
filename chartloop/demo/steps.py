"""The steps of a demo: one line of progress each, and the summary that says whether every one held."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from chartloop.demo.processes import write_json
from chartloop.kernel.clock import monotonic_s

Counts = dict[str, int]


class StepFailed(Exception):
    """A step did not hold; the message says what was seen instead."""


@dataclass(slots=True)
class Steps:
    """What was done, in order; `complete` once the last step was reached: what ends a demo between two steps is no success either."""

    console: Console = field(default_factory=lambda: Console(highlight=False, soft_wrap=True))
    done: list[dict[str, Any]] = field(default_factory=list)
    trace: dict[str, Any] = field(default_factory=dict)
    complete: bool = False

    @contextmanager
    def step(self, name: str, sentence: str) -> Iterator[Counts]:
        """Do one step; what it puts into the counts is shown and kept.

        An exception marks the step as not held and ends the demo.
        """
        started = monotonic_s()
        counts: Counts = {}
        interactive = self.console.is_terminal
        status = self.console.status(sentence) if interactive else None
        if status:
            status.start()
        ok = False
        try:
            yield counts
            ok = True
        finally:
            if status:
                status.stop()
            seconds = round(monotonic_s() - started, 3)
            self.done.append({"name": name, "ok": ok, "seconds": seconds, "counts": dict(counts)})
            self._line(ok, sentence, seconds, counts)

    def _line(self, ok: bool, sentence: str, seconds: float, counts: Counts) -> None:
        shown = ", ".join(f"{value:,} {name.replace('_', ' ')}" for name, value in counts.items())
        mark = "[green]ok[/]" if ok else "[red]failed[/]"
        self.console.print(f"{mark} {sentence} ({seconds:.1f} s){': ' + shown if shown else ''}")
        sys.stdout.flush()

    def summary(self) -> dict[str, Any]:
        """Schema: docs/reference/demo-summary.schema.json."""
        keys = ("documentreference", "task", "claim", "isa13", "paymentreconciliation", "observation", "riskassessment", "card")
        return {
            "ok": self.complete and all(step["ok"] for step in self.done),
            "steps": self.done,
            "trace": {**{key: self.trace.get(key, "") for key in keys}, "omop": self.trace.get("omop", [])},
        }

    def write(self, path: Path | None) -> None:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, self.summary())


def require(condition: bool, seen: str) -> None:
    """Hold a step to what it promises.

    Raises:
        StepFailed: The condition is false.
    """
    if not condition:
        raise StepFailed(seen)
