"""A trace is carried as W3C says, kept with the event, and said in every log line."""

import io
import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chartloop.kernel import tracing
from chartloop.kernel.db import Database
from chartloop.kernel.logs import configure_logs
from chartloop.kernel.settings_sections import LogSettings
from chartloop.kernel.tracing import Context, headers, here, kept, read, span, told

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.conformance("Operations", "traceparent is read as W3C Trace Context says; what cannot be read begins a new trace")
@pytest.mark.parametrize(
    ("header", "context"),
    [
        (f"00-{TRACE}-{SPAN}-01", Context(TRACE, SPAN, True)),
        (f"00-{TRACE}-{SPAN}-00", Context(TRACE, SPAN, False)),
        (f"00-{TRACE}-{SPAN}-03", Context(TRACE, SPAN, True)),
        (f" 00-{TRACE}-{SPAN}-01 ", Context(TRACE, SPAN, True)),
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-will-be-like", Context(TRACE, SPAN, True)),
        (f"cc-{TRACE}-{SPAN}-01", Context(TRACE, SPAN, True)),
        (f"cc-{TRACE}-{SPAN}-01.what", None),
        (f"00-{TRACE}-{SPAN}-01-more", None),
        (f"ff-{TRACE}-{SPAN}-01", None),
        (f"00-{'0' * 32}-{SPAN}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE.upper()}-{SPAN}-01", None),
        (f"00-{TRACE[:-1]}-{SPAN}-01", None),
        (f"00-{TRACE}-{SPAN}-1", None),
        (f"00-{TRACE}-{SPAN}-xy", None),
        (f"00_{TRACE}_{SPAN}_01", None),
        (f"00-{TRACE}-{SPAN}-01\n", Context(TRACE, SPAN, True)),
        ("", None),
        ("Müller", None),
    ],
)
def test_traceparent_is_read_as_the_specification_says(header: str, context: Context | None) -> None:
    assert read(header) == context


@given(st.from_regex(r"[0-9a-g]{2}-[0-9a-f]{30,33}-[0-9a-f]{15,17}-[0-9a-f]{2}(-x)?", fullmatch=True) | st.text("0af-\n ", max_size=60))
def test_any_header_is_read_or_refused(header: str) -> None:
    found = read(header)
    assert found is None or read(found.header()) == found


@given(st.from_regex(r"[A-Za-z0-9._-]{0,64}", fullmatch=True), st.booleans())
def test_what_an_event_keeps_is_split_into_what_it_was_made_of(request: str, inside: bool) -> None:
    assert told(request) == (request, None)
    if inside:
        with span("test") as active:
            assert told(kept(request)) == (request, active.context)


def test_a_span_belongs_to_the_trace_around_it_and_ends_with_its_block() -> None:
    assert (here(), headers()) == (None, {})
    with span("outer", parent=Context(TRACE, SPAN, True)) as outer:
        assert outer.context.trace == TRACE
        assert outer.context.span != SPAN
        with pytest.raises(KeyError), span("inner") as inner:
            assert headers() == {"traceparent": f"00-{TRACE}-{inner.context.span}-01"}
            raise KeyError
        assert here() == outer.context
    assert here() is None


def test_a_new_trace_is_not_kept_by_others_for_our_sake() -> None:
    with span("one") as one, span("two") as two:
        assert one.context.trace == two.context.trace
        assert headers()["traceparent"].endswith("-00")
    with span("three") as three:
        assert three.context.trace != one.context.trace


def test_work_of_a_write_stands_in_the_trace_of_who_asked_for_it(database: Database) -> None:
    with span("request") as active:
        assert database.write(lambda _tx: here()) == active.context
    assert database.write(lambda _tx: here()) is None


def test_every_log_line_says_its_trace() -> None:
    before, level, out = logging.getLogger().handlers, logging.getLogger().level, io.StringIO()
    try:
        configure_logs(LogSettings(level="INFO", format="json"), out)
        with span("request", parent=read(f"00-{TRACE}-{SPAN}-01")) as active:
            logging.getLogger("x").info("Within.", extra={"action": "test.within"})
        logging.getLogger("x").info("Outside.")
    finally:
        logging.getLogger().handlers, logging.getLogger().level = before, level
    within, outside = (json.loads(line) for line in out.getvalue().splitlines())
    assert (within["trace_id"], within["span_id"]) == (TRACE, active.context.span)
    assert "trace_id" not in outside


def test_nothing_is_told_unless_somebody_said_where() -> None:
    from chartloop.kernel.otel import open_tracer
    from chartloop.kernel.settings_sections import TracingSettings

    assert isinstance(open_tracer(TracingSettings()), tracing.Untold)
