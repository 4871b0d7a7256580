"""A payer that hangs, and a payer that is down: nobody else waits, and nothing is sent twice."""

import time

import pytest

from tests.integration.product.clinic import SYSTEM, until

UNKNOWN = f"Task?code={SYSTEM}/CodeSystem/task|interchange-outcome-unknown&status=requested"


def slowest_read_s(clinic, count: int) -> float:
    client, path = clinic.as_role("operator"), ""
    path = f"Patient/{next(client.each('Patient?_count=1'))['id']}"
    slowest = 0.0
    for _ in range(count):
        started = time.monotonic()
        client.get(path)
        slowest = max(slowest, time.monotonic() - started)
    return slowest


@pytest.mark.conformance("Attacks", "88: while a payer hangs, clinical reads stay quick")
@pytest.mark.long
@pytest.mark.conformance("Faults", "a hanging payer delays neither reads nor the other payer's claims; when it comes back, its claims are paid once")
def test_a_hanging_payer_delays_nobody_and_its_claims_are_paid_once(open_clinic):
    clinic = open_clinic().start()
    slow, quick = clinic.visits_of("PRAIRIE01")[:3], clinic.visits_of("LAKESH02")[:3]
    visits = [*slow, *quick]
    clinic.load(visits)
    clinic.behave("PRAIRIE01", hang_s=20)
    clinic.send(visits)
    clinic.finish(visits, settled=len(quick))
    stats = clinic.stats()
    assert (stats["LAKESH02"]["distinct_claims"], stats["PRAIRIE01"]["distinct_claims"]) == (len(quick), 0)
    assert slowest_read_s(clinic, 50) < 3, "a read that waited for the payer would take as long as its deadline"
    billing = clinic.as_role("operator")
    until(lambda: billing.total(UNKNOWN) >= 1, "somebody to be asked about what the payer may have")

    clinic.behave("PRAIRIE01", hang_s=0)
    clinic.finish(visits)
    clinic.assert_each_claim_once(len(visits))
    until(lambda: billing.total(UNKNOWN) == 0, "the question to be closed by the payer's own answer")
    assert {clinic.interchange_state(claim["id"]) for claim in clinic.claims()} == {"acknowledged"}
    clinic.assert_audit_holds()


@pytest.mark.long
@pytest.mark.conformance("Faults", "claims wait while a payer is down and are sent once when it is back")
def test_claims_wait_while_a_payer_is_down(open_clinic):
    clinic = open_clinic().start()
    visits = clinic.visits_of("PRAIRIE01")[:3]
    clinic.load(visits)
    clinic.behave("PRAIRIE01", outage=True)
    clinic.send(visits)

    def sent() -> bool:
        clinic.review_what_waits(visits)
        return clinic.sent() == len(visits)

    until(sent, "the claims to be released")
    until(lambda: clinic.stats()["PRAIRIE01"]["outages"] >= 2, "the payer to be tried again")
    assert clinic.settled() == 0
    clinic.behave("PRAIRIE01", outage=False)
    clinic.finish(visits)
    clinic.assert_each_claim_once(len(visits))
