"""Requests that are being answered: where each came from, and whether it has left a durable record."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from chartloop.kernel import ids

if TYPE_CHECKING:
    from collections.abc import Callable


class _Open:
    """One request."""

    __slots__ = ("origin", "recorded")

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.recorded = False


class Requests:
    """Requests in flight, by their number; threads may share it, for every step is one on a dict."""

    def __init__(self) -> None:
        """Begin with none."""
        self._open: dict[str, _Open] = {}

    def begin(self, number: str, origin: str) -> str:
        """Open a request; return its number, which is a new one where another request in flight has the same.

        Args:
            number: Id of the request; a caller may have chosen it.
            origin: Network address that the connection came from.
        """
        if self._open.setdefault(number, opened := _Open(origin)) is not opened:
            number = ids.request_id()
            self._open[number] = opened
        return number

    def end(self, number: str) -> None:
        """Forget a request."""
        self._open.pop(number, None)

    def is_recorded(self, number: str) -> bool:
        """Whether a record of a request that is in flight is durable."""
        opened = self._open.get(number)
        return opened is not None and opened.recorded

    def origin(self, number: str) -> str:
        """Return where a request came from; empty for one that is not in flight here."""
        opened = self._open.get(number)
        return opened.origin if opened is not None else ""

    def durable(self, number: str) -> None:
        """Say that a record of a request is durable."""
        opened = self._open.get(number)
        if opened is not None:
            opened.recorded = True

    def when_durable(self, number: str) -> Callable[[], None] | None:
        """Return what to call once a record is durable; None for a request that is not in flight here."""
        return partial(self.durable, number) if number in self._open else None
