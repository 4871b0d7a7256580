"""What was acknowledged survives: kill -9, and a disk that is full."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from chartloop.kernel.db import Tx, open_database
from chartloop.kernel.db_sqlite import SqliteDatabase
from chartloop.kernel.errors import Unavailable
from fhir_server.repository import Repository
from tests.integration.fhir_server.writing_process import OPERATOR, killed, open_door


@pytest.mark.long
@pytest.mark.conformance("Faults", "kill -9 of a writing process loses no acknowledged resource, and the index holds it too")
@pytest.mark.parametrize("wait_s", [0.4, pytest.param(2.5, marks=pytest.mark.long)])
def test_kill_9_loses_no_acknowledged_write(database_url: str, tmp_path: Path, wait_s: float) -> None:
    acknowledged = killed("tests.integration.fhir_server.writing_process", (database_url, str(tmp_path / "data")), wait_s)
    assert len(acknowledged) > 3
    with open_door(database_url, tmp_path / "again") as door:
        for id_, value in acknowledged[-200:]:
            assert door.read(OPERATOR, "Patient", id_).json()["identifier"][0]["value"] == value
            assert [stored.id for stored in door.search(OPERATOR, "Patient", f"identifier=urn:mrn|{value}").entries] == [id_]
        found = {stored.id for stored in door.stream(OPERATOR, ["Patient"])}
    assert {id_ for id_, _ in acknowledged} <= found
    assert len(found) <= len(acknowledged) + 4


def _writer(door: Repository) -> sqlite3.Connection:
    database = door._store.db
    assert isinstance(database, SqliteDatabase)
    return database._writer.connection


@pytest.mark.conformance("Faults", "a full disk (max_page_count) under the FHIR store is a clear answer; reads go on, later writes work")
def test_a_full_disk_is_a_clear_answer_and_reads_go_on(tmp_path: Path) -> None:
    with open_door(f"sqlite:///{tmp_path / 'full.sqlite3'}", tmp_path / "data") as door:
        stored = door.create(OPERATOR, {"resourceType": "Patient", "active": True}).stored
        used = _writer(door).execute("PRAGMA page_count").fetchone()[0]
        _writer(door).execute(f"PRAGMA max_page_count={used + 4}")
        written = 0
        with pytest.raises(Unavailable, match="full"):
            for written in range(2000):
                door.create(OPERATOR, {"resourceType": "Patient", "name": [{"family": f"{written}" * 50}]})
        assert door.read(OPERATOR, "Patient", stored.id).body == stored.body
        assert door.search(OPERATOR, "Patient", "_summary=count").total == written + 1
        _writer(door).execute("PRAGMA max_page_count=1000000")
        door.create(OPERATOR, {"resourceType": "Patient", "active": False})
        assert door.search(OPERATOR, "Patient", "_summary=count").total == written + 2


@pytest.mark.conformance("Faults", "a locked file under the FHIR store is a clear answer, and nothing is lost")
def test_a_locked_file_is_a_clear_answer_and_nothing_is_lost(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'locked.sqlite3'}"
    with open_door(url, tmp_path / "data") as door:
        _writer(door).execute("PRAGMA busy_timeout=100")
        other = open_database(url)

        def hold(_: Tx) -> None:
            with pytest.raises(Unavailable):
                door.create(OPERATOR, {"resourceType": "Patient", "active": True})

        other.write(hold)
        other.close()
        assert door.create(OPERATOR, {"resourceType": "Patient", "active": True}).created
        assert door.search(OPERATOR, "Patient", "_summary=count").total == 1
