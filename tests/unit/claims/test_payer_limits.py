"""Limits of payers: what is not said for one is as for all; places, tokens and doubtful receipts."""

import pytest

from chartloop.kernel.settings_sections import ClaimsSettings, PayerSettings
from claims.payers.bucket import Buckets
from claims.payers.call import Answer
from claims.payers.client import doubt_of
from claims.payers.limits import Limits, limits_of
from claims.payers.places import Places


def test_what_is_not_said_for_a_payer_is_as_for_all():
    said = ClaimsSettings(payer_timeout_s=7, payers={"P1": PayerSettings(timeout_s=60, calls_per_s=1)})
    limits = limits_of(said)
    assert limits("P1") == Limits(timeout_s=60, calls_per_s=1)
    assert limits("P2") == Limits(timeout_s=7)


def test_a_place_is_free_when_the_caller_and_the_thread_of_its_call_have_left():
    places = Places()
    first, second = places.take("P1", 2), places.take("P1", 2)
    first.share()
    first.leave()
    assert places.take("P1", 2) is None, "the call of the first still runs"
    assert places.take("P2", 2) is not None, "places are of each payer"
    first.leave()
    assert places.take("P1", 2) is not None
    second.leave()


def test_a_bucket_gives_a_second_of_calls_at_once_and_then_as_they_flow_in(fake_clock):
    buckets = Buckets()
    for _ in range(4):
        assert buckets.wait_s("P1", 4.0) == 0
        buckets.take("P1", 4.0)
    assert buckets.wait_s("P1", 4.0) == pytest.approx(0.25)
    assert buckets.wait_s("P2", 4.0) == 0
    fake_clock.advance(0.25)
    assert buckets.wait_s("P1", 4.0) == 0
    fake_clock.advance(3600)
    for _ in range(4):
        buckets.take("P1", 4.0)
    assert buckets.wait_s("P1", 4.0) > 0, "a pause saves up one second of calls"


def test_less_than_one_call_a_second_is_still_one_at_a_time(fake_clock):
    buckets = Buckets()
    assert buckets.wait_s("P1", 0.1) == 0
    buckets.take("P1", 0.1)
    assert buckets.wait_s("P1", 0.1) == pytest.approx(10)


RECEIPT = "23b4f97ea4db2ffb1f3b5b3b9e4fb1e3b6c3b7b1e5dbd1c0e6c1b3a6f7f0a1b2"


@pytest.mark.parametrize(
    ("kind", "content", "doubt"),
    [
        ("application/json", b"", ""),
        ("text/plain", b"accepted", ""),
        ("application/json", b'{"accepted": true}', ""),
        ("application/json", b'{"error": null}', ""),
        ("application/json", b'["x"]', ""),
        ("application/json", b'{"sha256": "x"}', ""),
        ("text/html; charset=utf-8", b"<p>maintenance", "with a page instead of a receipt"),
        ("application/json", b'{"error": "down"}', "with an error in its body"),
        ("text/plain", b'{"errors": [1]}', "with an error in its body"),
        ("application/fhir+json", b'{"resourceType":"OperationOutcome","issue":[{"severity":"error"}]}', "with an error in its body"),
        ("application/fhir+json", b'{"resourceType":"OperationOutcome","issue":[{"severity":"information"}]}', ""),
        ("application/json", f'{{"sha256": "{RECEIPT}"}}'.encode(), "with a receipt for other bytes"),
        ("application/json", b"[" * 100_000, ""),
    ],
)
def test_an_answer_of_success_is_believed_unless_it_says_otherwise(kind, content, doubt):
    assert doubt_of(Answer(200, kind, content), b"ISA") == doubt
