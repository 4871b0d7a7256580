"""As deployed: server, worker and listener as three processes over one PostgreSQL."""

import os

import pytest

from tests.integration.product.clinic import Clinic, until

WAY = ["note", "task", "claim", "isa13", "999", "277CA", "835", "claimresponse", "paymentreconciliation"]


@pytest.fixture
def three_processes(postgresql_url, open_clinic, monkeypatch) -> Clinic:
    monkeypatch.setenv("CHARTLOOP_DATABASE__URL", postgresql_url)
    clinic = open_clinic()
    clinic.start_payers()
    # All three at once: whoever comes first brings the empty database to this release's schema.
    clinic.start_alone("work")
    clinic.start_alone("mllp", "--port", str(clinic.mllp_port))
    clinic.start_server()
    until(lambda: "mllp.listening" in clinic.log("mllp"), "the listener")
    return clinic


@pytest.mark.conformance("Command line", "serve, work and mllp run on their own with CHARTLOOP_DATABASE__URL")
@pytest.mark.conformance("The loop", "5 Claim: `claims trace` shows note, Task, Claim, ISA13, 999, 277CA, 835 and payment")
@pytest.mark.long
@pytest.mark.conformance("Processes", "server, worker and listener run apart over PostgreSQL; a visit becomes a paid claim and the audit log of all three holds")
def test_a_visit_becomes_a_paid_claim_through_three_processes(three_processes):
    clinic = three_processes
    visits = [*clinic.visits_of("PRAIRIE01")[:2], *clinic.visits_of("LAKESH02")[:2], clinic.population.visits[-1]]
    clinic.load(visits)
    clinic.send(visits)
    clinic.finish(visits)
    clinic.assert_each_claim_once(len(visits))
    clinic.assert_audit_holds()
    ways = [clinic.trace(claim["id"]) for claim in clinic.claims()]
    kinds = [[kind for kind in WAY if any(step["kind"] == kind for step in way)] for way in ways]
    assert WAY in kinds
    assert all(set(way) >= set(WAY) - {"task"} for way in kinds)
    assert {step["state"] for way in ways for step in way if step["kind"] == "isa13"} == {"acknowledged"}
    journals = {path.name.split("-")[2] for path in (clinic.data / "audit").glob("journal-*.log")}
    assert len(journals) >= 2, "the server and the worker read, each into a journal of its own"
    assert [name for name, process in clinic.parts.running.items() if process.poll() is not None] == []
    assert {clinic.parts.stop(name) for name in ("server", "mllp", "work")} == {0}
    assert os.listdir(clinic.data).count("chartloop.sqlite3") == 0
    clinic.assert_audit_holds()
