"""A process that creates, updates, deletes and sends transactions until it is killed, and says what was acknowledged."""

from __future__ import annotations

import random
import sys
import threading
from contextlib import suppress
from itertools import count
from pathlib import Path

from chartloop.kernel.errors import NotFound
from fhir_server.repository import Repository
from tests.integration.fhir_server.writing_process import OPERATOR, open_door

THREADS = 4
PARTS = 4
"""Resources of one transaction."""


def patient(id_: str, family: str) -> dict[str, object]:
    """A patient who can be found by what was written last."""
    return {"resourceType": "Patient", "id": id_, "identifier": [{"system": "urn:mrn", "value": id_}], "name": [{"family": family}]}


def transaction(name: str) -> dict[str, object]:
    """One patient with observations: all of them or none."""
    entries: list[dict[str, object]] = [{"resource": patient(f"{name}-0", "Whole"), "request": {"method": "PUT", "url": f"Patient/{name}-0"}}]
    for part in range(1, PARTS):
        observation = {
            "resourceType": "Observation", "id": f"{name}-{part}", "status": "final", "code": {"coding": [{"system": "http://loinc.org", "code": "8867-4"}]},
            "subject": {"reference": f"Patient/{name}-0"}, "valueQuantity": {"value": part, "unit": "/min"},
        }  # fmt: skip
        entries.append({"resource": observation, "request": {"method": "PUT", "url": f"Observation/{name}-{part}"}})
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def say(*words: object) -> None:
    """Acknowledge: one whole line."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def write(door: Repository, seed: int, thread: int) -> None:
    """Write until the end; a line follows each answer."""
    dice = random.Random(seed * THREADS + thread)
    for number in count():
        id_ = f"k{seed}-{thread}-{dice.randrange(12)}"
        act = dice.randrange(4)
        if act == 0:
            name = f"t{seed}-{thread}-{number}"
            door.transaction(OPERATOR, transaction(name))
            say("whole", name, 1)
        elif act == 1:
            with suppress(NotFound):  # nobody has made it yet
                say("gone", id_, door.delete(OPERATOR, "Patient", id_).stored.version)
        else:
            written = door.update(OPERATOR, "Patient", id_, patient(id_, f"N{seed}x{number}")).stored
            say("there", id_, written.version, f"N{seed}x{number}")


def main(url: str, data: str, seed: str) -> None:
    """Write from several threads, each with patients of its own."""
    with open_door(url, Path(data)) as door:
        threads = [threading.Thread(target=write, args=(door, int(seed), thread)) for thread in range(THREADS)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()


if __name__ == "__main__":
    main(*sys.argv[1:])
