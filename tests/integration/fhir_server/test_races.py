"""Writers that race, on both databases."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.errors import ChartloopError, PreconditionFailed
from fhir_server.repository import Repository

PATIENT = {"resourceType": "Patient", "identifier": [{"system": "urn:mrn", "value": "1"}]}


def _race(count: int, work: Callable[[int], object]) -> list[object]:
    """Let threads go at once; collect what they return or raise."""
    results: list[object] = [None] * count
    start = threading.Barrier(count)

    def run(number: int) -> None:
        start.wait()
        try:
            results[number] = work(number)
        except ChartloopError as error:
            results[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.mark.conformance("FHIR R4: interactions", "If-None-Exist: racing creates make one resource")
def test_racing_conditional_creates_make_no_duplicate(repository: Repository, operator: Scope) -> None:
    for value in range(8):
        query = f"identifier=urn:mrn|{value}"
        body = {**PATIENT, "identifier": [{"system": "urn:mrn", "value": str(value)}]}
        written = _race(12, lambda _, body=body, query=query: repository.create(operator, body, if_none_exist=query))
        assert len({each.stored.id for each in written}) == 1  # type: ignore[attr-defined]
        assert sum(each.created for each in written) == 1  # type: ignore[attr-defined]
        assert repository.search(operator, "Patient", query + "&_total=accurate").total == 1


@pytest.mark.conformance("FHIR R4: interactions", "If-Match: of racing updates one wins, the others get 412")
def test_of_racing_updates_that_name_a_version_one_wins(repository: Repository, operator: Scope) -> None:
    repository.update(operator, "Patient", "p1", {**PATIENT, "id": "p1"})
    for version in range(1, 6):
        results = _race(
            8,
            lambda number, version=version: repository.update(
                operator, "Patient", "p1", {**PATIENT, "id": "p1", "name": [{"family": f"{version}-{number}"}]}, if_match=version
            ),
        )
        assert sum(isinstance(result, PreconditionFailed) for result in results) == 7
        assert repository.read(operator, "Patient", "p1").version == version + 1


def test_racing_updates_without_a_version_all_make_one_and_the_index_knows_the_last_alone(repository: Repository, operator: Scope) -> None:
    results = _race(8, lambda number: repository.update(operator, "Patient", "p1", {**PATIENT, "id": "p1", "name": [{"family": f"n{number}"}]}))
    assert not [result for result in results if isinstance(result, ChartloopError)]
    assert repository.read(operator, "Patient", "p1").version == 8
    last = repository.read(operator, "Patient", "p1").json()["name"][0]["family"]
    found = [number for number in range(8) if repository.search(operator, "Patient", f"family=n{number}").entries]
    assert found == [int(last[1:])]


@pytest.mark.conformance("FHIR R4: transactions", "transactions that race over the same rows all end, and their writes do not mix")
def test_racing_transactions_over_the_same_rows_end(repository: Repository, operator: Scope) -> None:
    for id_ in ("a", "b", "c"):
        repository.update(operator, "Patient", id_, {**PATIENT, "id": id_})

    def work(number: int) -> object:
        order = ["a", "b", "c"] if number % 2 else ["c", "b", "a"]
        entries = [
            {"resource": {**PATIENT, "id": id_, "name": [{"family": f"x{number}"}]}, "request": {"method": "PUT", "url": f"Patient/{id_}"}}
            for id_ in order
        ]
        return repository.transaction(operator, {"resourceType": "Bundle", "type": "transaction", "entry": entries})

    assert not [result for result in _race(6, work) if isinstance(result, ChartloopError)]
    names = {repository.read(operator, "Patient", id_).json()["name"][0]["family"] for id_ in ("a", "b", "c")}
    assert len(names) == 1
