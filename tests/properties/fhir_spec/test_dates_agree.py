"""Date bounds equal those of datetime, and the patterns accept exactly the dates that exist."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from fhir_server.indexing.dates import date_bounds
from fhir_server.validation.primitives import PATTERNS

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ZONES = st.integers(-13 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1), timezones=ZONES), st.sampled_from(["seconds", "milliseconds", "microseconds"]))
def test_an_instant_starts_where_datetime_says(moment, precision):
    text = moment.isoformat(timespec=precision)
    width = {"seconds": 1_000_000, "milliseconds": 1_000, "microseconds": 1}[precision]
    low, high = date_bounds(text)
    assert low == (datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1)
    assert high - low == width
    assert re.search(PATTERNS["instant"], text)


@given(st.integers(0, 9999), st.integers(0, 13), st.integers(0, 32))
def test_a_date_is_accepted_when_it_exists(year, month, day):
    text = f"{year:04}-{month:02}-{day:02}"
    try:
        datetime(year, month, day)
    except ValueError:
        exists = False
    else:
        exists = True
    assert bool(re.search(PATTERNS["date"], text)) == exists
    assert (date_bounds(text) is not None) == exists
