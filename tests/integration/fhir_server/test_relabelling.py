"""A label that comes later reaches what was made from its resource before; on both databases."""

from __future__ import annotations

from typing import Any

import pytest

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.db import Database
from chartloop.kernel.errors import NotFound
from fhir_server.repository import Repository
from fhir_server.store import Store
from tests.integration.fhir_server.conftest import BASE, scope

PSY = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PSY"}]}
RISK = "RiskAssessment/r1"


def _weight(id_: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": id_,
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]},
        "subject": {"reference": "Patient/ann"},
        **more,
    }


def _risk(*basis: str) -> dict[str, Any]:
    return {
        "resourceType": "RiskAssessment",
        "id": "r1",
        "status": "final",
        "subject": {"reference": "Patient/ann"},
        "basis": [{"reference": reference} for reference in basis],
    }


def _provenance(id_: str, target: str) -> dict[str, Any]:
    return {
        "resourceType": "Provenance",
        "id": id_,
        "target": [{"reference": target}],
        "recorded": "2026-11-22T08:00:00Z",
        "agent": [{"who": {"display": "a model"}}],
    }


@pytest.fixture
def chart(repository: Repository, operator: Scope) -> Repository:
    """Two weights; an estimate first of the one, then of the other; who made it; and a report of the first."""
    repository.update(operator, "Patient", "ann", {"resourceType": "Patient", "id": "ann"})
    for id_ in ("w1", "w2"):
        repository.update(operator, "Observation", id_, _weight(id_))
    repository.update(operator, "RiskAssessment", "r1", _risk("Observation/w1/_history/1"))
    repository.update(operator, "RiskAssessment", "r1", _risk(f"{BASE}/Observation/w2"))
    repository.update(operator, "Provenance", "p1", _provenance("p1", f"{RISK}/_history/1"))
    report = {"resourceType": "DiagnosticReport", "id": "d1", "status": "final", "code": {"text": "Weights"}, "result": [{"reference": "Observation/w1"}]}
    repository.update(operator, "DiagnosticReport", "d1", report)
    return repository


def _label(chart: Repository, operator: Scope, id_: str) -> None:
    chart.update(operator, "Observation", id_, _weight(id_, meta=PSY))


def _seen(chart: Repository, reader: Scope, reference: str, version: int = 0) -> bool:
    type_, _, id_ = reference.partition("/")
    try:
        return bool(chart.vread(reader, type_, id_, version) if version else chart.read(reader, type_, id_))
    except NotFound:
        return False


@pytest.mark.conformance("Attacks", "36: a later label reaches what was made from its resource")
@pytest.mark.conformance("Labels", "a label that an input gets later closes the prediction that was made from it, and what was made from that")
def test_a_later_label_reaches_what_was_made_from_its_resource(chart: Repository, operator: Scope, clinician: Scope) -> None:
    assert all(_seen(chart, clinician, name) for name in (RISK, "Provenance/p1", "DiagnosticReport/d1"))
    _label(chart, operator, "w2")
    assert not any(_seen(chart, clinician, name) for name in (RISK, "Provenance/p1"))
    assert not _seen(chart, clinician, RISK, 1)
    psychiatrist = scope("psychiatric-clinician")
    assert _seen(chart, psychiatrist, RISK)
    assert chart.read(psychiatrist, "RiskAssessment", "r1").version == 3
    assert _seen(chart, clinician, "DiagnosticReport/d1")


@pytest.mark.conformance("Attacks", "36: an old version is closed alone where the new one was made from other things")
@pytest.mark.conformance("Labels", "of a prediction that was made from other values since, only the versions that knew the labelled one are closed")
def test_an_old_version_is_closed_alone_where_the_new_one_was_made_from_other_things(chart: Repository, operator: Scope, clinician: Scope) -> None:
    _label(chart, operator, "w1")
    assert _seen(chart, clinician, RISK)
    assert _seen(chart, clinician, RISK, 2)
    assert not _seen(chart, clinician, RISK, 1)
    assert [each.version for each in chart.history(clinician, "RiskAssessment", "r1").entries] == [2]
    assert [each.version for each in chart.history(scope("psychiatric-clinician"), "RiskAssessment", "r1").entries] == [2, 1]
    assert not _seen(chart, clinician, "DiagnosticReport/d1")


def test_those_who_follow_the_store_hear_of_every_resource_that_was_closed(chart: Repository, operator: Scope, database: Database) -> None:
    _label(chart, operator, "w2")
    with database.read() as session:
        told = session.all("SELECT subject, version FROM event ORDER BY seq DESC LIMIT 3")
    assert {tuple(row) for row in told} == {("Observation/w2", 2), (RISK, 3), ("Provenance/p1", 2)}


def test_what_was_inherited_from_again_is_still_found(chart: Repository, operator: Scope, clinician: Scope) -> None:
    chart.update(operator, "RiskAssessment", "r1", _risk("Observation/w1"))
    chart.update(operator, "RiskAssessment", "r1", _risk("Observation/w2"))
    _label(chart, operator, "w1")
    assert [each.version for each in chart.history(clinician, "RiskAssessment", "r1").entries] == [4, 2]


@pytest.mark.conformance("Attacks", "94: a circle of references ends")
def test_a_circle_of_references_ends(repository: Repository, operator: Scope, clinician: Scope) -> None:
    for id_, other in (("w1", "w2"), ("w2", "w1")):
        repository.update(operator, "Observation", id_, _weight(id_, hasMember=[{"reference": f"Observation/{other}"}]))
    repository.update(operator, "Observation", "w1", _weight("w1", hasMember=[{"reference": "Observation/w2"}], meta=PSY))
    assert not _seen(repository, clinician, "Observation/w2")


def test_a_transaction_that_labels_a_source_reaches_what_is_in_it_and_what_is_not(chart: Repository, operator: Scope, clinician: Scope) -> None:
    entries = [_weight("w2", meta=PSY), _provenance("p2", RISK)]
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [{"resource": each, "request": {"method": "PUT", "url": f"{each['resourceType']}/{each['id']}"}} for each in entries],
    }
    chart.transaction(operator, bundle)
    assert not any(_seen(chart, clinician, name) for name in (RISK, "Provenance/p1", "Provenance/p2"))


def test_a_source_that_is_labelled_while_its_heir_is_written_labels_the_heir(chart: Repository, store: Store, operator: Scope, clinician: Scope) -> None:
    class Racing:
        """Labels a weight between the preparation of the first write and its end."""

        def __init__(self) -> None:
            self.label = True

        def __getattr__(self, name: str) -> Any:
            if name == "write" and self.label:
                self.label = False
                _label(chart, operator, "w1")
            return getattr(store.db, name)

    racing = Repository(Store(**{**{name: getattr(store, name) for name in Store.__dataclass_fields__}, "db": Racing()}))  # type: ignore[arg-type]
    racing.update(operator, "RiskAssessment", "r2", {**_risk("Observation/w1"), "id": "r2"})
    assert not _seen(chart, clinician, "RiskAssessment/r2")
