"""Work under a hard deadline: whoever waits is let go, whatever the other side does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from chartloop.kernel.clock import monotonic_s

T = TypeVar("T")


class TooLateError(Exception):
    """There was no answer in time."""


class _Job(Generic[T]):
    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._done = threading.Event()
        self._result: T | None = None
        self._error: Exception | None = None
        threading.Thread(target=self._run, daemon=True, name="chartloop-cds-call").start()

    def _run(self) -> None:
        try:
            self._result = self._work()
        except Exception as error:  # carried to whoever waits
            self._error = error
        finally:
            self._done.set()

    def result(self, seconds: float) -> T | Exception:
        if not self._done.wait(max(0.0, seconds)):
            return TooLateError()
        return self._error if self._error is not None else self._result  # type: ignore[return-value]


def side_by_side(works: Sequence[Callable[[], T]], seconds: float) -> list[T | Exception]:
    """Do several things at once, and give the result or the error of each; TooLateError for those that are not done in time."""
    end = monotonic_s() + seconds
    jobs = [_Job(work) for work in works]
    return [job.result(end - monotonic_s()) for job in jobs]
