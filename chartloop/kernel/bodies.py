"""Bodies that arrive slowly: only so many may be waited for at once, so that the other threads stay free for everybody else.

A thread that reads a body cannot be called back. FHIR looks at the token before it reads, and is left alone; every other address shares a
few places by the first step of its path. Who finds none is told to come again at once.
Spec: https://www.rfc-editor.org/rfc/rfc9110#section-15.6.4
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, BinaryIO, Final

from chartloop.kernel.errors import Unavailable
from chartloop.kernel.http import Environ, StartResponse, WsgiApp

_LEFT_ALONE: Final = frozenset({"fhir"})


def places_of(threads: int) -> int:
    """How many bodies of one kind may be waited for by so many threads: a quarter of them."""
    return max(1, threads // 4)


def with_bounded_bodies(app: WsgiApp, places: int) -> WsgiApp:
    """Let an application read at most so many bodies at once for each first step of a path."""
    rooms: defaultdict[str, threading.BoundedSemaphore] = defaultdict(lambda: threading.BoundedSemaphore(places))
    known = frozenset({"cds-services", "ehr", "intake", "oauth"})

    def bounded(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        step = str(environ.get("PATH_INFO", "")).lstrip("/").partition("/")[0]
        if step in _LEFT_ALONE or environ.get("REQUEST_METHOD") in ("GET", "HEAD", "OPTIONS"):
            return app(environ, start_response)
        body = _Body(environ["wsgi.input"], rooms[step if step in known else ""], str(environ.get("CONTENT_LENGTH") or ""))
        environ["wsgi.input"] = body
        try:
            return app(environ, start_response)
        finally:
            body.leave()

    return bounded


class _Body:
    """A body that takes a place with its first read and gives it back with its last byte, or when the request is over."""

    def __init__(self, stream: BinaryIO, room: threading.BoundedSemaphore, announced: str) -> None:
        self._stream, self._room = stream, room
        self._left = int(announced) if announced.isascii() and announced.isdigit() else None
        self._inside = self._over = False

    def read(self, *size: int) -> bytes:
        return self._taken(lambda: self._stream.read(*size), size)  # passed on as it came: granian's takes no -1

    def readline(self, *size: int) -> bytes:
        return self._taken(lambda: self._stream.readline(*size), size)

    def readlines(self, *_hint: int) -> list[bytes]:
        return list(iter(self.readline, b""))

    def __iter__(self) -> Any:
        return iter(self.readline, b"")

    def leave(self) -> None:
        self._over = True
        if self._inside:
            self._inside = False
            self._room.release()

    def _taken(self, read: Callable[[], bytes], size: tuple[int, ...]) -> bytes:
        if not self._over and not self._inside:
            if not self._room.acquire(blocking=False):
                raise Unavailable("Too many bodies are arriving slowly at this address; try again.")
            self._inside = True
        found = read()
        if self._left is not None:
            self._left -= len(found)
        if (not found and size != (0,)) or self._left == 0:
            self.leave()
        return found
