"""A dead letter becomes one Task."""

from __future__ import annotations

import pytest

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.broker_table import TableBus
from chartloop.kernel.db import Database, Tx
from chartloop.kernel.dead_letters import DeadLetters
from chartloop.kernel.events import Event
from fhir_server.dead_letter import DeadLetterTasks
from fhir_server.repository import Repository


@pytest.mark.conformance("Events", "a dead letter becomes one Task for an operator, however often it is told")
def test_a_dead_letter_becomes_one_task_however_often_it_is_told(database: Database, repository: Repository, operator: Scope) -> None:
    letters = DeadLetters(database, TableBus(database))
    names = "id, consumer, seq, event, type, subject, key, reason, attempts, recorded"
    values = ("d1", "claims", 7, "e1", "ResourceCreated", "Claim/c1", "k", "KeyError in 8 attempts", 8, 1_790_000_000_000_000)
    database.write(lambda tx: tx.run(f"INSERT INTO dead_letter ({names}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values))
    consumer = DeadLetterTasks(repository, letters, Subject(id="engine:dead-letter", role="operator", scopes=("system/*.cruds",)))
    told = Event("e2", "DeadLettered", "dead-letter/d1", 0, "k", "t", 0)
    marks: list[Tx] = []
    for _ in range(2):
        consumer.handle(told, marks.append)
    (task,) = repository.search(operator, "Task", "code=https://chartloop.example/fhir/CodeSystem/task|dead-letter").entries
    assert task.json()["focus"] == {"reference": "Claim/c1"}
    assert task.json()["description"] == "claims gave up ResourceCreated of Claim/c1 after 8 attempts: KeyError in 8 attempts"
    assert len(marks) == 2
    letters.drop("d1")
    consumer.handle(told, marks.append)
