"""Which processors a process runs on.

Threads of one interpreter share its lock. On several cores they wake each other up for nothing each time it is let go, and
a server of many short requests spends most of its time on that; on one core they take turns.
Measured by `python -m bench.bench_fhir` with and without `--many-cores`.
"""

import os


def cores() -> frozenset[int]:
    """Return the processors that this thread may use; none where the system does not say."""
    return frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else frozenset()


def stay_on(chosen: frozenset[int]) -> None:
    """Keep this thread, and every thread and process that it starts from now on, on some processors."""
    if chosen and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, chosen)


def stay_on_one_core() -> None:
    """Keep this thread and what it starts on the last of the processors it may use; nothing where there is only one."""
    allowed = cores()
    if len(allowed) > 1:
        stay_on(frozenset({max(allowed)}))
