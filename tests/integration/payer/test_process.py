"""The simulated payers as a process of the demo."""

import signal
from pathlib import Path

import pytest

from chartloop.demo.parts import start_payers
from chartloop.demo.processes import Parts, free_port


@pytest.mark.parametrize("interrupts", [signal.default_int_handler, signal.SIG_IGN], ids=["in a terminal", "in the background"])
def test_payers_end_when_they_are_asked_wherever_the_demo_was_started(tmp_path: Path, interrupts: object) -> None:
    before = signal.signal(signal.SIGINT, interrupts)  # a shell lets what it starts in the background ignore Ctrl-C
    try:
        with Parts(tmp_path) as parts:
            start_payers(parts, free_port(0), seed=1)
            assert parts.stop("payer") == 0
    finally:
        signal.signal(signal.SIGINT, before)
