"""An answer that shows nothing leaves at a moment that does not tell why: because nothing is there, or because what is there is hidden.

Deciding on a hidden row takes some microseconds more than finding none. The moments at which such answers leave are therefore few: a step after
the request came, two steps, four, eight. What took a little longer leaves with the rest; what took much longer tells one doubling. A little
chance on top covers the microsecond by which a processor that did more wakes up later.
Source: Askarov, Zhang, Myers, Predictive Black-Box Mitigation of Timing Channels, CCS 2010, https://doi.org/10.1145/1866307.1866341
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable
from typing import Final

from chartloop.kernel import clock
from chartloop.kernel.http import Environ, StartResponse, WsgiApp

STEP_S: Final = 0.002
"""Well above what a refusal takes on a machine that does little else, its record in the audit log included."""

CHANCE_US: Final = 200
"""Most microseconds that chance adds to a step."""

SHARED: Final = frozenset({403, 404, 405, 412})
"""Statuses that the hidden and the missing share; 405: an update may not create."""

_NOTHING: Final = "chartloop.nothing"


def shows_nothing(environ: Environ, parts: int = 1) -> None:
    """Say that the answer of this request shows nothing although it is no refusal, or how many of its parts do not."""
    environ[_NOTHING] = parts


def with_even_answers(app: WsgiApp) -> WsgiApp:
    """Wrap an application: what it refuses, and what it says shows nothing, leaves at a step."""

    def wrapped(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        began_s = clock.perf_s()
        refused = False

        def start(status: str, *rest: object) -> object:
            nonlocal refused
            refused = int(status[:3]) in SHARED
            return start_response(status, *rest)

        body = app(environ, start)
        if parts := environ.get(_NOTHING) or int(refused):
            time.sleep(rest_s(clock.perf_s() - began_s, parts) + secrets.randbelow(CHANCE_US) / 1e6)
        return body

    return wrapped


def rest_s(took_s: float, parts: int = 1) -> float:
    """How long until the next step: each of the parts has one, and from then on steps double."""
    step_s = STEP_S * parts
    while step_s < took_s:
        step_s *= 2
    return step_s - took_s
