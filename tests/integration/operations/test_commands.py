"""`chartloop jobs` and `chartloop events`: what they print, what they do, and their records."""

from __future__ import annotations

import json
import threading

import pytest

from chartloop.cli.main import run
from chartloop.engines import groups
from chartloop.kernel.clock import iso, now_us
from chartloop.kernel.jobs.runner import Job, JobRunner
from chartloop.kernel.jobs.schedule import Every
from tests.integration.operations.conftest import Operated

pytestmark = pytest.mark.long  # each command opens the store anew


def said(capsys: pytest.CaptureFixture[str], *arguments: object, status: int = 0) -> str:
    assert run([str(each) for each in arguments]) == status
    return capsys.readouterr().out


@pytest.mark.conformance("Command line", "jobs list, run, pause and resume; each decision is recorded with the account that made it")
def test_jobs_are_listed_paused_resumed_and_asked_for(operated: Operated, capsys: pytest.CaptureFixture[str]) -> None:
    data = operated.data
    listed = said(capsys, "jobs", "list", "--data", data)
    assert [line.split()[0] for line in listed.splitlines()] == ["claims-drafts", "forget-audit", "telemetry"]
    assert "failed" in listed
    assert "(OSError, 1 in a row)" in listed
    assert "Müller" not in listed
    for command, line in (("pause", "telemetry is paused"), ("resume", "telemetry goes on"), ("run", "telemetry will be run by the process that runs the jobs")):
        assert said(capsys, "jobs", command, "telemetry", "--data", data).strip() == line
    [row] = [each for each in json.loads(said(capsys, "jobs", "list", "--data", data, "--json")) if each["name"] == "telemetry"]
    assert (row["paused"], row["outcome"], row["reason"], row["failures"], row["asked"] != "") == (False, "failed", "OSError", 1, True)
    for interaction in ("job-paused", "job-resumed", "job-asked"):
        [record] = [each for each in operated.records(interaction=interaction) if each["targets"] == ["job/telemetry"]]
        assert record["subject"]["id"].startswith("os:")
    assert run(["jobs", "run", "nothing", "--data", str(data)]) == 1
    assert "no such job" in capsys.readouterr().err


def test_who_waits_for_a_job_is_told_how_it_ended(operated: Operated, capsys: pytest.CaptureFixture[str]) -> None:
    runner = JobRunner(operated.kernel.database, [Job("claims-drafts", Every(3600.0), lambda: None)], lease_s=0.01)
    stop = threading.Event()

    def tick() -> None:
        while not stop.wait(0.02):
            runner.tick()

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        assert "claims-drafts done in" in said(capsys, "jobs", "run", "claims-drafts", "--wait", "20", "--data", operated.data)
    finally:
        stop.set()
        thread.join()
        runner.close(1)
    assert run(["jobs", "run", "claims-drafts", "--wait", "0.1", "--data", str(operated.data)]) == 1
    assert "Does a server or a worker run?" in capsys.readouterr().err


@pytest.mark.conformance("Command line", "events dlq list, show, retry, drop, and replay by time, type and consumer; each decision is recorded")
def test_dead_letters_are_retried_and_dropped_with_a_record(operated: Operated, capsys: pytest.CaptureFixture[str]) -> None:
    data = operated.data
    one, two = operated.give_up("Observation/dlq1"), operated.give_up("Observation/dlq2")
    assert one in said(capsys, "events", "dlq", "list", "--data", data)
    assert json.loads(said(capsys, "events", "dlq", "show", one, "--data", data))["reason"] == "OSError in 8 attempts"
    assert said(capsys, "events", "dlq", "retry", one, "--data", data).strip() == f"{one} will be tried again"
    assert said(capsys, "events", "dlq", "drop", two, "--yes", "--data", data).strip() == f"{two} was dropped"
    for interaction, letter in (("dead-letter-retried", one), ("dead-letter-dropped", two)):
        [record] = [each for each in operated.records(interaction=interaction) if each["targets"] == [f"dead-letter/{letter}"]]
        assert record["subject"]["id"].startswith("os:")
    assert run(["events", "dlq", "retry", one, "--data", str(data)]) == 1


@pytest.mark.conformance("Operations", "events replay delivers again to one consumer what was recorded since an instant, of some types, and is recorded")
def test_a_replay_is_delivered_and_recorded(operated: Operated, capsys: pytest.CaptureFixture[str]) -> None:
    kernel, name = operated.kernel, "hl7-messages"
    kernel.bus.subscribe(next(group for group in groups() if group.name == name))
    since = iso(now_us())
    kernel.database.write(lambda tx: kernel.outbox.publish(tx, "MessageReceived", "hl7-message/1", key="hl7/1"))

    def work() -> list[str]:
        found = []
        for _ in range(3):
            for lease in kernel.bus.lease("me", {name: 10}, 30):
                deliveries = kernel.bus.deliveries(lease, 100)
                found += [delivery.event.subject for delivery in deliveries]
                kernel.bus.ack(lease, deliveries)
                kernel.bus.release(lease)
        return found

    assert work() == ["hl7-message/1"]
    assert work() == []
    replay = ("events", "replay", "--yes", "--data", operated.data, "--consumer", name, "--since")
    assert said(capsys, *replay, since, "--type", "MessageReceived") == f"1 events will be handled again by {name}\n"
    assert work() == ["hl7-message/1"]
    assert said(capsys, *replay, iso(now_us() + 60_000_000)).startswith("0 events")
    assert said(capsys, *replay, since, "--type", "ResourceDeleted").startswith("0 events")
    [first, *_] = operated.records(interaction="events-replayed")
    assert (first["targets"], first["query"]) == ([f"consumer/{name}"], f"since={since}&type=MessageReceived")
    for wrong in (["--consumer", "nobody", "--since", since], ["--consumer", name, "--since", since, "--type", "Nothing"]):
        assert run(["events", "replay", "--yes", "--data", str(operated.data), *wrong]) == 2
    assert run(["events", "replay", "--yes", "--data", str(operated.data), "--consumer", name, "--since", "yesterday"]) == 1


def test_consumers_are_listed_with_what_they_have_before_them(operated: Operated, capsys: pytest.CaptureFixture[str]) -> None:
    operated.give_up("Observation/listed")
    found = {each["consumer"]: each for each in json.loads(said(capsys, "events", "consumers", "--json", "--data", operated.data))}
    assert found["predictions"]["dead"] >= 1
    assert "predictions" in said(capsys, "events", "consumers", "--data", operated.data)
