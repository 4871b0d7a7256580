"""Jobs run on schedule, by one process at a time, once for what was missed, and again after a failure."""

import threading
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chartloop.kernel.clock import FakeClock, iso, parse_iso
from chartloop.kernel.db import Database
from chartloop.kernel.errors import NotFound
from chartloop.kernel.jobs.runner import CUT_OFF, Job, JobRunner
from chartloop.kernel.jobs.schedule import Daily, Every, retry_s
from chartloop.kernel.jobs.table import ask, job_row, pause

from .consumers import eventually

BERLIN = ZoneInfo("Europe/Berlin")
LEASE_S = 30.0


class Ran:
    """An action that notes its runs, and does what it is told besides."""

    def __init__(self) -> None:
        self.count = 0
        self.error: Exception | None = None
        self.entered, self.go = threading.Event(), threading.Event()
        self.go.set()

    def __call__(self) -> None:
        self.count += 1
        self.entered.set()
        self.go.wait(30)
        if self.error is not None:
            raise self.error


def runner(database: Database, ran: Ran, seconds: float = 3600.0) -> JobRunner:
    return JobRunner(database, [Job("work", Every(seconds), ran)], lease_s=LEASE_S)


def ticked(*runners: JobRunner) -> None:
    """One look at the clock; what it began is waited for."""
    for each in runners:
        each.tick()
    assert eventually(lambda: not any(each.running() for each in runners))


def row(database: Database, name: str = "work"):
    with database.read() as session:
        return job_row(session, name)


@pytest.mark.parametrize(
    ("now", "following"),
    [
        ("2026-11-22T00:30:00Z", "2026-11-22T02:10:00.000Z"),
        ("2026-11-22T02:09:59Z", "2026-11-22T02:10:00.000Z"),
        ("2026-11-22T02:10:00Z", "2026-11-23T02:10:00.000Z"),
        ("2026-03-28T12:00:00Z", "2026-03-29T01:10:00.000Z"),  # summer time begins at 2: 3:10 is an hour earlier in UTC
        ("2026-10-24T12:00:00Z", "2026-10-25T02:10:00.000Z"),
    ],
)
def test_a_daily_job_runs_at_a_local_time(now: str, following: str) -> None:
    assert iso(Daily(3, 10, BERLIN).after(parse_iso(now))) == following


@pytest.mark.parametrize(
    ("now", "following"),
    [
        ("2026-03-29T00:00:00Z", "2026-03-29T01:30:00.000Z"),  # 2:30 does not exist: 3:30
        ("2026-10-24T23:00:00Z", "2026-10-25T00:30:00.000Z"),  # 2:30 comes twice: the first
        ("2026-10-25T00:30:00Z", "2026-10-26T01:30:00.000Z"),  # and not again an hour later
    ],
)
def test_a_daily_job_runs_once_on_the_days_on_which_the_clocks_change(now: str, following: str) -> None:
    assert iso(Daily(2, 30, BERLIN).after(parse_iso(now))) == following


@given(st.integers(0, 4_000_000_000), st.integers(0, 23), st.integers(0, 59))
def test_the_next_daily_run_is_later_than_now_and_within_a_long_day(second: int, hour: int, minute: int) -> None:
    schedule = Daily(hour, minute, BERLIN)
    following = schedule.after(second * 1_000_000)
    assert 0 < following - second * 1_000_000 <= schedule.longest_s * 1_000_000


def test_a_schedule_is_said_in_words() -> None:
    assert [Every(s).text for s in (0.5, 1, 90, 120, 3600, 5400)] == ["every 0.5 s", "every 1 s", "every 90 s", "every 2 min", "every 1 h", "every 90 min"]
    assert Daily(3, 5, BERLIN).text == "daily at 03:05 Europe/Berlin"


def test_failures_are_tried_again_after_5_s_and_then_more_and_more_slowly() -> None:
    assert [retry_s(n, Every(3600)) for n in (1, 2, 3, 4, 99)] == [5, 10, 20, 40, 3600]
    assert [retry_s(n, Every(2)) for n in (1, 4, 5, 99)] == [5, 40, 60, 60]
    assert retry_s(99, Daily(3, 10, BERLIN)) == 3600


@pytest.mark.conformance("Operations", "a job that was missed while nobody ran jobs is run once, not once for each time")
def test_a_job_that_was_missed_is_run_once(database: Database, fake_clock: FakeClock) -> None:
    ran = Ran()
    first = runner(database, ran)
    ticked(first)
    assert ran.count == 0, "a new job waits for its time"
    first.close(1)
    fake_clock.advance(50 * 3600)
    again = runner(database, ran)
    for _ in range(3):
        ticked(again)
    assert (ran.count, row(database).runs, row(database).outcome) == (1, 1, "done")
    fake_clock.advance(3600)
    ticked(again)
    assert ran.count == 2


@pytest.mark.conformance("Operations", "one process runs the jobs; when it falls silent another takes over, and what the first still does is not written")
def test_one_process_runs_the_jobs_and_another_takes_over(database: Database, fake_clock: FakeClock) -> None:
    mine, theirs = Ran(), Ran()
    one, other = runner(database, mine), runner(database, theirs)
    ticked(one, other)
    fake_clock.advance(3600)
    mine.go.clear()
    one.tick()
    assert mine.entered.wait(10)
    ticked(other)
    assert (mine.count, theirs.count) == (1, 0)
    fake_clock.advance(LEASE_S + 1)  # the first process hangs: it renews nothing
    ticked(other)
    assert (row(database).outcome, row(database).reason) == ("failed", CUT_OFF)
    fake_clock.advance(5)
    ticked(other)
    assert (theirs.count, row(database).outcome, row(database).runs) == (1, "done", 2)
    mine.go.set()
    assert eventually(lambda: not one.running())
    assert row(database).runs == 2, "whoever was taken over from writes nothing"
    ticked(one)
    fake_clock.advance(3600)
    ticked(other, one)
    assert (mine.count, theirs.count) == (1, 2)


def test_a_process_that_stops_lets_another_run_the_jobs_at_once(database: Database, fake_clock: FakeClock) -> None:
    mine, theirs = Ran(), Ran()
    one, other = runner(database, mine), runner(database, theirs)
    ticked(one, other)
    fake_clock.advance(3600)
    mine.go.clear()
    one.tick()
    assert mine.entered.wait(10)
    closing = threading.Thread(target=one.close, args=(10.0,))
    closing.start()
    mine.go.set()
    closing.join(10)
    assert (row(database).outcome, row(database).runs) == ("done", 1), "what ran was let end, and is written"
    assert ask_now(database)
    ticked(other)
    assert theirs.count == 1


def ask_now(database: Database) -> int:
    return database.write(lambda tx: ask(tx, "work"))


@pytest.mark.conformance("Operations", "a job that fails is tried again after a while, and shows how and how often; its error's text is kept nowhere")
def test_a_job_that_fails_is_tried_again_and_shown(database: Database, fake_clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    ran = Ran()
    ran.error = OSError("Müller, Anna")
    jobs = runner(database, ran)
    ticked(jobs)
    fake_clock.advance(3600)
    for pause_s, count in ((0, 1), (4, 1), (1, 2), (9, 2), (1, 3)):
        fake_clock.advance(pause_s)
        ticked(jobs)
        assert ran.count == count
    found = row(database)
    assert (found.outcome, found.reason, found.attempt, found.runs, found.failures) == ("failed", "OSError", 3, 3, 3)
    ran.error = None
    fake_clock.advance(20)
    ticked(jobs)
    found = row(database)
    assert (found.outcome, found.reason, found.attempt, found.runs, found.failures) == ("done", "", 0, 4, 3)
    assert found.next_run == found.last_run + 3_600_000_000


@pytest.mark.parametrize("back_s", [600.0, 86_400.0])
def test_a_clock_that_is_set_back_stops_no_job(database: Database, fake_clock: FakeClock, back_s: float) -> None:
    ran = Ran()
    jobs = runner(database, ran)
    ticked(jobs)
    fake_clock._now_us -= round(back_s * 1e6)
    counts = []
    for _ in range(4):
        ticked(jobs)
        counts.append(ran.count)
        fake_clock.advance(900)
    assert counts[0] <= 1
    fake_clock.advance(1800)
    ticked(jobs)
    assert 1 <= ran.count <= 2, "within an hour and a half it ran, and not many times"
    other = runner(database, ran)
    ticked(other)
    assert not other.running(), "the lease that was taken before still holds"


def test_a_lease_from_before_the_clock_was_set_back_is_taken_over(database: Database, fake_clock: FakeClock) -> None:
    ran = Ran()
    ticked(runner(database, Ran()))  # it dies without a word
    fake_clock._now_us -= 86_400_000_000
    jobs = runner(database, ran)
    ticked(jobs)
    ticked(jobs)
    assert ran.count == 1


def test_a_clock_that_is_set_forward_runs_a_job_once(database: Database, fake_clock: FakeClock) -> None:
    ran = Ran()
    jobs = runner(database, ran)
    ticked(jobs)
    fake_clock._now_us += 30 * 86_400_000_000
    for _ in range(3):
        ticked(jobs)
    assert ran.count == 1


def test_a_paused_job_rests_until_it_is_asked_for_or_resumed(database: Database, fake_clock: FakeClock) -> None:
    ran = Ran()
    jobs = runner(database, ran)
    ticked(jobs)
    database.write(lambda tx: pause(tx, "work", paused=True))
    fake_clock.advance(7200)
    ticked(jobs)
    assert ran.count == 0
    ask_now(database)
    ticked(jobs)
    ticked(jobs)
    assert (ran.count, row(database).asked) == (1, 0)
    database.write(lambda tx: pause(tx, "work", paused=False))
    fake_clock.advance(3600)
    ticked(jobs)
    assert ran.count == 2


def test_nobody_asks_for_a_job_that_does_not_exist(database: Database) -> None:
    with pytest.raises(NotFound, match="jobs list"):
        database.write(lambda tx: ask(tx, "nothing"))


def test_a_job_that_runs_every_second_is_written_with_the_lease(database: Database, fake_clock: FakeClock) -> None:
    ran = Ran()
    jobs = runner(database, ran, 1.0)
    ticked(jobs)
    writes = []
    original = database.write
    database.write = lambda work: (writes.append(1), original(work))[1]  # type: ignore[method-assign]
    for _ in range(20):
        fake_clock.advance(1)
        ticked(jobs)
    assert ran.count == 20
    assert len(writes) <= 4, "the first run, then with each renewal"
    jobs.close(1)
    assert row(database).runs == 20


def test_a_long_job_delays_no_other(database: Database, fake_clock: FakeClock) -> None:
    slow, quick = Ran(), Ran()
    slow.go.clear()
    jobs = JobRunner(database, [Job("slow", Every(60), slow), Job("work", Every(60), quick)], lease_s=LEASE_S)
    jobs.tick()
    for count in (1, 2):
        fake_clock.advance(60)
        jobs.tick()
        assert eventually(lambda count=count: jobs.running() == ["slow"] and quick.count == count)
    slow.go.set()
    assert eventually(lambda: not jobs.running())
    assert (slow.count, row(database, "slow").outcome) == (1, "done")


def test_a_changed_schedule_holds_from_the_next_start(database: Database, fake_clock: FakeClock) -> None:
    ran = Ran()
    first = runner(database, ran, 86_400)
    ticked(first)
    first.close(1)
    ticked(again := runner(database, ran, 60))
    assert row(database).schedule == "every 1 min"
    fake_clock.advance(60)
    ticked(again)
    assert ran.count == 1
