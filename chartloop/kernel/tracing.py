"""Trace context: one id from the HTTP request over its events to the payer, in every log line on the way.

What is kept and sent is random numbers alone. Nothing is exported unless a tracer was set (chartloop/kernel/otel.py); the ids travel all the same.
Spec: https://www.w3.org/TR/trace-context/#traceparent-header
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Final, NamedTuple, Protocol

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
        """Begin a span; it ends with the block, and an exception that leaves the block marks it as failed."""
        ...

    def close(self) -> None:
        """Send what was not sent yet."""
        ...


class _Span:
    """A span of which nobody is told."""

    __slots__ = ("context",)

    def __init__(self, context: Context) -> None:
        self.context = context

    def set(self, name: str, value: str | int) -> None:
        """Nobody is told."""


class Untold:
    """The tracer that tells nobody."""

    @contextmanager
    def span(self, name: str, parent: Context | None, kind: str, attributes: Attributes) -> Iterator[Active]:
        """Give the span an id, so that what follows can name it."""
        del name, kind, attributes
        yield _Span(Context(parent.trace, ids.span_id(), parent.sampled) if parent else Context(ids.trace_id(), ids.span_id(), False))

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


@contextmanager
def span(name: str, attributes: Attributes | None = None, *, parent: Context | None = None, kind: str = "internal") -> Iterator[Active]:
    """Do something as a part of a trace: of `parent`, else of where this thread is, else of a new one.

    Args:
        name: What kind of thing: "event", never one that names a patient.
        attributes: What else is known of it; never of a patient.
        parent: What it follows from, where that was in another process or thread.
        kind: internal, server, client, producer or consumer, as OpenTelemetry calls them.
    """
    with _tracer[0].span(name, parent or _here.get(), kind, attributes or {}) as active:
        before = _here.set(active.context)
        try:
            yield active
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
