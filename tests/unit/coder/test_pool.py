"""The coder's process: started late, replaced when it dies, ended when it hangs."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from chartloop.kernel.errors import Unavailable
from predictions.pool import CoderPool


@pytest.fixture
def pool() -> Iterator[CoderPool]:
    made = CoderPool()
    yield made
    made.close()


def children(pool: CoderPool) -> list[int]:
    return list(pool._pool._processes) if pool._pool else []


@pytest.mark.conformance("Faults", "a killed coder process is replaced and the note is still coded")
def test_a_dead_child_is_replaced_and_the_note_is_still_coded(pool: CoderPool) -> None:
    assert children(pool) == []
    coded = pool.suggest("Assessment: Gout.")
    assert coded.version.startswith("icd10cm-")
    (first,) = children(pool)
    os.kill(first, signal.SIGKILL)
    assert pool.suggest("Assessment: Gout.") == coded
    assert children(pool) != [first]


@pytest.mark.conformance("Faults", "a coder process that does not answer in time is ended with a clear answer")
def test_a_child_that_does_not_answer_is_ended() -> None:
    hurried = CoderPool(timeout_s=0.01)
    with pytest.raises(Unavailable, match="in time"):
        hurried.suggest("Gout.")
    assert children(hurried) == []
    hurried.close()
