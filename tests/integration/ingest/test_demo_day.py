"""The demo's population and a day of its visits: over a socket, through the worker, into the store; twice."""

import pytest

from chartloop.demo.messages import visit_messages
from chartloop.demo.mllp_client import MllpClient
from chartloop.demo.population import generate
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.broker_table import TableBus
from chartloop.kernel.settings_sections import WorkerSettings
from chartloop.kernel.worker import Worker


@pytest.fixture
def run(database, repository, intake, consumer, listen):
    """Work on what arrived until nothing is left."""
    operator = Scope(Subject(id="test", role="operator", scopes=("system/*.cruds",)), "transaction", "test")

    def once(population):
        for bundle in (population.directory, *population.bundles):
            repository.transaction(operator, bundle)
        worker = Worker(database, TableBus(database), [consumer], [], WorkerSettings())
        worker.start()
        try:
            with MllpClient("127.0.0.1", listen(intake)) as client:
                for visit in population.visits:
                    for message in visit_messages(visit):
                        client.deliver(message.text)
            assert worker.idle(60)
        finally:
            worker.stop()

    return once


def counts(look):
    kinds = ("Patient", "Encounter", "Condition", "Coverage", "ChargeItem", "DocumentReference", "Organization", "Practitioner")
    return {kind: len(look(kind, "_count=500")) for kind in kinds}


@pytest.mark.conformance("HL7 v2", "A day of messages, sent twice, is one day")
def test_a_day_of_visits_sent_twice_is_one_day(run, look, database):
    population = generate(patients=6)
    run(population)
    first = counts(look)
    assert first["Patient"] == first["DocumentReference"] == first["Coverage"] == 6
    assert first["Encounter"] == 6 * 2 + 6
    assert first["Organization"] == 3
    assert first["Practitioner"] == 9
    assert first["ChargeItem"] == sum(len(visit.charges) for visit in population.visits)
    day = look("Encounter", "date=ge2026-11-16&_count=100")
    assert {encounter["status"] for encounter in day} == {"finished"}
    assert all(encounter["serviceProvider"]["reference"].startswith("Organization/") for encounter in day)
    with database.read() as session:
        assert session.all("SELECT state, COUNT(*) FROM hl7_message GROUP BY state") == [("mapped", 30)]
        assert session.all("SELECT * FROM dead_letter") == []
    versions = {(r["resourceType"], r["id"], r["version"]) for kind in first for r in look(kind, "_count=500")}
    run(population)
    assert counts(look) == first
    assert {(r["resourceType"], r["id"], r["version"]) for kind in first for r in look(kind, "_count=500")} == versions
