"""Run episodes until so many steps are taken; of a failure say its seed and the shortest prefix of steps that shows it."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from chartloop.kernel import clock
from chartloop.kernel.clock import FakeClock, set_clock
from tests.simulation.episode import Episode
from tests.simulation.stores import PostgresqlStores, SqliteStores

EPISODE = 500
"""Steps of an episode: long enough for clocks to jump and marks to be forgotten, short enough to be looked at."""
Stores = SqliteStores | PostgresqlStores


@dataclass(frozen=True)
class Failed(Exception):
    """A seed, how many steps it takes, and what was not true."""

    seed: str
    steps: int
    error: Exception

    def __str__(self) -> str:
        said = f"{type(self.error).__name__}: {self.error}"
        return f"seed {self.seed} fails after {self.steps} steps: {said}\n  again: python -m tests.simulation --only {self.seed} --steps {self.steps}"


def run(stores: Stores, seed: int, steps: int, told: Callable[[int, int], None] = lambda _steps, _events: None) -> int:
    """Run episodes; return how many events there were."""
    taken = events = number = 0
    while taken < steps:
        some = min(EPISODE, steps - taken)
        events += run_one(stores, f"{seed}/{number}", some)
        taken, number = taken + some, number + 1
        told(taken, events)
    return events


def run_one(stores: Stores, seed: str, steps: int) -> int:
    """Run one episode; a failure is told with the fewest steps that show it."""
    try:
        return attempt(stores, seed, steps)
    except Exception as error:
        raise shortest(stores, seed, min(steps, getattr(error, "at", steps)), error) from error


def attempt(stores: Stores, seed: str, steps: int) -> int:
    """Run one episode as it is; return how many events there were."""
    with stores.fresh() as (database, directory), simulated_time() as fake:
        episode = Episode(database, directory, seed, fake)
        try:
            episode.run(steps)
        finally:
            episode.close()
        return episode.model.events


def shortest(stores: Stores, seed: str, steps: int, error: Exception) -> Failed:
    """Look for a shorter prefix: what fails in a step fails there first, what fails at the end may have begun long before."""
    best, least = steps, 0
    while least < best:
        middle = (least + best) // 2
        try:
            attempt(stores, seed, middle)
        except Exception as found:
            best, error = min(middle, getattr(found, "at", middle)), found
        else:
            least = middle + 1
    return Failed(seed, best, error)


@contextmanager
def simulated_time() -> Iterator[FakeClock]:
    """A clock that the seed moves, and a log that stays silent: failures are what this is about."""
    fake, level = FakeClock(), logging.root.manager.disable
    before = set_clock(fake)
    logging.disable(logging.CRITICAL)
    try:
        yield fake
    finally:
        set_clock(before)
        logging.disable(level)


def now_s() -> float:
    """The time that really passes."""
    return clock.perf_s()
