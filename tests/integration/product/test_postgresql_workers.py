"""Two workers over one PostgreSQL: one is killed, the other takes its lanes."""

import pytest

from tests.integration.product.clinic import Clinic, until


@pytest.mark.conformance("Attacks", "84: a killed worker is replaced by the other")
@pytest.mark.long
@pytest.mark.conformance("Faults", "a worker killed with -9 is replaced by another one over PostgreSQL; each claim is made and paid once")
def test_a_killed_worker_is_replaced_by_the_other(postgresql_url, open_clinic, monkeypatch):
    monkeypatch.setenv("CHARTLOOP_DATABASE__URL", postgresql_url)
    clinic: Clinic = open_clinic(environment={"CHARTLOOP_WORKER__LEASE_S": "3"})
    clinic.start_payers()
    clinic.start_server()
    for name in ("mllp", "work"):
        clinic.start_alone(name, *(["--port", str(clinic.mllp_port)] if name == "mllp" else []))
    visits = clinic.population.visits[:6]
    clinic.load(visits)
    until(lambda: "mllp.listening" in clinic.log("mllp"), "the listener")
    clinic.send(visits)
    until(lambda: clinic.as_role("operator").total("Encounter") > 0, "the first message to be mapped")
    clinic.kill("work")
    clinic.start_alone("work")
    clinic.finish(visits)
    clinic.assert_each_claim_once(len(visits))
    clinic.assert_audit_holds()
