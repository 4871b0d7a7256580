"""Spans for OpenTelemetry: an optional extra (`pip install chartloop[otel]`), off unless tracing.otlp_url names a collector.

An exporter never delays a request: spans are queued and sent by a thread; what does not fit into the queue is dropped.
Spec: https://opentelemetry.io/docs/specs/otlp/#otlphttp
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from chartloop.kernel.errors import Invalid
from chartloop.kernel.tracing import Active, Attributes, Context, Tracer, Untold, within

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.trace import Span

    from chartloop.kernel.settings_sections import TracingSettings

SERVICE: Final = "chartloop"
_MISSING: Final = "tracing.otlp_url is set, but OpenTelemetry is not installed: pip install 'chartloop[otel]', or leave the setting empty."


class _Told:
    """A span of the SDK."""

    __slots__ = ("_span", "context")

    def __init__(self, span: Span) -> None:
        self._span = span
        said = span.get_span_context()
        self.context = Context(f"{said.trace_id:032x}", f"{said.span_id:016x}", said.trace_flags.sampled)

    def set(self, name: str, value: str | int) -> None:
        """Say something more of it."""
        self._span.set_attribute(name, value)


class OpenTelemetry:
    """The tracer that tells a collector."""

    def __init__(self, processor: SpanProcessor, share: float = 1.0) -> None:
        """Tell this processor of such a share of the traces that begin here; a trace that began elsewhere is told of if it is kept there."""
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 an optional extra
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased  # noqa: PLC0415

        resource = Resource({"service.name": SERVICE})  # not Resource.create: that adds the process's command line
        self._provider = TracerProvider(sampler=ParentBased(TraceIdRatioBased(share)), resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer(SERVICE)

    @contextmanager
    def span(self, name: str, parent: Context | None, kind: str, attributes: Attributes) -> Iterator[Active]:
        """Begin a span of the SDK; of an error only its kind is told, for its text may quote a patient."""
        from opentelemetry import context as otel  # noqa: PLC0415
        from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags, set_span_in_context  # noqa: PLC0415

        root = otel.Context()
        if parent is not None:
            remote = SpanContext(int(parent.trace, 16), int(parent.span, 16), is_remote=True, trace_flags=TraceFlags(int(parent.sampled)))
            root = set_span_in_context(NonRecordingSpan(remote), root)
        span = self._tracer.start_span(name, root, SpanKind[kind.upper()], attributes)
        told = _Told(span)
        try:
            with within(told.context):
                yield told
        except Exception as error:
            span.set_attribute("error.type", type(error).__name__)
            span.set_status(Status(StatusCode.ERROR))
            raise
        finally:
            span.end()

    def close(self) -> None:
        """Send what was not sent yet."""
        self._provider.shutdown()


def open_tracer(settings: TracingSettings) -> Tracer:
    """The tracer that the settings ask for.

    Raises:
        Invalid: A collector is named, and OpenTelemetry is not installed.
    """
    if not settings.otlp_url:
        return Untold()
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError:
        raise Invalid(_MISSING) from None
    return OpenTelemetry(BatchSpanProcessor(OTLPSpanExporter(endpoint=settings.otlp_url)), settings.share)
