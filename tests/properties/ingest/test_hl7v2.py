"""HL7 v2: round trips, and nothing that arrives can raise."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.hl7v2.ack import acknowledge, verdict
from ingest.hl7v2.escapes import decode_escapes, encode_escapes
from ingest.hl7v2.framing import FrameReader, frame
from ingest.hl7v2.parser import parse
from ingest.hl7v2.separators import STANDARD, Separators
from ingest.hl7v2.structure import check
from ingest.hl7v2.timestamps import dtm_to_datetime, dtm_to_us, us_to_dtm
from ingest.mapping.mapper import message_to_changes
from tests.unit.ingest.messages import A04, DFT, MDM
from tests.unit.ingest.messages_oru import ORU

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
SEPARATORS = st.permutations("|^~\\&#!*").map(lambda c: Separators(c[0], c[1], c[2], c[3], c[4], "".join(c[1:5])))
BODIES = st.binary(max_size=40).map(lambda b: b.replace(b"\x0b", b"").replace(b"\x1c", b""))


@given(TEXT, SEPARATORS)
def test_escaped_text_comes_back_as_it_was(text, separators):
    escaped = encode_escapes(text, separators)
    assert not set(escaped) & {separators.field, separators.component, separators.repetition, separators.subcomponent, "\r", "\n"}
    assert decode_escapes(escaped, separators) == text


@given(st.lists(TEXT.filter(lambda t: t != '""'), max_size=6), SEPARATORS)
def test_fields_come_back_as_they_were_written(values, separators):
    fields = [encode_escapes(value, separators) for value in values]
    raw = f"MSH{separators.field}{separators.declared}{separators.field}A\rZZZ{separators.field}" + separators.field.join(fields) + "\r"
    message = parse(raw.encode()).message
    assert [message.value("ZZZ", number + 1) for number in range(len(values))] == values
    assert message.encode() == raw


@pytest.mark.conformance("HL7 v2", "A message that is changed anywhere never raises")
@settings(max_examples=300)
@given(st.sampled_from([A04, DFT, MDM, ORU]).map(str.encode), st.data())
def test_a_message_changed_anywhere_never_raises(raw, data):
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(raw)))
        length = data.draw(st.integers(0, 12))
        raw = raw[:place] + data.draw(st.binary(max_size=6) | st.sampled_from([b"|", b"^", b"~", b"&", b"\\", b"\r", b'""'])) + raw[place + length :]
    message, problems = parse(raw)
    if message is not None:
        problems = (*problems, *check(message))
        assert all(change.resource["resourceType"] == change.key.type for change in message_to_changes(message).changes)
    assert isinstance(acknowledge(message, verdict(problems), problems, stamp="2026", control_id="1"), bytes)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_a_problem(raw):
    message, problems = parse(raw)
    assert message is not None or any(problem.is_error for problem in problems)


@pytest.mark.conformance("HL7 v2", "MLLP: frames are the same however the stream is cut")
@given(st.lists(BODIES, min_size=1, max_size=4), st.lists(st.integers(0, 200), max_size=8))
def test_frames_are_the_same_however_the_stream_is_cut(bodies, cuts):
    stream = b"".join(frame(body) for body in bodies)
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    reader = FrameReader(1000)
    got = [f for start, end in itertools.pairwise(places) for f in reader.feed(stream[start:end])]
    assert [f.body for f in got] == bodies
    assert not any(f.error for f in got)
    assert reader.rest() == b""


@given(st.binary(max_size=300), st.integers(1, 50))
def test_no_stream_can_break_the_frame_reader(stream, size):
    reader = FrameReader(30)
    whole = FrameReader(30).feed(stream)
    pieces = [f for start in range(0, len(stream), size) for f in reader.feed(stream[start : start + size])]
    assert [f.body for f in pieces if not f.error] == [f.body for f in whole if not f.error]


@given(st.integers(0, 4_000_000_000))
def test_time_stamps_round_trip(seconds):
    stamp = us_to_dtm(seconds * 1_000_000)
    assert dtm_to_us(stamp) == seconds * 1_000_000
    assert dtm_to_datetime(stamp).endswith("+00:00")


def test_the_standard_separators_are_the_default():
    assert parse(b"MSH|^~\\&|A\r").message.separators == STANDARD
