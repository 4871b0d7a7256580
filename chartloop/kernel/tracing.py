"""Trace context: one id from the HTTP request over its events to the payer, in every log line on the way.

What is kept and sent is random numbers alone. Nothing is exported unless a tracer was set (chartloop/kernel/otel.py); the ids travel all the same.
Spec: https://www.w3.org/TR/trace-context/#traceparent-header
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar, Token
from typing import Final, NamedTuple, Protocol, Self

from chartloop.kernel import ids

HEADER: Final = "traceparent"
_PARENT: Final = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_STORED: Final = re.compile(r"(?:^| )(00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2})$")
_SAMPLED: Final = 1

Attributes = Mapping[str, str | int]


class Context(NamedTuple):
    """Where in a trace something happens: 32 and 16 hexadecimal digits, and whether the trace is kept by whoever collects traces."""

    trace: str
    span: str
    sampled: bool

    def header(self) -> str:
        """Write it as the value of the header traceparent."""
        return f"00-{self.trace}-{self.span}-{int(self.sampled):02x}"


class Active(Protocol):
    """A span that has begun."""

    context: Context

    def set(self, name: str, value: str | int) -> None:
        """Say something more of it: never of a patient."""
        ...


class Tracer(Protocol):
    """Who is told of spans."""

    def span(self, name: str, parent: Context | None, kind: str, attributes: Attributes) -> AbstractContextManager[Active]:
        """Begin a span, and let the thread stand there; it ends with the block, and an exception that leaves the block marks it as failed."""
        ...

    def close(self) -> None:
        """Send what was not sent yet."""
        ...


class _Span:
    """A span of which nobody is told: it has an id, so that what follows can name it."""

    __slots__ = ("_before", "context")

    context: Context
    _before: Token[Context | None]

    def __init__(self, parent: Context | None) -> None:
        self.context = Context(parent.trace, ids.span_id(), parent.sampled) if parent else Context(*ids.trace_ids(), False)

    def set(self, name: str, value: str | int) -> None:
        """Nobody is told."""

    def __enter__(self) -> Self:
        self._before = _here.set(self.context)
        return self

    def __exit__(self, *_: object) -> None:
        _here.reset(self._before)


class Untold:
    """The tracer that tells nobody."""

    def span(self, name: str, parent: Context | None, kind: str, attributes: Attributes) -> AbstractContextManager[Active]:
        """Give the span an id."""
        del name, kind, attributes
        return _Span(parent)

    def close(self) -> None:
        """There is nothing to send."""


_tracer: list[Tracer] = [Untold()]
_here: ContextVar[Context | None] = ContextVar("chartloop_trace", default=None)


def set_tracer(tracer: Tracer) -> Tracer:
    """Use another tracer in this process, and return the one used before."""
    before, _tracer[0] = _tracer[0], tracer
    return before


def here() -> Context | None:
    """Where in a trace this thread is."""
    return _here.get()


def read(header: str) -> Context | None:
    """Read the header traceparent; None where there is none that can be read, and a trace begins here."""
    found = _PARENT.fullmatch(header.strip()) if header else None
    if found is None or (found[1] == "00" and found[5]):
        return None
    return Context(found[2], found[3], bool(int(found[4], 16) & _SAMPLED))


def headers() -> dict[str, str]:
    """The header that tells a server that is called where this comes from; tracestate is not passed on, for others' words may stand in it."""
    context = _here.get()
    return {HEADER: context.header()} if context else {}


def span(name: str, attributes: Attributes | None = None, *, parent: Context | None = None, kind: str = "internal") -> AbstractContextManager[Active]:
    """Do something as a part of a trace: of `parent`, else of where this thread is, else of a new one.

    Args:
        name: What kind of thing: "event", never one that names a patient.
        attributes: What else is known of it; never of a patient.
        parent: What it follows from, where that was in another process or thread.
        kind: internal, server, client, producer or consumer, as OpenTelemetry calls them.
    """
    return _tracer[0].span(name, parent or _here.get(), kind, attributes or {})


def is_told() -> bool:
    """Whether somebody is told of spans, so that it is worth finding out what to say of them."""
    return not isinstance(_tracer[0], Untold)


@contextmanager
def within(context: Context) -> Iterator[None]:
    """Let this thread stand at a place in a trace: what a tracer does around a span of its own."""
    before = _here.set(context)
    try:
        yield
    finally:
        _here.reset(before)


def kept(request: str) -> str:
    """What an event keeps: the id of the request, and where in its trace it was told."""
    context = _here.get()
    return f"{request} {context.header()}".lstrip() if context else request


def told(trace: str) -> tuple[str, Context | None]:
    """Split what an event keeps into the id of the request and where in its trace it was told."""
    found = _STORED.search(trace)
    return (trace[: found.start()], read(found[1])) if found else (trace, None)
