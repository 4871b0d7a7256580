"""A payer that says nothing of a claim, or never pays: a person is asked to ask, once for each silence."""

import datetime as dt
import json

import pytest

from chartloop.kernel import clock
from claims.attention import SILENT
from claims.interchange_store import ACKNOWLEDGED, QUEUED, SENDING, SENT, add_answer, move
from claims.silent import SilentClaims, business_days_before
from tests.integration.claims.test_disclosure import visit
from tests.integration.claims.test_jobs import queued

DAY_US = 86_400 * 1_000_000


@pytest.fixture
def sent(world):
    """A claim that went out, and how to let it have gone out some days ago."""
    world.payer()
    world.people()
    visit(world)
    [row] = queued(world)
    world.db.write(lambda tx: move(tx, row.id, [QUEUED], SENDING, attempt=True))
    world.db.write(lambda tx: move(tx, row.id, [SENDING], SENT))

    def ago(days):
        world.db.write(lambda tx: tx.run("UPDATE interchange SET sent = ? WHERE id = ?", (clock.now_us() - days * DAY_US, row.id)))

    return ago


def answer(world, kind, **more):
    claim = f"Claim/{world.claim()['id']}"
    world.db.write(lambda tx: add_answer(tx, claim, f"{kind}/1", 1, kind, json.dumps({"kind": kind, **more})))


def tasks(world):
    look = SilentClaims(world.db, world.chart, 2, 30)
    look.look()
    look.look()
    found = [task for task in world.see("Task") if task["code"]["coding"][0]["code"] == SILENT]
    return [(task["status"], task["focus"]["reference"], task["input"][0]["valueString"].partition(":")[0]) for task in found]


@pytest.mark.conformance("Claims", "a payer that does not acknowledge a claim in two business days, or does not pay in thirty days, is a Task; it is completed when the payer speaks")
def test_a_silent_payer_is_a_task_until_it_speaks(world, sent):
    claim = f"Claim/{world.claim()['id']}"
    assert tasks(world) == []
    sent(5)
    assert tasks(world) == [("requested", claim, "277CA")]
    answer(world, "277CA", rejected=False)
    assert tasks(world) == [("completed", claim, "277CA")]
    sent(31)
    assert tasks(world) == [("requested", claim, "835")]
    answer(world, "835")
    assert tasks(world) == [("completed", claim, "835")]


def test_who_said_that_it_is_settled_is_not_asked_again(world, sent):
    sent(5)
    tasks(world)
    [task] = [task for task in world.see("Task") if task["code"]["coding"][0]["code"] == SILENT]
    world.put({**task, "status": "completed"})
    assert [status for status, *_ in tasks(world)] == ["completed"]


@pytest.mark.parametrize(("kind", "more"), [("999", {"rejected": True}), ("277CA", {"rejected": True})])
def test_a_claim_that_was_rejected_is_not_waited_for(world, sent, kind, more):
    sent(40)
    answer(world, kind, **more)
    assert tasks(world) == []


def test_an_interchange_that_was_acknowledged_is_waited_for_too_and_one_that_waits_is_not(world, sent):
    sent(5)
    world.db.write(lambda tx: move(tx, 1, [SENT], ACKNOWLEDGED))
    assert len(tasks(world)) == 1
    world.db.write(lambda tx: move(tx, 1, [ACKNOWLEDGED], QUEUED))
    assert [status for status, *_ in tasks(world)] == ["completed"]


@pytest.mark.parametrize(("now", "days", "then"), [("2026-11-25", 2, "2026-11-23"), ("2026-11-24", 2, "2026-11-20"), ("2026-11-22", 1, "2026-11-20"), ("2026-11-23", 5, "2026-11-16")])
def test_weekends_are_no_business_days(now, days, then):
    assert business_days_before(dt.datetime.fromisoformat(f"{now}T12:00:00+00:00"), days).date().isoformat() == then
