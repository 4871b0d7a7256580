"""MLLP frames out of a byte stream, however the network cuts it.

Spec: HL7 v2 Transport: Minimal Lower Layer Protocol, release 2 (start block 0x0B, end block 0x1C 0x0D)
"""

from __future__ import annotations

from typing import NamedTuple

START = b"\x0b"
END = b"\x1c"
_BETWEEN = b"\r\n \t\x00"
TRUNCATED = "the message has no end block"
STRAY = "there are bytes outside of a start and an end block"


class Frame(NamedTuple):
    """One message as it was framed, or what was wrong with the framing."""

    body: bytes
    error: str = ""


class FrameReader:
    """Collects bytes and gives out whole frames; a stream error is a frame with an error, never an exception.

    The end block is taken at 0x1C: the carriage return behind it is then skipped, so a sender that forgets it gets its answer too.
    """

    def __init__(self, max_bytes: int) -> None:
        """Refuse frames longer than `max_bytes`."""
        self._max_bytes = max_bytes
        self._buffer = bytearray()
        self._open = False

    def feed(self, data: bytes) -> list[Frame]:
        """Take what arrived; give the frames that are complete."""
        self._buffer += data
        frames: list[Frame] = []
        while (frame := self._next()) is not None:
            frames.append(frame)
        return frames

    def rest(self) -> bytes:
        """What has arrived of a frame that is not complete, taken out."""
        rest = bytes(self._buffer) if self._open else b""
        self._buffer.clear()
        self._open = False
        return rest

    @property
    def pending(self) -> bool:
        """Whether a frame has begun and not ended."""
        return self._open

    def _next(self) -> Frame | None:
        if not self._open:
            return self._begin()
        end, again = self._buffer.find(END), self._buffer.find(START)
        if again >= 0 and (end < 0 or again < end):
            return Frame(self._take(again, 1), TRUNCATED)
        if end < 0:
            if len(self._buffer) > self._max_bytes:
                return self._too_long(len(self._buffer))
            return None
        self._open = False
        if end > self._max_bytes:
            return self._too_long(end + 1)
        return Frame(self._take(end, 1))

    def _begin(self) -> Frame | None:
        start = self._buffer.find(START)
        before = bytes(self._buffer[: start if start >= 0 else len(self._buffer)])
        del self._buffer[: len(before) + (start >= 0)]
        self._open = start >= 0
        if before.strip(_BETWEEN):
            return Frame(before, STRAY)
        return self._next() if self._open else None

    def _too_long(self, length: int) -> Frame:
        self._open = False
        head = self._take(length, 0)[: self._max_bytes]
        return Frame(head, f"the message is longer than {self._max_bytes} bytes")

    def _take(self, length: int, skip: int) -> bytes:
        body = bytes(self._buffer[:length])
        del self._buffer[: length + skip]
        return body


def frame(body: bytes) -> bytes:
    """A message in its start and end blocks."""
    return START + body + END + b"\r"
