"""`kill -9` of the whole server: between sending a claim and the payer's receipt, and at random moments of the loop."""

import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from chartloop.demo.fhir_client import FhirFailed
from chartloop.demo.messages import Visit, visit_messages
from chartloop.demo.mllp_client import MllpClient, MllpFailed
from tests.integration.product.clinic import SYSTEM, Clinic, until

PAYER = "PRAIRIE01"
UNKNOWN = f"Task?code={SYSTEM}/CodeSystem/task|interchange-outcome-unknown&status=requested"
PATIENT_S = {"CHARTLOOP_CLAIMS__PAYER_TIMEOUT_S": "120"}
"""A server that waits for the payer longer than the test does, so that the call is under way when it is killed."""


def killed_while_sending(clinic: Clinic, hang_s: float) -> str:
    """Bring one claim to a payer that hangs, and kill the server while it waits; return the claim's id."""
    clinic.start()
    visits = clinic.visits_of(PAYER)[:1]
    clinic.load(visits)
    clinic.behave(PAYER, hang_s=hang_s)
    clinic.send(visits)

    def sent() -> bool:
        clinic.review_what_waits(visits)
        return clinic.sent() == 1

    until(sent, "the claim to be released")
    claim = str(clinic.claims()[0]["id"])
    until(lambda: clinic.interchange_state(claim) == "sending", "the call to the payer")
    clinic.kill()
    return claim


@pytest.mark.long
@pytest.mark.conformance("Faults", "kill -9 between send and receipt: the claim is not sent again by itself, and the payer's own answer resolves its unknown outcome")
def test_what_was_being_sent_is_not_sent_again_and_the_payers_answer_resolves_it(open_clinic):
    clinic = open_clinic(environment=PATIENT_S)
    claim = killed_while_sending(clinic, hang_s=45)
    clinic.start_server()
    operator = clinic.as_role("operator")
    until(lambda: operator.total(UNKNOWN) == 1, "the outcome to be unknown")
    assert clinic.interchange_state(claim) == "unknown"
    assert clinic.stats()[PAYER]["interchanges"] == 0, "the payer still hangs over the first call, and there was no second"
    # The payer wakes up and works through what it got before the kill.
    until(lambda: clinic.settled() == 1, "the payer's answers")
    assert (clinic.stats()[PAYER]["interchanges"], clinic.stats()[PAYER]["repeated"]) == (1, 0)
    assert clinic.interchange_state(claim) == "acknowledged"
    until(lambda: operator.total(UNKNOWN) == 0, "the question to be closed")
    clinic.assert_each_claim_once(1)
    clinic.assert_audit_holds()


@pytest.mark.long
@pytest.mark.conformance("Faults", "kill -9 before the payer had a claim: it stays unknown until an operator says so, and then goes out once under the same number")
def test_what_never_arrived_stays_unknown_until_an_operator_decides(open_clinic):
    clinic = open_clinic(environment=PATIENT_S)
    claim = killed_while_sending(clinic, hang_s=300)
    clinic.kill("payer")
    clinic.start_payers()
    clinic.start_server()
    operator = clinic.as_role("operator")
    task = until(lambda: next(iter(operator.each(UNKNOWN)), None), "the outcome to be unknown")
    number = task["identifier"][0]["value"].rpartition("/")[2]
    isa13 = next(step["id"] for step in clinic.trace(claim) if step["kind"] == "isa13")
    assert clinic.stats()[PAYER]["interchanges"] == 0
    clinic.chartloop("claims", "outcome", number, "resend")
    until(lambda: clinic.settled() == 1, "the claim to be paid")
    assert next(step["id"] for step in clinic.trace(claim) if step["kind"] == "isa13") == isa13
    clinic.assert_each_claim_once(1)
    clinic.assert_audit_holds()


def deliver(clinic: Clinic, text: str) -> None:
    """Send a message until it is acknowledged, as an interface engine does."""

    def accepted() -> bool:
        try:
            with MllpClient("127.0.0.1", clinic.mllp_port) as client:
                return client.send(text).accepted
        except (OSError, MllpFailed):
            return False

    until(accepted, "an acknowledgment")


def decide_unknown(clinic: Clinic) -> None:
    """An operator has every interchange of unknown outcome sent again, under its own key."""
    for task in list(clinic.as_role("operator").each(UNKNOWN)):
        clinic.chartloop("claims", "outcome", task["identifier"][0]["value"].rpartition("/")[2], "resend")


def send_under_fire(clinic: Clinic, visits: Sequence[Visit], dice: random.Random) -> None:
    """Deliver every message of the visits while the server is killed, twice, at moments that nothing foresees."""

    def deliver_all() -> None:
        for visit in visits:
            for message in visit_messages(visit):
                deliver(clinic, message.text)

    with ThreadPoolExecutor(1) as pool:
        delivering = pool.submit(deliver_all)
        for _ in range(2):
            time.sleep(dice.uniform(0.1, 1.5))
            clinic.kill()
            clinic.start_server()  # in this thread: the system ends a part with the thread that started it
        delivering.result()


def kill_when(clinic: Clinic, visits: Sequence[Visit], count: Callable[[], int], least: int, dice: random.Random) -> None:
    """Go on with the loop until something is counted, then kill the server a moment later and start it again."""

    def reached() -> bool:
        try:
            clinic.review_what_waits(visits)
        except FhirFailed:  # the coder saw a version that the engine has just replaced
            return False
        return count() >= least

    until(reached, f"{least} of what is counted")
    time.sleep(dice.uniform(0, 0.5))
    clinic.kill()
    clinic.start_server()


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.conformance("Faults", "kill -9 at random moments of the loop: after restarts it comes to its end, nothing is lost, nothing is there twice, the audit log holds")
def test_killed_at_random_moments_the_loop_comes_to_its_end(open_clinic, seed):
    clinic, dice = open_clinic().start(), random.Random(seed)
    visits = [*dice.sample(clinic.population.visits[:-3], 5), clinic.population.visits[-1]]
    clinic.load(visits)
    operator, billing = clinic.as_role("operator"), clinic.as_role("billing-administrator")
    everything = clinic.as_role("behavioral-health-coder")  # an operator sees nothing of psychiatry
    charges = everything.total("ChargeItem")
    send_under_fire(clinic, visits, dice)
    kill_when(clinic, visits, lambda: billing.total("Claim"), dice.randint(1, 6), dice)
    kill_when(clinic, visits, clinic.sent, dice.randint(1, 6), dice)
    kill_when(clinic, visits, lambda: clinic.settled() + operator.total(UNKNOWN), dice.randint(1, 6), dice)
    kill_when(clinic, visits, lambda: clinic.settled() + operator.total(UNKNOWN), len(visits), dice)
    decide_unknown(clinic)
    clinic.finish(visits)

    stats = clinic.stats().values()
    assert (sum(payer["distinct_claims"] for payer in stats), sum(payer["duplicates"] for payer in stats)) == (len(visits), 0)
    claims = clinic.claims()
    assert len(claims) == len({claim["item"][0]["encounter"][0]["reference"] for claim in claims}) == len(visits)
    assert operator.total("ClaimResponse") == len(visits)
    assert [everything.total(f"Encounter?identifier={SYSTEM}/visit/MEADOW|{visit.number}") for visit in visits] == [1] * len(visits)
    assert everything.total("ChargeItem") - charges == sum(len(visit.charges) for visit in visits)
    reviews = [task["focus"]["reference"] for task in everything.each(f"Task?code={SYSTEM}/CodeSystem/task|review-coding")]
    assert len(reviews) == len(set(reviews))
    assert "no dead letters" in clinic.chartloop("events", "dlq", "list")
    clinic.assert_audit_holds()
