"""A process of its own for the coder: it never opens the database, starts at the first note and is replaced when it dies."""

from __future__ import annotations

import multiprocessing
import os
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.util import Finalize
from pathlib import Path

from chartloop.kernel.affinity import stay_on
from chartloop.kernel.errors import Unavailable
from predictions.coder import Coder, Suggestion
from predictions.coder_model import SHIPPED

_WARM_UP = "Warm-up: essential hypertension."
_loaded: list[Coder] = []


@dataclass(frozen=True, slots=True)
class Coded:
    """What the coder said of one note, and which exact model said it."""

    suggestions: tuple[Suggestion, ...]
    version: str
    model_hash: str


def _start(model: Path, cores: frozenset[int]) -> None:
    """Load the model in the child and pay the cost of the first note; a parent that stays on one core does not keep it there."""
    stay_on(cores)
    threading.Thread(target=_end_with_parent, name="chartloop-orphan-watch", daemon=True).start()
    coder = Coder.open(model)
    coder.suggest(_WARM_UP)
    _loaded[:] = [coder]


def _end_with_parent() -> None:
    """A parent that is killed tells nobody: without this the child would wait for notes for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _suggest(text: str) -> Coded:
    coder = _loaded[0]
    return Coded(tuple(coder.suggest(text)), coder.version, coder.model_hash)


class CoderPool:
    """One spawned worker; calls are safe from any thread."""

    def __init__(self, model: Path = SHIPPED, *, timeout_s: float = 30.0, cores: frozenset[int] = frozenset()) -> None:
        """Remember the model; no process is started before the first note or `warm_up`. Without cores it runs where its parent does."""
        self._model, self._timeout_s, self._cores = model, timeout_s, cores
        self._lock = threading.Lock()
        self._pool: ProcessPoolExecutor | None = None

    def warm_up(self) -> None:
        """Start the child and wait until it can answer."""
        self.suggest(_WARM_UP)

    def suggest(self, text: str) -> Coded:
        """Suggest codes in the child; a child that died is replaced once, one that hangs is ended.

        Raises:
            Unavailable: The child died twice or did not answer in time; the caller may try again later.
        """
        for _ in range(2):
            pool = self._running()
            try:
                return pool.submit(_suggest, text).result(self._timeout_s)
            except BrokenProcessPool:
                self._discard(pool)
            except FutureTimeout:
                self._discard(pool)
                raise Unavailable("The coder did not answer in time.") from None
        raise Unavailable("The coder's process died twice on this note.")

    def close(self) -> None:
        """End the child."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            _end(pool)

    def _running(self) -> ProcessPoolExecutor:
        with self._lock:
            if self._pool is None:
                spawn = multiprocessing.get_context("spawn")
                self._pool = ProcessPoolExecutor(1, mp_context=spawn, initializer=_start, initargs=(self._model, self._cores))
                # A server process is itself a child: at its exit multiprocessing joins children, and this one would wait for notes for ever.
                Finalize(self, _end, (self._pool,), exitpriority=5)
            return self._pool

    def _discard(self, pool: ProcessPoolExecutor) -> None:
        with self._lock:
            if self._pool is pool:
                self._pool = None
        _end(pool)


def _end(pool: ProcessPoolExecutor) -> None:
    """Stop a pool even if its child hangs; concurrent.futures has no public way before Python 3.14."""
    children = list((getattr(pool, "_processes", None) or {}).values())
    pool.shutdown(wait=False, cancel_futures=True)
    for child in children:
        child.terminate()
        child.join(1.0)
        if child.is_alive():
            child.kill()
