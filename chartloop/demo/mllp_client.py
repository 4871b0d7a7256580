"""A small MLLP client: sends a message, waits for its acknowledgment, however the network cuts it.

Spec: HL7 v2 Transport: Minimal Lower Layer Protocol, release 2
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from types import TracebackType
from typing import Self

_START, _END = b"\x0b", b"\x1c\r"
_ACCEPTED = frozenset({"AA", "CA"})


class MllpFailed(Exception):
    """The receiver gave no acknowledgment, or a negative one."""


@dataclass(frozen=True, slots=True)
class Acknowledgment:
    """What the receiver answered: MSA-1, MSA-2 and the positions of its ERR segments."""

    code: str
    control_id: str
    errors: tuple[str, ...]
    text: str

    @property
    def accepted(self) -> bool:
        """Whether the receiver has the message."""
        return self.code in _ACCEPTED


class MllpClient:
    """One connection; messages go one after another."""

    def __init__(self, host: str, port: int, *, timeout_s: float = 30.0) -> None:
        self._socket = socket.create_connection((host, port), timeout=timeout_s)
        self._buffer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def send(self, message: str) -> Acknowledgment:
        """Send one message and wait for its acknowledgment.

        Raises:
            MllpFailed: The connection ended without one.
        """
        self._socket.sendall(_START + message.encode() + _END)
        while _END not in self._buffer:
            data = self._socket.recv(65536)
            if not data:
                raise MllpFailed("The listener closed the connection without an acknowledgment.")
            self._buffer += data
        answer, _, self._buffer = self._buffer.partition(_END)
        return _read(answer.lstrip(_START).decode())

    def deliver(self, message: str) -> Acknowledgment:
        """Send one message that must be accepted.

        Raises:
            MllpFailed: It was not; the text holds the code and the positions, not the message.
        """
        acknowledgment = self.send(message)
        if not acknowledgment.accepted:
            raise MllpFailed(f"The listener answered {acknowledgment.code}: {'; '.join(acknowledgment.errors) or 'no reason'}.")
        return acknowledgment


def _read(answer: str) -> Acknowledgment:
    segments = [line.split("|") for line in answer.split("\r") if line]
    msa = next((segment for segment in segments if segment[0] == "MSA"), [])
    if len(msa) < 3:
        raise MllpFailed("The answer is no acknowledgment.")
    errors = tuple(" ".join(part for part in segment[2:4] if part) for segment in segments if segment[0] == "ERR" and "|E|" in "|".join(segment))
    return Acknowledgment(msa[1], msa[2], errors, answer)
