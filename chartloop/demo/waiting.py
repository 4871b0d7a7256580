"""Wait for what the running parts do by themselves."""

from __future__ import annotations

import time
from collections.abc import Callable

from chartloop.demo.steps import require
from chartloop.kernel.clock import monotonic_s

PATIENCE_S = 240.0


def wait_for(done: Callable[[], bool], what: str, seen: Callable[[], str]) -> None:
    """Look again and again.

    Raises:
        StepFailed: It took too long; the message says what was seen last.
    """
    deadline = monotonic_s() + PATIENCE_S
    while not done():
        require(monotonic_s() < deadline, f"waited {PATIENCE_S:.0f} s for {what}: {seen()}")
        time.sleep(0.25)
