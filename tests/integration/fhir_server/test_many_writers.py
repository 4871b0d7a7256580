"""Ten thousand racing conditional creates, and a transaction of 25,000 entries beside small writes: on both databases."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator

import msgspec
import pytest

from chartloop.kernel.access.scope import Scope
from fhir_server.repository import Repository

CONNECTIONS = 16
CREATES = 10_000
IDENTIFIERS = 1_000
ENTRIES = 25_000


def _patient(value: int) -> dict[str, object]:
    return {"resourceType": "Patient", "identifier": [{"system": "urn:mrn", "value": str(value)}]}


def _together(works: list[Iterator[object]]) -> list[BaseException]:
    """Exhaust iterators side by side; what they raise comes back."""
    failures: list[BaseException] = []

    def exhaust(work: Iterator[object]) -> None:
        try:
            for _ in work:
                pass
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=exhaust, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures


@pytest.mark.long
@pytest.mark.conformance("Faults", "10,000 racing conditional creates over 16 connections, alone and in transactions: no duplicate, no deadlock, no error")
def test_ten_thousand_racing_conditional_creates_make_no_duplicate(repository: Repository, operator: Scope) -> None:
    made: list[int] = []

    def alone(connection: int) -> Iterator[object]:
        for number in range(CREATES // CONNECTIONS):
            value = (number * 7 + connection * 3) % IDENTIFIERS
            written = repository.create(operator, _patient(value), if_none_exist=f"identifier=urn:mrn|{value}")
            made.extend([value] * written.created)
            yield value

    def in_transactions(connection: int) -> Iterator[object]:
        for number in range(0, CREATES // CONNECTIONS, 5):
            values = [(number * 7 + connection * 3 + step * 211) % IDENTIFIERS for step in range(5)]
            entries = [
                {"resource": _patient(value), "request": {"method": "POST", "url": "Patient", "ifNoneExist": f"identifier=urn:mrn|{value}"}} for value in values
            ]
            answers = repository.transaction(operator, {"resourceType": "Bundle", "type": "transaction", "entry": entries})
            made.extend(value for value, answer in zip(values, answers, strict=True) if answer.created)  # type: ignore[union-attr]
            yield values

    assert _together([(alone, in_transactions)[connection % 2](connection) for connection in range(CONNECTIONS)]) == []
    stored = Counter(each.json()["identifier"][0]["value"] for each in repository.stream(operator, ["Patient"]))
    assert set(stored.values()) == {1}
    assert sorted(map(str, made)) == sorted(stored)
    assert len(stored) == IDENTIFIERS


@pytest.mark.conformance("Attacks", "94: others write while a transaction of 25000 entries is under way")
@pytest.mark.long
@pytest.mark.conformance("Faults", "a transaction of 25,000 entries is stored whole, and others write and are answered while it is under way")
def test_others_write_while_a_transaction_of_25000_entries_is_under_way(repository: Repository, operator: Scope) -> None:
    entries = [{"resource": {**_patient(number), "id": f"big{number}"}, "request": {"method": "PUT", "url": f"Patient/big{number}"}} for number in range(ENTRIES)]
    body = msgspec.json.encode({"resourceType": "Bundle", "type": "transaction", "entry": entries})
    done = threading.Event()
    meanwhile: list[int] = []

    def large() -> Iterator[object]:
        try:
            yield repository.transaction(operator, body)
        finally:
            done.set()

    def small() -> Iterator[object]:
        while not done.wait(0.02):
            yield repository.create(operator, _patient(-1))
            meanwhile.append(0 if done.is_set() else 1)

    assert _together([large(), small(), small()]) == []
    assert sum(meanwhile) > 50
    assert repository.search(operator, "Patient", "_summary=count").total == ENTRIES + len(meanwhile)
