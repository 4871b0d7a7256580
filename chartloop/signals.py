"""A signal that ends a process is heard by its main thread, whichever thread the system gave it to.

CPython runs handlers in the main thread alone, and a main thread that waits for a lock without a timeout, as granian's does, wakes up for a signal
only when the system gave it to that very thread. Most often it does; else the process would never end.
"""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable

ENDS = (signal.SIGTERM, signal.SIGINT)
WAKES = signal.SIGURG
"""Ignored by default, and sent by nobody who does not ask for it."""


def wake_for_signals(ending: Callable[[], object] = bool) -> None:
    """Wake the main thread whenever a signal that ends the process was given to any thread; call it from the main thread.

    `ending` is called first, in a thread of its own: who must know that the end has begun.
    """
    hearing, told = socket.socketpair()
    told.setblocking(False)
    signal.signal(WAKES, lambda *_: None)
    signal.set_wakeup_fd(told.detach(), warn_on_full_buffer=False)
    main = threading.main_thread().ident or 0
    threading.Thread(target=_wake, args=(hearing, main, ending), name="chartloop-signals", daemon=True).start()


def _wake(hearing: socket.socket, main: int, ending: Callable[[], object]) -> None:
    while said := hearing.recv(1):
        if said[0] in ENDS:
            ending()
            signal.pthread_kill(main, WAKES)
