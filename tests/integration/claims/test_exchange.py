"""Everything the simulated payer can answer is read, applied and accepted by pyx12."""

import pytest

from claims.interchange_store import interchange
from tests.integration.claims.pyx12_oracle import pyx12_errors

COUNT = 12


@pytest.mark.conformance("The loop", "5 Claim: pyx12 accepts every 837P, 999, 277CA and 835 exchanged")
@pytest.mark.conformance("X12", "every answer of the simulated payer is applied, under rejections and outages, and pyx12 accepts what was exchanged")
@pytest.mark.long
def test_every_answer_of_the_payer_is_applied_and_pyx12_accepts_what_was_exchanged(world, running_payer):
    running_payer.behave(delay_s=0, outage_rate=0.2, reject_rate=0.2)
    world.payer(address=running_payer.address())
    world.people()
    world.worker.start()
    for n in range(COUNT):
        world.charge(2 * n, encounter=f"e{n}", price="72.50")
        world.charge(2 * n + 1, encounter=f"e{n}", price=f"{10 + n}.25", code="J1885")
        world.encounter(f"e{n}")

    def rows():
        with world.db.read() as session:
            return [interchange(session, r[0]) for r in session.all("SELECT id FROM interchange ORDER BY id")]

    def finished():
        responses = world.see("ClaimResponse")
        return len(responses) == COUNT and all(r["outcome"] in ("complete", "error") for r in responses)

    world.until(finished, timeout_s=90)
    assert running_payer.stats()["distinct_claims"] == COUNT
    assert running_payer.stats()["duplicates"] == 0
    seen = set()
    for row in rows():
        assert row.state in ("processed", "acknowledged", "rejected"), row._replace(body=b"")
        if row.direction == "in":
            assert row.state == "processed", row.note
        if "TA1" not in row.kind:
            assert pyx12_errors(row.body) == "", row.kind
        seen.add(row.kind)
    assert {"837P", "999", "277CA", "835"} <= seen
    assert "interchange-invalid" not in world.task_codes()
    assert "remittance-unmatched" not in world.task_codes()
