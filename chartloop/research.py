"""The research database beside a store: catch up once, or build it anew.

On SQLite one process owns the store. While `chartloop serve` runs, the consumer runs inside it: `sync` then waits until that has
nothing left to do, and `rebuild` refuses. On PostgreSQL both work beside any number of processes.
"""

from __future__ import annotations

import time
from contextlib import nullcontext

from chartloop.app import Kernel, open_door, open_kernel
from chartloop.engines import omop_consumer, omop_writer, subject
from chartloop.kernel import clock
from chartloop.kernel.broker_table import TableBus
from chartloop.kernel.config import Settings
from chartloop.kernel.db import open_database
from chartloop.kernel.errors import Conflict, Unavailable
from chartloop.kernel.process_lock import ProcessLock
from chartloop.kernel.worker import Worker
from omop_bridge.database import open_lineage
from omop_bridge.rebuild import rebuild as rebuild_all
from omop_bridge.rebuild import store_source
from omop_bridge.runs import SYNC, Run, latest
from omop_bridge.sync import OmopConsumer

_LOOK_S = 0.2


def sync(settings: Settings, wait_s: float) -> list[Run]:
    """Bring the research database to what the store says now; build it first if it was never built. Return the runs that did it.

    Raises:
        Unavailable: Events still wait after `wait_s` seconds.
    """
    try:
        lock = _own(settings)
    except Conflict:
        return [_wait_for_server(settings, wait_s)]
    with lock, open_kernel(settings) as kernel:
        if settings.embedded:
            kernel.bus.take_over()
        built = [_rebuild(kernel)] if _last_run(settings) is None else []
        return [*built, _drain(kernel, wait_s)]


def rebuild(settings: Settings) -> Run:
    """Build the research database anew from the store.

    Raises:
        Conflict: On SQLite, a server owns the store.
    """
    with _own(settings), open_kernel(settings) as kernel:
        return _rebuild(kernel)


def _own(settings: Settings) -> ProcessLock | nullcontext[None]:
    return ProcessLock(settings.data) if settings.embedded else nullcontext()


def _rebuild(kernel: Kernel) -> Run:
    writer = omop_writer(kernel.settings)
    try:
        return rebuild_all(writer, store_source(open_door(kernel).repository, subject(kernel, "omop")))
    finally:
        writer.close()


def _drain(kernel: Kernel, wait_s: float) -> Run:
    consumer = omop_consumer(kernel, open_door(kernel).repository, SYNC)
    consumer.open()
    worker = Worker(kernel.database, kernel.bus, [consumer], [], kernel.settings.worker)
    worker.start()
    try:
        idle = worker.idle(wait_s)
    finally:
        worker.stop()
    run = consumer.close()
    if not idle or run is None:
        raise Unavailable(_waiting(kernel.bus, wait_s))
    return run


def _wait_for_server(settings: Settings, wait_s: float) -> Run:
    """The server follows by itself: wait until it has."""
    database = open_database(settings.database_url)
    try:
        bus, end_s = TableBus(database), clock.monotonic_s() + wait_s
        while bus.waiting_for(OmopConsumer.name):
            if clock.monotonic_s() > end_s:
                raise Unavailable(_waiting(bus, wait_s))
            time.sleep(_LOOK_S)
    finally:
        database.close()
    run = _last_run(settings)
    if run is None:
        raise Unavailable("The server has followed no event yet; stop it and run `chartloop omop rebuild` to begin with what is stored.")
    return run


def _waiting(bus: TableBus, wait_s: float) -> str:
    return f"After {wait_s:g} s {bus.waiting_for(OmopConsumer.name)} events still wait for the research database; see `chartloop events dlq list`, or wait longer."


def _last_run(settings: Settings) -> Run | None:
    lineage = open_lineage(settings.omop_lineage_url)
    try:
        with lineage.read() as session:
            return latest(session)
    finally:
        lineage.close()
