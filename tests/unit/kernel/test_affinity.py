"""A process can be kept on one core, and what it starts can leave it again."""

import threading

import pytest

from chartloop.kernel.affinity import cores, stay_on, stay_on_one_core


@pytest.mark.skipif(len(cores()) < 2, reason="one core only")
def test_a_thread_that_stays_on_one_core_keeps_what_it_starts_there():
    seen: list[frozenset[int]] = []

    def look() -> None:
        everywhere = cores()
        stay_on_one_core()
        inner = threading.Thread(target=lambda: seen.append(cores()))
        inner.start()
        inner.join()
        stay_on(everywhere)
        seen.append(cores())

    before = cores()
    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [frozenset({max(before)}), before]
    assert cores() == before


def test_no_cores_change_nothing():
    before = cores()
    stay_on(frozenset())
    assert cores() == before
