"""Conditional deletes that take several resources where the operator allows it, on both databases."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from werkzeug.test import TestResponse

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.errors import ChartloopError
from fhir_server.repository import Repository
from fhir_server.store import Store
from tests.integration.fhir_server.conftest import scope
from tests.integration.fhir_server.test_http import Api
from tests.integration.fhir_server.test_races import _race

PSY = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PSY"}
WHERE = "/fhir/Observation?code=knee"


def _knee(id_: str, text: str = "knee", **more: object) -> dict[str, Any]:
    return {"resourceType": "Observation", "id": id_, "status": "final", "code": {"coding": [{"code": text}]}, **more}


@pytest.fixture
def api(store: Store) -> Api:
    """An API whose operator allows up to three at once."""
    return Api(replace(store, delete_most=3))


def _fill(api: Api, *resources: dict[str, Any]) -> None:
    for resource in resources:
        assert api("PUT", f"/fhir/{resource['resourceType']}/{resource['id']}", resource).status_code == 201


def _issue(answer: TestResponse) -> tuple[int, str]:
    return answer.status_code, json.loads(answer.data)["issue"][0]["code"]


@pytest.mark.conformance("FHIR R4: interactions", "conditional delete of all that match, in one transaction, where the operator allows several; a bounded number of them")
def test_a_conditional_delete_takes_all_that_match(api: Api) -> None:
    _fill(api, _knee("a"), _knee("b"), _knee("c"), _knee("d"), _knee("e", "hip"))
    assert _issue(api("DELETE", WHERE)) == (412, "too-costly")
    assert api("GET", "/fhir/Observation/a").status_code == 200
    assert api("DELETE", "/fhir/Observation/d").status_code == 204
    assert _issue(api("DELETE", WHERE, If_Match='W/"1"')) == (412, "multiple-matches")
    gone = api("DELETE", WHERE, Prefer="return=OperationOutcome")
    assert (gone.status_code, json.loads(gone.data)["issue"][0]["diagnostics"]) == (200, "Deleted: 3.")
    assert [api("GET", f"/fhir/Observation/{id_}").status_code for id_ in "abcde"] == [410, 410, 410, 410, 200]
    again = api("DELETE", WHERE)
    assert (again.status_code, again.data, "ETag" in again.headers) == (204, b"", False)
    assert all(entry["conditionalDelete"] == "multiple" for entry in json.loads(api("GET", "/fhir/metadata").data)["rest"][0]["resource"] if entry["type"] != "AuditEvent")


def test_one_match_is_needed_by_default(store: Store) -> None:
    api = Api(store)
    _fill(api, _knee("a"), _knee("b"))
    assert _issue(api("DELETE", WHERE)) == (412, "multiple-matches")
    assert all(entry["conditionalDelete"] == "single" for entry in json.loads(api("GET", "/fhir/metadata").data)["rest"][0]["resource"] if entry["type"] != "AuditEvent")


@pytest.mark.parametrize("more", ["_count=1", "_sort=_id", "_include=Observation:subject", "_elements=id", "_summary=count", "_total=none"])
def test_a_condition_holds_no_parameters_of_results(api: Api, more: str) -> None:
    _fill(api, _knee("a"), _knee("b"))
    assert api("DELETE", f"{WHERE}&{more}").status_code == 400
    assert api("POST", "/fhir/Observation", _knee("c"), If_None_Exist=f"code=knee&{more}").status_code == 400
    assert api("GET", "/fhir/Observation/a").status_code == 200


@pytest.mark.conformance("Attacks", "52: what is hidden is not deleted")
@pytest.mark.conformance("Attacks", "42: what is hidden is not deleted")
@pytest.mark.conformance("FHIR R4: interactions", "conditional delete leaves alone what the writer may not see, and says how many matches he may not delete")
def test_what_is_hidden_is_not_deleted(api: Api) -> None:
    hidden = _knee("b", meta={"security": [PSY]})
    _fill(api, _knee("a"), hidden, _knee("c"))
    gone = api("DELETE", WHERE, Prefer="return=OperationOutcome")
    assert [issue["diagnostics"] for issue in json.loads(gone.data)["issue"]] == ["Deleted: 2."]
    assert api("GET", "/fhir/Observation/b", role="psychiatric-clinician").status_code == 200
    _fill(api, _knee("d"), _knee("e"))
    assert api("DELETE", WHERE, role="billing-administrator").status_code == 403
    assert api("GET", "/fhir/Observation/d").status_code == 200


@pytest.mark.conformance("FHIR R4: transactions", "a conditional delete of several is one entry of the transaction, and conflicts with what else it speaks of")
@pytest.mark.parametrize("type_", ["batch", "transaction"])
def test_an_entry_deletes_several(api: Api, type_: str) -> None:
    _fill(api, _knee("a"), _knee("b"))
    delete = {"request": {"method": "DELETE", "url": "Observation?code=knee"}}
    other = {"resource": _knee("z", "hip"), "request": {"method": "PUT", "url": "Observation/z"}}
    answer = api("POST", "/fhir", {"resourceType": "Bundle", "type": type_, "entry": [other, delete]})
    assert [entry["response"]["status"][:3] for entry in json.loads(answer.data)["entry"]] == ["201", "204"]
    assert [api("GET", f"/fhir/Observation/{id_}").status_code for id_ in "abz"] == [410, 410, 200]


def test_a_transaction_deletes_nothing_that_it_writes(api: Api) -> None:
    _fill(api, _knee("a"), _knee("b"))
    delete = {"request": {"method": "DELETE", "url": "Observation?code=knee"}}
    write = {"resource": _knee("b", "hip"), "request": {"method": "PUT", "url": "Observation/b"}}
    answer = api("POST", "/fhir", {"resourceType": "Bundle", "type": "transaction", "entry": [write, delete]})
    assert _issue(answer) == (400, "duplicate")
    assert json.loads(answer.data)["issue"][0]["expression"][0].startswith("Bundle.entry[")
    assert api("GET", "/fhir/Observation/a").status_code == 200


def test_racing_deletes_and_creates_leave_no_half_deletion(store: Store) -> None:
    door, operator = Repository(replace(store, delete_most=100)), scope("operator")

    def act(number: int) -> object:
        body = {key: value for key, value in _knee("x").items() if key != "id"}
        return door.conditional_delete(operator, "Observation", "code=knee") if number % 4 == 3 else door.create(operator, body)

    done = _race(12, act)
    assert [each for each in done if isinstance(each, ChartloopError)] == []
    left = door.search(operator, "Observation", "code=knee&_total=accurate").total or 0
    taken = sum(each.taken for each in done if each.stored.deleted and each.changed)  # type: ignore[attr-defined]
    assert left + taken == 9


def test_each_deleted_resource_is_in_the_audit_record(store: Store, operator: Scope) -> None:
    door = Repository(replace(store, delete_most=5))
    for id_ in "ab":
        door.update(operator, "Observation", id_, _knee(id_))
    written = door.conditional_delete(operator, "Observation", "code=knee")
    assert (written.taken, written.left, written.stored.version) == (2, 0, 0)
    with store.db.read() as session:
        found = session.all("SELECT subject FROM event WHERE type = 'ResourceDeleted' ORDER BY subject")
    assert [row[0] for row in found] == ["Observation/a", "Observation/b"]
