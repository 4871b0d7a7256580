"""`chartloop omop sync` and `rebuild`: beside a stopped server, beside a running one, over PostgreSQL."""

import json
import threading

import pytest
from click.testing import CliRunner

from chartloop.app import open_door, open_kernel
from chartloop.cli.main import chartloop, run
from chartloop.cli.options import settings_of
from chartloop.engines import omop_consumer
from chartloop.kernel.process_lock import ProcessLock
from chartloop.kernel.worker import Worker
from omop_bridge.contents import contents
from omop_bridge.database import open_cdm
from tests.integration.omop.test_following import patient, weight
from tests.integration.omop.world import OPERATOR


@pytest.fixture
def data(database_url, tmp_path, monkeypatch):
    directory = tmp_path / "data"
    if database_url.startswith("postgresql"):
        monkeypatch.setenv("CHARTLOOP_DATABASE__URL", database_url)
    store(directory, patient(), weight(), weight("old", status="preliminary"))
    return directory


def store(directory, *resources):
    with open_kernel(settings_of(directory)) as kernel:
        repository = open_door(kernel).repository
        for resource in resources:
            repository.update(OPERATOR, resource["resourceType"], resource["id"], resource)


def told(*arguments):
    result = CliRunner().invoke(chartloop, [*arguments, "--json"])
    assert result.exit_code == 0, result.exception
    return json.loads(result.stdout)["runs"]


def held(directory):
    cdm = open_cdm(settings_of(directory).omop_url)
    try:
        with cdm.read() as session:
            return contents(session)
    finally:
        cdm.close()


@pytest.mark.long
@pytest.mark.conformance("OMOP", "chartloop omop sync catches up once and exits; running it twice changes nothing; chartloop omop rebuild gives the same")
def test_sync_catches_up_and_a_second_time_changes_nothing(data):
    built, first = told("omop", "sync", "--data", str(data))
    assert (built["kind"], built["resources"], built["rows"], first["kind"], first["resources"]) == ("rebuild", 3, 2, "sync", 0)
    assert first["counts"] == {"Observation": {"status-preliminary": 1}}
    found = held(data)
    assert {table: each.rows for table, each in found.items() if each.rows} == {"person": 1, "measurement": 1, "observation_period": 1}
    store(data, weight(value=71), weight("other"))
    (second,) = told("omop", "sync", "--data", str(data))
    assert (second["resources"], second["rows"]) == (2, 2)
    found = held(data)
    (third,) = told("omop", "sync", "--data", str(data))
    assert (third["resources"], third["rows"]) == (0, 0)
    assert held(data) == found
    (again,) = told("omop", "rebuild", "--data", str(data))
    assert (again["kind"], again["resources"], again["rows"]) == ("rebuild", 4, 3)
    assert held(data) == found


def test_sync_tells_in_words_what_is_left_out(data):
    result = CliRunner().invoke(chartloop, ["omop", "sync", "--data", str(data)])
    assert result.stdout.splitlines()[2].split() == ["1", "Observation", "left", "out:", "status-preliminary"]


def test_beside_a_running_server_sync_waits_for_it_and_rebuild_refuses(tmp_path, capsys):
    data = tmp_path / "data"
    store(data, patient(), weight())
    lock = ProcessLock(data)
    kernel = open_kernel(settings_of(data))
    consumer = omop_consumer(kernel, open_door(kernel).repository)
    worker = Worker(kernel.database, kernel.bus, [consumer], [], kernel.settings.worker)
    starting = threading.Timer(0.3, worker.start)
    try:
        kernel.bus.subscribe(_group())
        starting.start()
        (run_,) = told("omop", "sync", "--data", str(data), "--wait", "30")
        assert (run_["kind"], run_["resources"]) == ("follow", 2)
        assert run(["omop", "rebuild", "--data", str(data)]) == 1
        assert "already serves" in capsys.readouterr().err
    finally:
        starting.join()
        worker.stop()
        consumer.close()
        kernel.__exit__(None, None, None)
        lock.release()


@pytest.mark.long
def test_sync_says_how_many_events_still_wait(tmp_path, capsys):
    data = tmp_path / "data"
    store(data, patient())
    lock = ProcessLock(data)
    with open_kernel(settings_of(data)) as kernel:
        kernel.bus.subscribe(_group())
        assert run(["omop", "sync", "--data", str(data), "--wait", "0"]) == 1
    lock.release()
    assert "1 events still wait" in capsys.readouterr().err


def _group():
    from chartloop.kernel.broker import Group
    from omop_bridge.sync import OmopConsumer

    return Group(OmopConsumer.name, OmopConsumer.types, OmopConsumer.subjects)
