"""A store learns to pack its bodies; whoever packed them, everybody reads them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.db import Database
from fhir_server import dictionary
from fhir_server.codec import SEALED, ZSTD, ZSTD_DICTIONARY
from fhir_server.dictionary import DictionaryTraining
from fhir_server.repository import Repository
from fhir_server.store import Store


def _codecs(store: Store) -> list[int]:
    with store.db.read() as session:
        return [int(row[0]) for row in session.all("SELECT DISTINCT codec FROM version ORDER BY codec")]


@pytest.mark.conformance("What must be real underneath", "store layout: bodies are packed with a learned dictionary; older ones stay readable, by others too")
def test_a_dictionary_is_made_once_there_is_enough_and_old_bodies_stay_readable(
    database: Database, make_store: Callable[[Database], Store], operator: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, other = make_store(database), make_store(database)
    door = Repository(store)
    entries = [
        {"resource": {"resourceType": "Patient", "id": f"p{number}", "name": [{"family": f"Family{number}"}], "birthDate": f"19{number % 90 + 10}"},
         "request": {"method": "PUT", "url": f"Patient/p{number}"}} for number in range(300)
    ]  # fmt: skip
    door.transaction(operator, {"resourceType": "Bundle", "type": "transaction", "entry": entries})
    assert not DictionaryTraining(store).run()
    monkeypatch.setattr(dictionary, "ENOUGH", 200)
    assert DictionaryTraining(store).run()
    assert not DictionaryTraining(store).run()
    old = door.read(operator, "Patient", "p1").body
    made = door.create(operator, {"resourceType": "Patient", "active": True}).stored
    assert _codecs(store) == [ZSTD | SEALED, ZSTD_DICTIONARY | SEALED]
    assert Repository(other).read(operator, "Patient", made.id).body == made.body
    assert Repository(other).read(operator, "Patient", "p1").body == old
    assert Repository(make_store(database)).read(operator, "Patient", made.id).body == made.body
