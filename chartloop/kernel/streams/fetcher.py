"""The fetcher: a thread that reads the stream for one consumer, and reads no faster than the consumer works."""

import logging
import threading
from collections.abc import Callable

from chartloop.kernel.streams.ports import AGAIN_S, Source, Stream, StreamBroken
from chartloop.kernel.streams.positions import Moved
from chartloop.kernel.streams.taking import Taking

_log = logging.getLogger(__name__)


class Fetcher:
    """Reads for one consumer until it is told to stop; a stream that breaks is opened anew after a while."""

    def __init__(self, consumer: str, stream: Stream, taking: Taking, lead: Callable[[], bool], *, poll_s: float, most_waiting: int) -> None:
        """Take where to read and where to put it; nothing is read while `most_waiting` events could be handled already."""
        self._consumer = consumer
        self._stream = stream
        self._taking = taking
        self._lead = lead
        self._poll_s = poll_s
        self._most_waiting = most_waiting
        self._paused = False

    def run(self, stopping: threading.Event) -> None:
        """Read until stopped."""
        while not stopping.is_set():
            try:
                self._read(stopping)
            except Moved:
                pass  # it began where another process was reading: look again
            except StreamBroken as error:
                _log.warning("The stream cannot be read; it is tried again.", extra={"action": "stream.broken", "consumer": self._consumer, "error": str(error)})
                stopping.wait(AGAIN_S)
            except Exception:
                _log.exception("A fetcher failed; it begins anew.", extra={"action": "fetcher.failed", "consumer": self._consumer})
                stopping.wait(AGAIN_S)
            stopping.wait(self._poll_s)

    def _read(self, stopping: threading.Event) -> None:
        source = self._stream.source(self._consumer, self._taking.begin, self._lead)
        self._paused = False
        try:
            while not stopping.is_set():
                self._turn(source)
        finally:
            source.close()

    def _turn(self, source: Source) -> None:
        arrived = source.poll(self._poll_s)
        if arrived:
            try:
                source.reached(self._taking.take(arrived))
            except Moved:
                for shard, position in self._taking.again().items():
                    source.seek(shard, position)
        else:
            self._taking.settle()
        if arrived or self._paused:
            self._calm(source)

    def _calm(self, source: Source) -> None:
        """Pause when too much waits, and go on when half of that is done."""
        ready = self._taking.ready(self._most_waiting)
        if not self._paused and ready >= self._most_waiting:
            source.pause()
            self._paused = True
        elif self._paused and ready <= self._most_waiting // 2:
            source.resume()
            self._paused = False
