"""Payers are strangers: one hangs, one trickles, one errs, one excuses itself, and nobody else notices."""

import pytest

from tests.integration.claims.faults_payer import WirePayer
from tests.integration.product.billing import card_times_s, open_accounts, ratio, read_times_s, visit
from tests.integration.product.clinic import until

SLOW = ("hang", "trickle", "error", "excuse")
QUICK = ("quick-1", "quick-2")
VISITS = 6
NOISE = 8.0
"""Other processes share these processors; a request that waited for a payer would take a thousand times as long."""


@pytest.fixture
def payers():
    made = {name: WirePayer() for name in (*SLOW, *QUICK)}
    yield made
    for payer in made.values():
        payer.stop()


@pytest.mark.long
@pytest.mark.conformance("Payers", "one payer hangs for minutes, one trickles, one answers 500, one 200 with an error: reads, cards and other payers' claims are as quick as before")
@pytest.mark.conformance("Attacks", "88: a payer that hangs, trickles or answers with errors leaves clinical reads, cards and other payers as quick as they were")
def test_slow_and_failing_payers_are_noticed_by_nobody_else(open_clinic, payers):
    few = {"CHARTLOOP_SERVER__THREADS": "2", "CHARTLOOP_CLAIMS__NOTE_WAIT_S": "0", "CHARTLOOP_CLAIMS__PAYER_TIMEOUT_S": "300"}
    clinic = open_clinic(environment=few)
    clinic.start_server()
    operator = clinic.as_role("operator")
    open_accounts(operator, payers)
    first_quick = len(SLOW) + 1

    def delivered(count):
        return all(len(payers[name].received) == count for name in QUICK)

    def measure():
        return read_times_s(operator, "Patient/pat-1", 200), card_times_s(clinic.demo.server, 100)

    for number in (first_quick, first_quick + 1):
        visit(operator, number, range(VISITS))
    until(lambda: delivered(VISITS), "claims of the quick payers, in quiet")
    quiet_reads, quiet_cards = measure()

    for name in SLOW:
        payers[name].mode = name
    for number in range(1, first_quick):
        visit(operator, number, range(VISITS))
    until(lambda: all(payers[name].received for name in SLOW), "every slow payer to have been sent something")
    for number in (first_quick, first_quick + 1):
        visit(operator, number, range(VISITS, 2 * VISITS))
    until(lambda: delivered(2 * VISITS), "claims of the quick payers, beside the slow ones")
    reads, cards = measure()

    assert [len(payers[name].received) for name in ("hang", "trickle")] == [1, 1], "their first calls are still under way: nothing waited for them"
    assert (ratio(reads, quiet_reads) < NOISE, ratio(cards, quiet_cards) < NOISE) == (True, True), (ratio(reads, quiet_reads), ratio(cards, quiet_cards))
    for name in payers:
        assert len(payers[name].keys) == len(set(payers[name].keys)), "nothing was sent twice"
    metrics = dict(line.rsplit(" ", 1) for line in operator.request("GET", f"{clinic.demo.server}/metrics").text.splitlines() if not line.startswith("#"))
    assert metrics['chartloop_payer_breaker{lane="sending",payer="error"}'] == "2.0"
    assert float(metrics['chartloop_payer_waiting{payer="error",state="unknown"}']) == 5, "the breaker spared the sixth"
    assert float(metrics['chartloop_payer_waiting{payer="hang",state="queued"}']) == VISITS - 1, "what waits is not lost"
