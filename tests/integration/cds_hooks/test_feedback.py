"""Feedback on cards is kept once, with an audit record, for cards that were issued, and never without end."""

from __future__ import annotations

import logging
import uuid

import pytest

from cds_hooks.card_id import card_id
from tests.unit.cds_hooks.samples import BASE, PREVENT

PATH = "/cds-services/stroke-risk/feedback"
REASON = {"code": "wrong-data", "system": f"{BASE}/CodeSystem/override-reason", "display": "The data are wrong"}


def entry(issued, **changes):
    made = {
        "card": issued,
        "outcome": "overridden",
        "overrideReason": {"reason": REASON, "userComment": "The pressure was taken on the wrong arm."},
        "outcomeTimestamp": "2026-11-22T08:05:31.500Z",
    }
    return {name: value for name, value in {**made, **changes}.items() if value is not None}


@pytest.fixture
def issued(world):
    [card] = world.cards()
    return card["uuid"]


@pytest.mark.conformance("CDS Hooks 2.0", "@148-167: feedback names card, outcome, override reason and time; the answer is 200")
@pytest.mark.conformance("Card", "feedback is kept, once, and audited")
def test_feedback_is_kept_once_and_audited(world, issued, caplog):
    with caplog.at_level(logging.DEBUG):
        first = world.open("POST", PATH, {"feedback": [entry(issued)]})
        again = world.open("POST", PATH, {"feedback": [entry(issued.upper(), outcomeTimestamp="2026-11-22T09:05:31.5+01:00")]})
        accepted = world.open("POST", PATH, {"feedback": [entry(issued, outcome="accepted", overrideReason=None, acceptedSuggestions=[{"id": "s1"}], outcomeTimestamp="2026-11-22T08:06:00Z")]})
    assert [(answer.status_code, answer.get_json()) for answer in (first, again, accepted)] == [(200, {"stored": 1}), (200, {"stored": 0}), (200, {"stored": 1})]
    assert world.kept_feedback() == [
        (issued, 1_795_334_731_500_000, "stroke-risk", PREVENT, "overridden", REASON["system"], "wrong-data", "The pressure was taken on the wrong arm."),
        (issued, 1_795_334_760_000_000, "stroke-risk", PREVENT, "accepted", "", "", ""),
    ]
    assert [(record["interaction"], record["action"], record["targets"]) for record in world.records()] == [("cds-feedback", "C", [f"cds-card/{issued}"])] * 2
    assert "wrong arm" not in caplog.text


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"card": None}, "feedback[1].card"),
        ({"card": str(uuid.uuid4())}, "feedback[1].card"),
        ({"card": "not-a-uuid"}, "feedback[1].card"),
        ({"card": card_id(b"another key", PREVENT, "r1", "3", "risk")}, "feedback[1].card"),
        ({"outcome": None}, "feedback[1].outcome"),
        ({"outcome": "ignored"}, "feedback[1].outcome"),
        ({"outcomeTimestamp": None}, "feedback[1].outcomeTimestamp"),
        ({"outcomeTimestamp": "2026-11-22T08:05:31"}, "feedback[1].outcomeTimestamp"),
        ({"overrideReason": "wrong"}, "feedback[1].overrideReason"),
        ({"overrideReason": {"reason": {"display": "x"}}}, "feedback[1].overrideReason.reason.code"),
        ({"overrideReason": {"reason": {"code": "x" * 65}}}, "feedback[1].overrideReason.reason.code"),
        ({"overrideReason": {"userComment": "x" * 1001}}, "feedback[1].overrideReason.userComment"),
        ({"acceptedSuggestions": [{}]}, "feedback[1].acceptedSuggestions[0].id"),
    ],
)
def test_a_mistake_is_named_and_nothing_is_kept(world, issued, changes, path):
    answer = world.open("POST", PATH, {"feedback": [entry(issued), entry(issued, **changes)]})
    assert (answer.status_code, [issue["path"] for issue in answer.get_json()["issues"]]) == (400, [path])
    assert world.kept_feedback() == []
    assert world.records() == []


@pytest.mark.parametrize("body", [{}, {"feedback": []}, {"feedback": {}}, {"feedback": [7]}])
def test_what_is_no_feedback_is_refused(world, body):
    assert world.open("POST", PATH, body).status_code == 400


@pytest.mark.conformance("Attacks", "100: nobody fills the disk with feedback: cards that were not issued, too many entries and more than a day's number are refused")
def test_feedback_has_an_end(world, issued, fake_clock):
    many = [entry(issued, outcomeTimestamp=f"2026-11-22T08:00:{second:02d}Z") for second in range(6)]
    assert world.open("POST", PATH, {"feedback": many[:4]}).get_json() == {"stored": 4}
    refused = world.open("POST", PATH, {"feedback": many[4:]})
    assert (refused.status_code, refused.headers["Retry-After"], len(world.kept_feedback())) == (429, "60", 4)
    assert world.open("POST", PATH, {"feedback": many[4:5]}).get_json() == {"stored": 1}
    assert world.open("POST", PATH, {"feedback": many[:5]}).get_json() == {"stored": 0}, "what is there already may come again"
    fake_clock.advance(86_401)
    assert world.open("POST", PATH, {"feedback": many[5:]}).get_json() == {"stored": 1}
    assert world.open("POST", PATH, {"feedback": many[:1] * 101}).status_code == 400
