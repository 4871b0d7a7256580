"""A server process for the benches, which ends when it is told to: `python -m bench.served PORT THREADS`."""

from __future__ import annotations

import sys

from granian import Granian
from granian.constants import Interfaces, RuntimeModes
from granian.log import LogLevels

from chartloop.signals import wake_for_signals


def main(port: int, threads: int) -> None:
    """Serve `bench.fhir_app` as the product serves itself."""
    wake_for_signals()
    Granian(
        "bench.fhir_app:application",
        port=port,
        interface=Interfaces.WSGI,
        factory=True,
        runtime_mode=RuntimeModes.st,
        blocking_threads=threads,
        blocking_threads_idle_timeout=600,
        backpressure=threads * 8,
        log_level=LogLevels.error,
        websockets=False,
    ).serve()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
