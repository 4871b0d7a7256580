"""Sending: what certainly did not arrive is sent again, what may have arrived never is."""

from contextlib import contextmanager

import pytest

from chartloop.kernel.errors import Invalid
from chartloop.kernel.events import Event
from chartloop.kernel.worker import Later
from claims.interchange_store import add_interchange, interchange, move
from claims.payers.egress import EgressRefused, check_egress
from claims.payers.gates import Gates
from claims.payers.limits import Limits
from claims.payers.overview import overview
from claims.trace import outcome
from tests.integration.claims.faults_payer import WirePayer

EVENT = Event("e1", "InterchangeQueued", "interchange/1", 0, "k", "", 0)


def once(tx):
    """Nothing was handled before."""


@pytest.fixture
def wire(world):
    payer = WirePayer()
    world.payer(address=payer.address)
    world.db.write(lambda tx: add_interchange(tx, "out", "P1", "000000001", "1", "837P", "queued", "P1/CHARTLOOP-000000001", b"ISA"))
    yield payer
    payer.stop()


def state(world):
    with world.db.read() as session:
        return interchange(session, 1).state


@pytest.mark.conformance("Attacks", "89: a delivered interchange is sent once under its key")
@pytest.mark.conformance("The loop", "5 Claim: an interchange is sent through the outbox once, under its idempotency key")
def test_a_delivered_interchange_is_sent_once_under_its_key(world, wire):
    world.sending.handle(EVENT, once)
    world.sending.handle(EVENT, once)
    assert (state(world), wire.received, wire.keys) == ("sent", [b"ISA"], ["CHARTLOOP-000000001"])


@pytest.mark.conformance("Faults", "a payer that says not now, or is not there, gets the claim later, once")
@pytest.mark.parametrize("mode", ["outage"])
def test_a_payer_that_says_not_now_gets_it_later(world, wire, mode):
    wire.mode = mode
    with pytest.raises(Later):
        world.sending.handle(EVENT, once)
    assert (state(world), wire.received) == ("queued", [])
    wire.mode = "take"
    world.sending.handle(EVENT, once)
    assert (state(world), len(wire.received)) == ("sent", 1)


@pytest.mark.conformance("Faults", "a payer that says not now, or is not there, gets the claim later, once")
def test_a_payer_that_is_not_there_gets_it_later(world, wire):
    world.payer(address="http://127.0.0.1:1/payers/P1")
    with pytest.raises(Later):
        world.sending.handle(EVENT, once)
    assert state(world) == "queued"


def test_a_payer_that_fails_again_and_again_is_left_alone(world, wire):
    wire.mode = "outage"
    for _ in range(8):
        with pytest.raises(Later):
            world.sending.handle(EVENT, once)
    with world.db.read() as session:
        assert overview(session, world.limits_of)[0].sending == "open"
        assert interchange(session, 1).attempts == 5, "who is not called was not attempted"
    assert state(world) == "queued"


@pytest.mark.conformance("Faults", "a payer that hangs, slams, errs or drips after the send leaves the outcome unknown; nothing is sent again by itself")
@pytest.mark.conformance("Attacks", "88: a payer that hangs, trickles or errs gets nothing twice")
@pytest.mark.parametrize("mode", ["hang", "slam", "error", "drip"])
def test_what_may_have_arrived_is_unknown_and_never_sent_again(world, wire, mode):
    world.limits["P1"] = Limits(timeout_s=0.6)
    wire.mode = mode
    world.sending.handle(EVENT, once)
    wire.mode = "take"
    world.sending.handle(EVENT, once)
    assert (state(world), len(wire.received)) == ("unknown", 1)
    assert world.task_codes() == ["interchange-outcome-unknown"]


@pytest.mark.conformance("X12", "an operator decides an unknown outcome")
def test_an_operator_decides_an_unknown_outcome(world, wire):
    world.db.write(lambda tx: move(tx, 1, ["queued"], "unknown"))
    with pytest.raises(Invalid):
        outcome(world.db, world.outbox, 1, "perhaps")
    assert outcome(world.db, world.outbox, 1, "resend").state == "queued"
    world.sending.handle(EVENT, once)
    assert (state(world), wire.keys) == ("sent", ["CHARTLOOP-000000001"])
    with pytest.raises(Invalid):
        outcome(world.db, world.outbox, 1, "received")


@pytest.mark.conformance("Faults", "an interchange that a dead process left in sending is unknown and not sent again")
def test_an_interchange_found_in_sending_was_left_by_a_dead_process(world, wire):
    world.db.write(lambda tx: move(tx, 1, ["queued"], "sending"))
    world.sending.handle(EVENT, once)
    assert (state(world), wire.received) == ("unknown", [])


@pytest.mark.conformance("Faults", "an interchange that another worker began to send, and did not finish, is asked about and not forgotten")
def test_an_interchange_that_another_worker_takes_first_is_looked_at_again(world, wire):
    """Found by the simulation (seed 1/110): the event was acknowledged, and the interchange stayed in sending for ever."""

    class Overtaken(Gates):
        @contextmanager
        def enter(self, payer, lane):
            world.db.write(lambda tx: move(tx, 1, ["queued"], "sending", attempt=True))
            with super().enter(payer, lane) as passage:
                yield passage

    world.sending._gates = Overtaken(world.db, world.limits_of)
    with pytest.raises(Later):
        world.sending.handle(EVENT, once)
    assert (state(world), wire.received) == ("sending", [])
    world.sending.handle(EVENT, once)
    assert (state(world), wire.received, world.task_codes()) == ("unknown", [], ["interchange-outcome-unknown"])


def test_a_refused_interchange_asks_a_person(world, wire):
    wire.mode = "refuse"
    world.sending.handle(EVENT, once)
    assert (state(world), world.task_codes()) == ("rejected", ["interchange-not-sent"])


@pytest.mark.conformance("Attacks", "96: payer addresses in private ranges, mapped IPv6, file:, plain http and with credentials are not called")
@pytest.mark.parametrize("url", ["https://127.0.0.1/x", "https://10.0.0.1/", "https://169.254.169.254/", "https://[::1]/", "https://[::ffff:127.0.0.1]/", "file:///etc/passwd", "https://user:pw@example.com/", "http://8.8.8.8/"])
def test_private_addresses_are_not_called(url):
    with pytest.raises(EgressRefused):
        check_egress(url, allow_private=False)


@pytest.mark.conformance("Attacks", "88: a hanging payer delays no other")
@pytest.mark.conformance("The loop", "5 Claim: each payer has a lane of its own; a hanging one delays no other")
@pytest.mark.conformance("What must be real underneath", "lanes: a hanging key or payer delays no other")
def test_a_hanging_payer_delays_no_other(world, wire, tmp_path):
    wire.mode = "hang"
    world.limits["P1"] = Limits(timeout_s=25)
    other = WirePayer()
    try:
        world.payer("P2", other.address, number="2")
        world.worker.start()

        def queue(tx):
            world.outbox.publish(tx, "InterchangeQueued", "interchange/1", key="payer/P1")
            for n in range(2, 7):
                add_interchange(tx, "out", "P2", f"{n:09}", str(n), "837P", "queued", f"P2/CHARTLOOP-{n:09}", b"ISA")
                world.outbox.publish(tx, "InterchangeQueued", f"interchange/{n}", key="payer/P2")

        world.db.write(queue)
        world.until(lambda: len(other.received) == 5)
        assert state(world) == "sending"
    finally:
        other.stop()
