"""Processes of a store that are killed or raced: one reindexes, one writes people with a race; each says what is done."""

from __future__ import annotations

import sys
from pathlib import Path

from fhir_server.reindexing.jobs import following
from fhir_server.reindexing.worker import Reindexing
from fhir_server.repository import Repository
from tests.integration.fhir_server.test_search_parameters import of_race
from tests.integration.fhir_server.writing_process import OPERATOR, open_door


def reindex(door: Repository) -> None:
    """Carry jobs on; one line for each step, with how far the job is."""
    worker = Reindexing(door._store)
    while worker.step():
        job = following(door._store.db)
        sys.stdout.write(f"{job.done if job else 'done'}\n")
        sys.stdout.flush()


def write(door: Repository, name: str) -> None:
    """Write until killed; one line for each acknowledged resource."""
    for number in range(100_000):
        id_ = f"{name}-{number}"
        door.update(OPERATOR, "Patient", id_, of_race(id_, "2106-3"))
        sys.stdout.write(f"{id_}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    with open_door(sys.argv[1], Path(sys.argv[2])) as opened:
        reindex(opened) if sys.argv[3] == "reindex" else write(opened, sys.argv[3])
