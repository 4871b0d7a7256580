"""A batch stores many entries in one transaction, and answers as if each were alone; on both databases."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.errors import ChartloopError, Forbidden, NotFound, Unprocessable
from fhir_server.interactions.batch_writes import MOST
from fhir_server.repository import Repository, Stored, Written
from fhir_server.store import Store
from tests.integration.audited import recorded_changes
from tests.integration.fhir_server.conftest import scope

PSY = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PSY"}]}


def _patient(*values: str, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "identifier": [{"system": "urn:mrn", "value": value} for value in values], **more}


def _post(resource: dict[str, Any], if_none_exist: str = "") -> dict[str, Any]:
    more = {"ifNoneExist": if_none_exist} if if_none_exist else {}
    return {"resource": resource, "request": {"method": "POST", "url": resource["resourceType"], **more}}


def _put(resource: dict[str, Any], **more: str) -> dict[str, Any]:
    return {"resource": resource, "request": {"method": "PUT", "url": f"{resource['resourceType']}/{resource['id']}", **more}}


def _batch(repository: Repository, who: Scope, *entries: dict[str, Any]) -> list[Any]:
    return repository.batch(who, json.dumps({"resourceType": "Bundle", "type": "batch", "entry": list(entries)}).encode())


def _records(store: Store) -> list[tuple[str, tuple[str, ...]]]:
    return [(each["interaction"], tuple(each["targets"])) for each in recorded_changes(store.db)]


@pytest.mark.conformance("FHIR R4: transactions", "the entries of a batch are judged, answered and recorded one by one, whatever shares a transaction")
def test_each_entry_has_its_answer_and_its_audit_record(store: Store, operator: Scope) -> None:
    repository = Repository(store)
    made, bad, put, again, read = _batch(
        repository,
        operator,
        _post(_patient("1")),
        _post({"resourceType": "Patient", "colour": "red"}),
        _put({"resourceType": "Patient", "id": "p", "active": True}),
        _put({"resourceType": "Patient", "id": "p", "active": False}),
        {"request": {"method": "GET", "url": "Patient/p"}},
    )
    assert isinstance(bad, Unprocessable)
    assert bad.issues[0].expression.startswith("Bundle.entry[1]")
    assert (put.created, put.stored.version, again.created, again.stored.version) == (True, 1, False, 2)
    assert isinstance(read, Stored)
    assert (read.version, read.json()["active"]) == (2, False)
    assert _records(store) == [
        ("create", (f"Patient/{made.stored.id}/_history/1",)),
        ("update", ("Patient/p/_history/1",)),
        ("update", ("Patient/p/_history/2",)),
    ]


def test_conditions_that_find_what_the_batch_itself_makes_make_nothing_twice(repository: Repository, operator: Scope) -> None:
    first, same, other, found = _batch(
        repository,
        operator,
        _post(_patient("1", "2"), "identifier=urn:mrn|1"),
        _post(_patient("1"), "identifier=urn:mrn|1"),
        _post(_patient("2"), "identifier=urn:mrn|2"),
        _post(_patient("3"), "identifier=urn:mrn|3"),
    )
    assert [each.created for each in (first, same, other, found)] == [True, False, False, True]
    assert same.stored.id == other.stored.id == first.stored.id
    assert repository.search(operator, "Patient", "_total=accurate").total == 2


def test_what_is_labelled_in_a_batch_hides_what_later_entries_make_from_it(repository: Repository, operator: Scope, clinician: Scope) -> None:
    plain = {"resourceType": "Observation", "id": "w", "status": "final", "code": {"text": "w"}}
    before = {"resourceType": "RiskAssessment", "status": "final", "subject": {"reference": "Patient/1"}, "basis": [{"reference": "Observation/w"}]}
    answers = _batch(repository, operator, _put(plain), _post(before), _put({**plain, "meta": PSY}), _post(before))
    assert [each for each in answers if not isinstance(each, Written)] == []
    for risk in (answers[1], answers[3]):
        assert repository.read(scope("psychiatric-clinician"), "RiskAssessment", risk.stored.id)
        with pytest.raises(NotFound):
            repository.read(clinician, "RiskAssessment", risk.stored.id)


def test_a_batch_larger_than_one_transaction_is_stored_whole(repository: Repository, operator: Scope) -> None:
    count = MOST + 20
    answers = _batch(repository, operator, *(_post(_patient(str(number)), f"identifier=urn:mrn|{number}") for number in range(count)))
    assert all(answer.created for answer in answers)
    again = _batch(repository, operator, *(_post(_patient(str(number)), f"identifier=urn:mrn|{number}") for number in range(count)))
    assert [each.stored.id for each in again] == [each.stored.id for each in answers]
    assert not any(answer.created for answer in again)


def test_a_refused_entry_leaves_the_others_alone(repository: Repository, operator: Scope, clinician: Scope) -> None:
    forbidden, made = _batch(repository, clinician, _post({"resourceType": "Organization", "name": "x"}), _post(
        {"resourceType": "Observation", "status": "final", "code": {"text": "x"}, "subject": {"reference": "Patient/1"}}
    ))  # fmt: skip
    assert isinstance(forbidden, Forbidden)
    assert isinstance(made, Written)
    stale = _batch(repository, operator, _put({"resourceType": "Patient", "id": "p"}), _put({"resourceType": "Patient", "id": "q"}, ifMatch='W/"9"'))
    assert isinstance(stale[0], Written)
    assert isinstance(stale[1], ChartloopError)


def test_batches_that_race_make_nothing_twice(repository: Repository, operator: Scope) -> None:
    """Their conditions overlap in different orders: neither a deadlock nor a duplicate."""
    numbers = list(range(30))
    answers: list[list[Any]] = []

    def send(order: list[int]) -> None:
        answers.append(_batch(repository, operator, *(_post(_patient(str(number)), f"identifier=urn:mrn|{number}") for number in order)))

    threads = [threading.Thread(target=send, args=(numbers if turn % 2 else numbers[::-1],)) for turn in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [each for listed in answers for each in listed if not isinstance(each, Written)] == []
    assert repository.search(operator, "Patient", "_total=accurate").total == len(numbers)
