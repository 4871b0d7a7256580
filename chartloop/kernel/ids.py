"""Random identifiers that disclose nothing, not even an order."""

import os
import threading

_AT_ONCE = 4096


class _Random(threading.local):
    """Random bytes of the system, fetched for many ids at once: each call of the system gives other threads the interpreter."""

    def __init__(self) -> None:
        self._bytes = b""
        self._at = 0

    def take(self, count: int) -> bytes:
        """Return bytes that nobody was given before."""
        end = self._at + count
        if end > len(self._bytes):
            self._bytes, self._at, end = os.urandom(_AT_ONCE), 0, count
        taken = self._bytes[self._at : end]
        self._at = end
        return taken

    def forget(self) -> None:
        """Drop what is left."""
        self._bytes = b""


_random = _Random()
# A forked child must not give out the bytes that its parent will.
os.register_at_fork(after_in_child=_random.forget)

_BASE32 = b"abcdefghijklmnopqrstuvwxyz234567" * 8
"""Each of the 32 characters for 8 of the 256 bytes: every character is as likely as every other."""

_VARIANT = {digit: "89ab"[number % 4] for number, digit in enumerate("0123456789abcdef")}
"""What says of a UUID that it is one of RFC 9562."""


def public_id() -> str:
    """Make a random public id: 26 lower-case base32 characters, 130 bits; fits a FHIR id."""
    return _random.take(26).translate(_BASE32).decode("ascii")


def request_id() -> str:
    """Make the id of one request: a UUID of version 4, as text."""
    made = _random.take(16).hex()
    return f"{made[:8]}-{made[8:12]}-4{made[13:16]}-{_VARIANT[made[16]]}{made[17:20]}-{made[20:]}"


def trace_ids() -> tuple[str, str]:
    """Make the id of a trace and of its first part: 32 and 16 hexadecimal digits, neither all 0."""
    made = _random.take(24).hex()
    return ("1" if made.startswith("0" * 16) else made[0]) + made[1:32], ("1" if made.endswith("0" * 16) else made[32]) + made[33:]


def span_id() -> str:
    """Make the id of a part of a trace: 16 hexadecimal digits, not all of them 0."""
    made = _random.take(8).hex()
    return made if made != "0" * 16 else "1" * 16
