"""Chunks, merges and grids of any readings."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.telemetry.chunk import Unreadable, decode, encode
from ingest.telemetry.grid import PERIODS_S, grid
from ingest.telemetry.merging import merge
from ingest.vendors.reading import ABOVE, BELOW, IMPLAUSIBLE_VALUE, Reading, Source

SOURCE = Source("test", "Watch")
HOUR = 492_515
FIRST = HOUR * 3_600_000_000
decimals = (st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-9999, max_value=9999) | st.sampled_from([Decimal("72.50"), Decimal("1E+3")])).map(lambda value: value or value.copy_abs())


@st.composite
def readings(draw, step_us=1):
    start = FIRST + draw(st.integers(0, 3_599_999_999 // step_us)) * step_us
    return Reading(
        "heart-rate",
        SOURCE,
        start,
        start + draw(st.integers(0, 10**10)),
        draw(st.integers(-840, 840)),
        draw(decimals),
        draw(st.sampled_from([0, 1, 2, BELOW, ABOVE, 16])),
        draw(st.sampled_from(["", "", "a", "b", "c\x1e\n\x00ü"])),
        draw(st.integers(0, 2**52)),
        draw(st.sampled_from(["", "trend=flat"])),
    )


@given(st.lists(readings() | readings(60_000_000), min_size=1, max_size=40))
def test_a_chunk_gives_back_every_reading_to_the_last_digit(listed):
    found = decode(encode(listed), "heart-rate", SOURCE)
    assert found == listed
    assert [str(each.value) for each in found] == [str(each.value) for each in listed]


@given(st.binary(max_size=60))
def test_bytes_that_are_no_chunk_are_refused(blob):
    with suppress(Unreadable):
        decode(blob, "heart-rate", SOURCE)


def _kept(batches):
    found = []
    for batch in batches:
        found = merge(found, batch).readings
    return [(each, str(each.value)) for each in found]


@given(st.lists(st.lists(readings(600_000_000), max_size=5), max_size=4))
def test_a_merge_keeps_the_same_in_any_order_and_again(batches):
    once = _kept(batches)
    for order in permutations(batches):
        assert _kept(order) == once
    assert _kept([*batches, *batches]) == once
    assert _kept([[each for batch in batches for each in reversed(batch)]]) == once


@given(st.lists(readings(600_000_000), max_size=8), st.lists(readings(600_000_000), max_size=8))
def test_everything_that_comes_is_counted_once(kept, coming):
    before = merge([], kept).readings
    merged = merge(before, coming)
    assert sum(merged.counts) == len(coming)
    assert len(merged.readings) == len(before) + merged.counts.new
    again = merge(merged.readings, coming)
    assert (again.counts.new, again.counts.corrected, again.changed) == (0, 0, False)


@given(st.lists(st.integers(0, 3599), min_size=1, max_size=60, unique=True).map(sorted), st.data())
def test_a_grid_shows_every_sample_within_one_period_of_its_time(seconds, data):
    values = [data.draw(st.integers(30, 200)) for _ in seconds]
    listed = [Reading("heart-rate", SOURCE, FIRST + second * 1_000_000, FIRST + second * 1_000_000, 0, Decimal(value)) for second, value in zip(seconds, values, strict=True)]
    laid = grid(listed, HOUR)
    assert len(laid.data.split(" ")) * laid.period_s == 3600
    assert laid.period_s in PERIODS_S
    found = [(FIRST + slot * laid.period_s * 1_000_000, Decimal(written)) for slot, written in enumerate(laid.data.split(" ")) if written != "E"]
    assert [value for _, value in found] == values
    assert all(0 <= reading.start - time < laid.period_s * 1_000_000 for reading, (time, _) in zip(listed, found, strict=True))
    coarser = PERIODS_S[: PERIODS_S.index(laid.period_s)]
    assert all(len({second // period for second in seconds}) < len(seconds) for period in coarser)


@given(st.lists(readings(), min_size=1, max_size=30).map(lambda listed: sorted(listed, key=lambda each: each.start)))
def test_a_grid_hides_only_what_shares_a_second(listed):
    laid = grid(listed, HOUR)
    assert laid.hidden == len(listed) - len({reading.start // 1_000_000 for reading in listed})


def test_a_slot_says_what_the_sensor_could_not():
    flags = (0, BELOW, ABOVE, IMPLAUSIBLE_VALUE)
    listed = [Reading("x", SOURCE, FIRST + n * 300_000_000, 0, 0, Decimal("72.50"), flag) for n, flag in enumerate(flags)]
    assert grid(listed, HOUR).data == "72.50 L U E E E E E E E E E"


def test_an_empty_chunk_is_refused():
    with pytest.raises(Unreadable):
        decode(b"", "x", SOURCE)
