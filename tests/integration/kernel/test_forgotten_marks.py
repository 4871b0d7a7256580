"""The mark of an event that still waits is kept, however old it is."""

from chartloop.kernel.broker import Group
from chartloop.kernel.broker_table import TableBus
from chartloop.kernel.clock import FakeClock
from chartloop.kernel.db import Database
from chartloop.kernel.outbox import Outbox
from chartloop.kernel.retention import forget_events
from chartloop.kernel.settings_sections import WorkerSettings
from chartloop.kernel.worker import work_off
from tests.unit.kernel.consumers import Recorder


def test_an_effect_before_an_outage_of_a_week_does_not_happen_again(database: Database, fake_clock: FakeClock) -> None:
    """Found by the simulation (seed 1/0): a worker died between effect and acknowledgment, and its mark was forgotten before the event came again."""
    bus, recorder = TableBus(database), Recorder(database)
    bus.subscribe(Group(recorder.name, recorder.types))
    database.write(lambda tx: Outbox(bus, b"secret").publish(tx, "ResourceUpdated", "Observation/1", key="Patient/1"))
    (lease,) = bus.lease("dies", {"recorder": 1}, 30)
    (delivery,) = bus.deliveries(lease, 1)
    recorder.handle(delivery.event, bus.once(lease, delivery.event))
    fake_clock.advance(8 * 86_400)
    assert forget_events(database, 7 * 86_400) == 0
    (again,) = bus.lease("comes after", {"recorder": 1}, 30)
    while work_off(bus, recorder, again, WorkerSettings()):
        pass
    assert recorder.seen == ["Observation/1"]
    assert bus.pending() == 0
    assert forget_events(database, 7 * 86_400) == 1
    assert database.one("SELECT count(*) FROM handled") == (0,)
