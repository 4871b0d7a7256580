"""A long transaction elsewhere in the PostgreSQL cluster holds events back: none is lost, and somebody is told."""

import logging

import psycopg
import pytest

from chartloop.kernel.broker import Group
from chartloop.kernel.broker_table import TableBus
from chartloop.kernel.db import Database, create_tables, open_database
from chartloop.kernel.gauges import StoreCollector
from chartloop.kernel.held_back import HeldBack, held_back, watch_held_back
from chartloop.kernel.outbox import Outbox
from chartloop.kernel.settings_sections import WorkerSettings
from chartloop.kernel.worker import work_off
from tests.unit.kernel.consumers import Recorder


def held(database: Database) -> HeldBack:
    with database.read() as session:
        return held_back(session)


def samples(database: Database) -> dict[str, float]:
    return {s.name: s.value for family in StoreCollector(database).collect() for s in family.samples if s.name.startswith("chartloop_events_held")}


@pytest.mark.conformance("Events", "a long transaction in another database of the PostgreSQL cluster hides events until it ends; none is lost, and it is told of")
@pytest.mark.parametrize("how", ["open", "committed"])
def test_a_long_transaction_of_another_database_holds_events_back_and_loses_none(
    postgresql_url: str, postgresql_server: str, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    database = open_database(postgresql_url)
    create_tables(database)
    bus, recorder = TableBus(database), Recorder(database)
    bus.subscribe(Group(recorder.name, recorder.types))
    with psycopg.connect(postgresql_server) as other:  # the database `postgres`, as another product's would be
        other.execute("CREATE TEMP TABLE elsewhere (n int)") if how == "open" else other.execute("SELECT pg_current_xact_id()")
        outbox = Outbox(bus, b"secret")
        for number in range(5):
            database.write(lambda tx, number=number: outbox.publish(tx, "ResourceUpdated", f"Observation/{number}", key="Patient/1"))  # type: ignore[misc]
        assert bus.lease("w", {"recorder": 1}, 30) == [], "five of five events are hidden"
        seen = held(database)
        assert (seen.events, seen.age_s > 0) == (5, True)
        assert samples(database)["chartloop_events_held_back"] == 5
        with caplog.at_level(logging.WARNING):
            watch_held_back(database, 0.0)
            watch_held_back(database, 3600.0)
        assert [record.action for record in caplog.records] == ["events.held-back"]  # type: ignore[attr-defined]
        assert "in database postgres" in caplog.records[0].holder  # type: ignore[attr-defined]
        other.rollback() if how == "open" else other.commit()
    (lease,) = bus.lease("w", {"recorder": 1}, 30)
    while work_off(bus, recorder, lease, WorkerSettings()):
        pass
    assert recorder.seen == [f"Observation/{number}" for number in range(5)]
    assert held(database) == HeldBack(0, 0.0)
    assert samples(database) == {"chartloop_events_held_back": 0, "chartloop_events_held_back_age_seconds": 0}
    database.close()


def test_on_sqlite_nothing_is_held_back(tmp_path) -> None:  # type: ignore[no-untyped-def]
    database = open_database(f"sqlite:///{tmp_path / 'chartloop.sqlite3'}")
    create_tables(database)
    assert samples(database) == {"chartloop_events_held_back": 0, "chartloop_events_held_back_age_seconds": 0}
    database.close()
