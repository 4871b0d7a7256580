"""Killed with -9 at random points, again and again, on the same store.

Twenty times here; by command as often as one likes: CHARTLOOP_KILLS=200 python -m pytest -m long tests/integration/fhir_server/test_kills.py
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from chartloop.kernel.errors import Gone, NotFound
from fhir_server.repository import Repository
from tests.integration.fhir_server.index_equality import assert_index_is_what_a_rebuild_makes
from tests.integration.fhir_server.killed_process import PARTS
from tests.integration.fhir_server.writing_process import OPERATOR, killed, open_door

KILLS = int(os.environ.get("CHARTLOOP_KILLS", "20"))


def _assert_nothing_is_lost(door: Repository, acknowledged: list[list[str]]) -> None:
    last = {said[1]: said for said in acknowledged}
    for id_, (what, _, version, *family) in last.items():
        if what == "whole":
            assert [door.read(OPERATOR, "Observation", f"{id_}-{part}").version for part in range(1, PARTS)] == [1] * (PARTS - 1)
            continue
        try:
            stored = door.read(OPERATOR, "Patient", id_)
        except (Gone, NotFound):  # deleted, perhaps by what was not acknowledged any more
            continue
        assert stored.version >= int(version)
        if what == "there" and stored.version == int(version):
            assert [each.id for each in door.search(OPERATOR, "Patient", f"family:exact={family[0]}&_id={id_}").entries] == [id_]


def _assert_no_half_transaction(door: Repository) -> None:
    parts: dict[str, int] = {}
    for stored in door.stream(OPERATOR, ["Patient", "Observation"]):
        if stored.id.startswith("t"):
            name = stored.id.rpartition("-")[0]
            parts[name] = parts.get(name, 0) + 1
    assert {name: count for name, count in parts.items() if count != PARTS} == {}


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.conformance("Faults", "killed with -9 at random points twenty times: no acknowledged write is lost, no transaction is half there, the search index is what a rebuild makes")
def test_kill_9_again_and_again_loses_nothing(database_url: str, tmp_path: Path) -> None:
    dice = random.Random(9)
    total = 0
    for seed in range(KILLS):
        acknowledged = killed("tests.integration.fhir_server.killed_process", (database_url, str(tmp_path / "data"), str(seed)), dice.random() ** 2)
        total += len(acknowledged)
        with open_door(database_url, tmp_path / f"again{seed}") as door:
            _assert_nothing_is_lost(door, acknowledged)
            _assert_no_half_transaction(door)
            assert_index_is_what_a_rebuild_makes(door._store)
    assert total > KILLS * 10
