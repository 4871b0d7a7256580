"""The gate in front of a payer: one probe after a rest, shed interchanges that are no attempts, calls that end on time."""

import threading

import pytest

from chartloop.kernel.events import Event
from chartloop.kernel.worker import Later, Permanent
from claims.interchange_store import add_interchange, interchange
from claims.payers.call import NotReached, OutcomeUnknown
from claims.payers.egress import EgressRefused
from claims.payers.gates import MAILBOX, SENDING, Gates, Shed
from claims.payers.limits import Limits
from claims.payers.metrics import PayerCollector
from claims.payers.overview import overview
from tests.integration.claims.faults_payer import WirePayer


def event(number=1):
    return Event(f"e{number}", "InterchangeQueued", f"interchange/{number}", 0, "k", "", 0)


def once(tx):
    """Nothing was handled before."""


@pytest.fixture
def wire(world):
    payer = WirePayer()
    world.payer(address=payer.address)
    queue(world, 1)
    yield payer
    payer.stop()


def queue(world, *numbers):
    def work(tx):
        for n in numbers:
            add_interchange(tx, "out", "P1", f"{n:09}", str(n), "837P", "queued", f"P1/CHARTLOOP-{n:09}", b"ISA")

    world.db.write(work)


def row(world, number=1):
    with world.db.read() as session:
        return interchange(session, number)


def look(world):
    with world.db.read() as session:
        return overview(session, world.limits_of)[0]


def fails(gates, lane=SENDING, error=NotReached):
    with pytest.raises(error), gates.enter("P1", lane):
        raise error


def enters(gates, lane=SENDING):
    with gates.enter("P1", lane) as passage:
        passage.answered = True
    return passage.probe


@pytest.mark.conformance("Payers", "a payer that fails again and again rests; then one probe goes through, and a failing probe doubles the rest")
def test_a_breaker_lets_one_probe_through_after_a_rest_that_doubles(world, fake_clock):
    world.limits["P1"] = Limits(failures=3, rest_s=10, rest_max_s=25, calls_per_s=1000)
    gates, other = Gates(world.db, world.limits_of), Gates(world.db, world.limits_of)
    for _ in range(3):
        fails(gates)
    for rest_s in (10, 20, 25, 25):
        with pytest.raises(Shed) as shed:
            enters(other)
        assert (shed.value.reason, shed.value.delay_s) == ("resting", pytest.approx(rest_s)), "another worker knows of it"
        fake_clock.advance(rest_s + 0.001)
        with pytest.raises(OutcomeUnknown), gates.enter("P1", SENDING) as passage:
            assert passage.probe
            with pytest.raises(Shed):
                enters(other)
            raise OutcomeUnknown
    assert not enters(gates, MAILBOX), "the mailbox has a breaker of its own"
    fake_clock.advance(25.001)
    assert enters(other)
    assert not enters(gates), "an answer closes it for everybody"
    fails(gates)
    assert not enters(gates), "the failures begin anew"


def test_a_rest_that_was_begun_before_the_clock_went_back_is_over(world, fake_clock):
    world.limits["P1"] = Limits(failures=1, rest_s=10)
    gates = Gates(world.db, world.limits_of)
    fails(gates)
    fake_clock.jump(-86_400)
    assert enters(gates)


def test_a_fault_of_our_own_says_nothing_about_the_payer(world, fake_clock):
    world.limits["P1"] = Limits(failures=1)
    gates = Gates(world.db, world.limits_of)
    for _ in range(3):
        fails(gates, error=KeyError)
    assert not enters(gates)


@pytest.mark.conformance("Payers", "each payer gets so many calls at once, and so many in a second; what is more goes back to the queue")
def test_a_payer_gets_so_many_calls_at_once_and_so_many_in_a_second(world, fake_clock):
    world.limits["P1"] = Limits(calls_at_once=2, calls_per_s=5)
    gates = Gates(world.db, world.limits_of)
    with gates.enter("P1", SENDING), gates.enter("P1", SENDING):
        with pytest.raises(Shed, match="under way"):
            enters(gates)
        with gates.enter("P2", SENDING):
            pass
    for _ in range(3):
        enters(gates)
    with pytest.raises(Shed, match="in this second") as shed:
        enters(gates)
    assert shed.value.delay_s == pytest.approx(0.2)
    fake_clock.advance(0.2)
    assert not enters(gates)


@pytest.mark.conformance("Payers", "what is shed goes back to the queue: no attempt, not lost, not too old while the payer is there")
def test_what_is_shed_is_no_attempt_and_goes_out_later(world, wire):
    world.limits["P1"] = Limits(calls_per_s=0.5, max_age_s=1e-6)
    queue(world, 2)
    world.sending.handle(event(1), once)
    with pytest.raises(Later) as later:
        world.sending.handle(event(2), once)
    assert later.value.delay_s > 0
    assert (row(world, 2).state, row(world, 2).attempts, look(world).shed) == ("queued", 0, 1)
    world.limits["P1"] = Limits(calls_per_s=1000)
    world.sending.handle(event(2), once)
    assert (row(world, 2).state, len(wire.received)) == ("sent", 2)


@pytest.mark.conformance("Payers", "an interchange that cannot be delivered for longer than its maximum age is given to a person")
def test_what_is_too_old_is_given_to_a_person(world, wire):
    world.limits["P1"] = Limits(max_age_s=1e-6)
    wire.mode = "outage"
    with pytest.raises(Permanent):
        world.sending.handle(event(), once)
    assert (row(world).state, world.task_codes()) == ("queued", ["interchange-not-sent"])


@pytest.mark.conformance("Payers", "the probe after a rest is a question that costs nothing: an interchange follows only when it is answered")
def test_a_payer_that_still_hangs_costs_a_question_and_no_interchange(world, wire):
    world.limits["P1"] = Limits(timeout_s=0.3, failures=1, rest_s=0.05, rest_max_s=0.05)
    wire.mode = "hang"
    world.sending.handle(event(), once)
    assert row(world).state == "unknown"
    queue(world, 2)
    for asked in (1, 2):
        threading.Event().wait(0.1)
        with pytest.raises(Later):
            world.sending.handle(event(2), once)
        assert (row(world, 2).state, row(world, 2).attempts, wire.asked, len(wire.received)) == ("queued", 0, asked, 1)
    wire.mode = "take"
    threading.Event().wait(0.1)
    world.sending.handle(event(2), once)
    assert (row(world, 2).state, len(wire.received), look(world).sending) == ("sent", 2, "closed")


def calls_under_way():
    return [thread for thread in threading.enumerate() if thread.name == "chartloop-payer-call"]


@pytest.mark.conformance("Payers", "a call ends at its total deadline, its thread with it, whatever the payer drips or pours")
@pytest.mark.conformance("Attacks", "88: a payer that hangs, trickles headers or body, or pours without end holds no thread")
@pytest.mark.parametrize("mode", ["hang", "drip", "trickle", "endless"])
def test_a_call_ends_with_its_thread_whatever_the_payer_does(world, wire, mode):
    world.limits["P1"] = Limits(timeout_s=0.5, answer_max_bytes=1_000_000)
    wire.mode = mode
    world.sending.handle(event(), once)
    assert row(world).state == "unknown"
    world.until(lambda: not calls_under_way(), timeout_s=10)


@pytest.mark.conformance("Attacks", "88: a payer that answers 200 with an error, a page or a receipt for other bytes is asked about, and sent nothing again")
@pytest.mark.parametrize("mode", ["excuse", "page", "other"])
def test_a_success_with_an_error_in_it_is_an_unknown_outcome(world, wire, mode):
    wire.mode = mode
    world.sending.handle(event(), once)
    wire.mode = "take"
    world.sending.handle(event(), once)
    assert (row(world).state, len(wire.received), world.task_codes()) == ("unknown", 1, ["interchange-outcome-unknown"])


def test_a_payer_that_takes_no_connection_certainly_has_nothing(world, wire):
    """Accepted by nobody: the request never left, so it may be sent again."""
    import socket

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        world.limits["P1"] = Limits(timeout_s=0.5)
        world.payer(address=f"https://127.0.0.1:{listening.getsockname()[1]}/payers/P1")
        world.directory._known.clear()
        with pytest.raises(Later):
            world.sending.handle(event(), once)
    assert row(world).state == "queued"
    world.until(lambda: not calls_under_way(), timeout_s=10)


def test_an_address_that_may_not_be_called_says_nothing_about_the_payer(world, wire):
    world.client._allow_private = False
    with pytest.raises(EgressRefused):
        world.client.send("P1", wire.address, b"ISA", "k")
    assert wire.received == []


def test_a_mailbox_that_gives_the_same_again_and_again_is_left_for_now(world, wire):
    wire.items = [{"n": n, "body": f"ISA{n}"} for n in range(1, 101)]
    assert world.mailboxes.read("P1") == 100
    wire.items = [{"n": 1, "body": "ISA1"}] * 100
    wire.asked, wire.mode = 0, "repeat"
    assert world.mailboxes.read("P1") == 0
    assert wire.asked == 1


@pytest.mark.conformance("Metrics", "calls, breaker, queue and age of every payer, zeroes included")
def test_metrics_tell_calls_breaker_queue_and_age_by_payer(world, wire):
    registry = PayerCollector(world.db, world.limits_of)

    def samples():
        return {(s.name, *s.labels.values()): s.value for family in registry.collect() for s in family.samples}

    before = samples()
    assert before["chartloop_payer_calls_total", "P1", "sending", "sent"] == 0
    assert before["chartloop_payer_shed_total", "P1", "resting"] == 0
    assert (before["chartloop_payer_breaker", "P1", "sending"], before["chartloop_payer_waiting", "P1", "queued"]) == (0, 1)
    assert before["chartloop_payer_oldest_age_seconds", "P1"] > 0
    world.sending.handle(event(), once)
    after = samples()
    assert (after["chartloop_payer_calls_total", "P1", "sending", "sent"], after["chartloop_payer_waiting", "P1", "queued"]) == (1, 0)
    assert after["chartloop_payer_oldest_age_seconds", "P1"] == 0
    world.limits["P1"] = Limits(failures=1)
    queue(world, 2, 3)
    wire.mode = "outage"
    for number in (2, 3):
        with pytest.raises(Later):
            world.sending.handle(event(number), once)
    last = samples()
    assert last["chartloop_payer_breaker", "P1", "sending"] == 2
    assert (last["chartloop_payer_calls_total", "P1", "sending", "not-reached"], last["chartloop_payer_shed_total", "P1", "resting"]) == (1, 1)
