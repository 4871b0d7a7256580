"""A circuit breaker per payer: who fails again and again is left alone for a while."""

import threading
from collections.abc import Callable
from typing import TypeVar

import pybreaker

T = TypeVar("T")


class PayerResting(Exception):
    """The payer failed too often and is left alone for now."""


class Breakers:
    """One breaker per payer."""

    def __init__(self, *, failures: int = 5, rest_s: float = 10.0) -> None:
        """Take after how many failures in a row a payer rests, and for how long."""
        self._failures = failures
        self.rest_s = rest_s
        self._lock = threading.Lock()
        self._breakers: dict[str, pybreaker.CircuitBreaker] = {}

    def call(self, payer: str, action: Callable[[], T]) -> T:
        """Do something with a payer unless it rests."""
        with self._lock:
            breaker = self._breakers.get(payer)
            if breaker is None:
                breaker = pybreaker.CircuitBreaker(fail_max=self._failures, reset_timeout=self.rest_s, throw_new_error_on_trip=False)
                self._breakers[payer] = breaker
        try:
            result: T = breaker.call(action)
        except pybreaker.CircuitBreakerError as error:
            raise PayerResting from error
        return result

    def states(self) -> dict[str, str]:
        """Return the state per payer: closed, open, half-open."""
        with self._lock:
            return {payer: str(breaker.current_state) for payer, breaker in self._breakers.items()}

