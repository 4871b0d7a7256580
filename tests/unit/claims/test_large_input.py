"""A million segments are read in bounded time and memory."""

import pytest

from claims.x12.reader import read
from claims.x12.validation import validate
from tests.unit.claims.samples import CLAIM


@pytest.mark.conformance("Attacks", "93: X12 of a million segments is read, and its findings are cut short")
@pytest.mark.long
def test_a_million_segments_are_read_and_a_million_faults_are_cut_short():
    head, _, tail = CLAIM.partition("REF*6R*1~\n")
    data = (head + "REF*6R*1~\n" * 1_000_000 + tail).encode()
    reading = read(data)
    assert len(reading.interchanges[0].segments) == 1_000_027
    assert reading.issues == []
    report = validate(data)
    assert 1 <= len(report.issues) <= 1002
    junk = (head + "ZZZ*1~" * 200_000 + tail).encode()
    assert len(validate(junk).issues) <= 1002
