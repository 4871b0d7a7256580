"""Whose chart a Provenance and a Binary are in: that of what they speak of; stored before that was looked at they are nobody's, and closed."""

from __future__ import annotations

import pytest

from chartloop.kernel.access.scope import Scope
from fhir_server.granting.bringing import rebuild_grants
from fhir_server.repository import Repository
from fhir_server.store import Store
from tests.integration.fhir_server.conftest import fill, scope
from tests.integration.fhir_server.test_care import ADA, JON, person, pulse, seen, visit

AGENT = [{"who": {"reference": "Practitioner/other"}}]
PROVENANCE = {"resourceType": "Provenance", "id": "v1", "recorded": "2026-01-01T00:00:00Z", "target": [{"reference": "Observation/o1"}], "agent": AGENT}
OF_PROVENANCE = {**PROVENANCE, "id": "v2", "target": [{"reference": "Provenance/v1"}]}
OF_TWO = {**PROVENANCE, "id": "v3", "target": [{"reference": "Observation/o1"}, {"reference": "Observation/o2"}]}
BINARY = {"resourceType": "Binary", "id": "b1", "contentType": "text/plain", "data": "Q291Z2gu", "securityContext": {"reference": "Observation/o1"}}
OF_NOBODY = {"resourceType": "Binary", "id": "b2", "contentType": "text/plain", "data": "Q291Z2gu"}


@pytest.fixture
def charts(store: Store, repository: Repository, operator: Scope) -> Repository:
    """Ada treats the first patient; everything here is as an earlier release left it: nobody's."""
    fill(repository, operator, [person(1), person(2), visit(1), pulse(1), pulse(2), PROVENANCE, OF_PROVENANCE, OF_TWO, BINARY, OF_NOBODY])
    return repository


def as_before(store: Store) -> None:
    store.db.write(lambda tx: tx.run("UPDATE resource SET patient = '' WHERE fhir_id IN ('v1', 'v2', 'v3', 'b1', 'b2')"))


def open_to(repository: Repository, who: Scope) -> list[str]:
    pairs = (("Provenance", "v1"), ("Provenance", "v2"), ("Provenance", "v3"), ("Binary", "b1"), ("Binary", "b2"))
    return [id_ for type_, id_ in pairs if seen(repository, who, type_, id_)]


@pytest.mark.conformance("Access", "a Provenance and a Binary are in the chart of what they speak of; of two patients, or of none, they are nobody's and closed to those who treat")
def test_what_speaks_of_a_patient_is_in_that_chart(charts: Repository) -> None:
    assert open_to(charts, ADA) == ["v1", "v2", "b1"]
    assert open_to(charts, JON) == []


@pytest.mark.conformance("Access", "a Provenance and a Binary of an earlier release are closed to those who treat until grants are rebuilt, then in their chart; to nobody else are they ever open")
def test_what_an_earlier_release_stored_is_closed_until_grants_are_rebuilt(store: Store, charts: Repository) -> None:
    as_before(store)
    assert (open_to(charts, ADA), open_to(charts, JON)) == ([], [])
    assert open_to(charts, scope("operator")) == ["v1", "v2", "v3", "b1", "b2"]
    rebuild_grants(store)
    assert (open_to(charts, ADA), open_to(charts, JON)) == (["v1", "v2", "b1"], [])


def test_a_new_version_is_in_the_chart_without_a_rebuild(store: Store, charts: Repository, operator: Scope) -> None:
    as_before(store)
    charts.update(operator, "Provenance", "v1", {**PROVENANCE, "recorded": "2026-01-02T00:00:00Z"})
    assert open_to(charts, ADA) == ["v1"]
