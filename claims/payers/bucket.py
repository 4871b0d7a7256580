"""A token bucket per payer: so many calls in a second, and as many at once after a pause."""

import threading

from chartloop.kernel import clock


class Buckets:
    """The buckets of every payer; each begins full and holds what flows in within a second, at least one call."""

    def __init__(self) -> None:
        """Begin without any."""
        self._lock = threading.Lock()
        self._levels: dict[str, tuple[float, float]] = {}

    def wait_s(self, payer: str, per_s: float) -> float:
        """Say how long it takes until a call may be made; 0 is now."""
        with self._lock:
            return max(0.0, (1.0 - self._level(payer, per_s)) / per_s)

    def take(self, payer: str, per_s: float) -> None:
        """Count a call."""
        with self._lock:
            self._levels[payer] = (self._level(payer, per_s) - 1.0, clock.monotonic_s())

    def _level(self, payer: str, per_s: float) -> float:
        now = clock.monotonic_s()
        full = max(1.0, per_s)
        level, since = self._levels.get(payer, (full, now))
        return min(full, level + (now - since) * per_s)
