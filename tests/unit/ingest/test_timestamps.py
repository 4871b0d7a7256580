"""HL7 time stamps to FHIR."""

import pytest

from ingest.hl7v2.timestamps import dtm_to_date, dtm_to_datetime, dtm_to_instant, dtm_to_us, us_to_dtm, zone_of


@pytest.mark.parametrize(
    ("dtm", "date", "datetime"),
    [
        ("2026", "2026", "2026"),
        ("202611", "2026-11", "2026-11"),
        ("20261102", "2026-11-02", "2026-11-02"),
        ("2026110208", "2026-11-02", "2026-11-02T08:00:00-05:00"),
        ("202611020830", "2026-11-02", "2026-11-02T08:30:00-05:00"),
        ("20261102083015.1234+0200", "2026-11-02", "2026-11-02T08:30:15.123+02:00"),
        ("20261102083060", "2026-11-02", "2026-11-02T08:30:59-05:00"),
        ("20230229", "", ""),
        ("20261301", "", ""),
        ("yesterday", "", ""),
        ("2026112", "", ""),
        ("", "", ""),
    ],
)
def test_precision_is_kept_and_a_missing_offset_is_the_message_s(dtm, date, datetime):
    assert dtm_to_date(dtm) == date
    assert dtm_to_datetime(dtm, "-05:00") == datetime


def test_an_instant_is_complete_and_comparable():
    assert dtm_to_instant("202611") == "2026-11-01T00:00:00+00:00"
    assert dtm_to_us("19700101000001") == 1_000_000
    assert dtm_to_us("19700101010001+0100") == 1_000_000
    assert dtm_to_us("x") is None
    assert us_to_dtm(1_000_000) == "19700101000001+0000"
    assert zone_of("2026110208-0530") == "-05:30"
    assert zone_of("2026110208") == ""
