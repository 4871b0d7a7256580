"""A log, or a place that holds its heads, that somebody turned back, forked or wrote anew is found; retention leaves a log that verifies."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from chartloop.kernel.audit import state
from chartloop.kernel.audit.anchors import MISMATCH, reset
from chartloop.kernel.audit.heads import append_heads, appending, read_heads, sign
from chartloop.kernel.audit.journal import Audit, audit_directory
from chartloop.kernel.audit.record import AuditRecord
from chartloop.kernel.audit.retention import YEAR_US, prune
from chartloop.kernel.audit.sealer import Sealer
from chartloop.kernel.audit.segment import segments
from chartloop.kernel.audit.verify import VerifyReport, verify
from chartloop.kernel.clock import FakeClock
from chartloop.kernel.db import Database, create_tables, open_database
from chartloop.kernel.keys import signing_key
from tests.unit.kernel.test_audit import NURSE


class Anchored:
    """A log with a second place for its heads."""

    def __init__(self, database: Database, data: Path, elsewhere: Path, **more: int) -> None:
        self.database, self.data, self.anchor = database, data, elsewhere / "anchor.jsonl"
        self.audit = Audit(data, **more)
        self.sealer = self.new_sealer()

    def new_sealer(self) -> Sealer:
        return Sealer(self.database, self.data, signing_key(self.data / "keys"), anchor_file=self.anchor)

    def add(self, count: int, kind: str = "read") -> None:
        for number in range(count):
            record = AuditRecord("R", kind, "0", NURSE, (f"Patient/{number}/_history/1",), (f"Patient/{number}",))
            self.database.write(lambda tx, record=record: self.audit.change(tx, record))  # type: ignore[misc]
            self.audit.access(record)

    def verify(self) -> VerifyReport:
        return verify(self.database, self.data, anchor_file=self.anchor)

    @property
    def heads(self) -> Path:
        return audit_directory(self.data) / "heads.jsonl"


@pytest.fixture
def log(database: Database, tmp_path: Path) -> Iterator[Anchored]:
    made = Anchored(database, tmp_path / "data", tmp_path / "elsewhere")
    for _ in range(3):
        made.add(2)
        assert made.sealer.seal() == 4
    yield made
    made.audit.close()


@pytest.mark.conformance("Audit", "tree heads are written to a second place, and a log that agrees with both verifies")
def test_heads_are_written_to_both_places(log: Anchored) -> None:
    assert [head.size for head in read_heads(log.anchor)] == [head.size for head in read_heads(log.heads)] == [4, 8, 12]
    assert log.verify().problems == ()


@pytest.mark.conformance("Attacks", "73: a place of tree heads that was turned back is found, and nothing is sealed over it")
@pytest.mark.parametrize("restarted", [True, False])
@pytest.mark.parametrize("place", ["anchor", "heads"])
def test_a_place_that_was_turned_back_is_found(log: Anchored, place: str, restarted: bool) -> None:
    file = getattr(log, place)
    log.add(1)
    log.sealer.seal()
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:1]))
    log.add(1)
    sealer = log.new_sealer() if restarted else log.sealer
    assert sealer.seal() == 0
    assert "turned back" in log.verify().problems[0]
    with log.database.read() as session:
        assert "turned back" in state.value(session, MISMATCH)


@pytest.mark.conformance("Attacks", "73: two tree heads of one size are a fork")
def test_two_heads_of_one_size_are_a_fork(log: Anchored) -> None:
    forged = sign(signing_key(log.data / "keys"), 12, bytes(32), 1, bytes(32))
    with appending(log.anchor) as handle:
        append_heads(handle, [forged])
    report = log.verify()
    assert report.bad_head == 12
    assert any("forked" in problem for problem in report.problems)
    log.add(1)
    assert log.sealer.seal() == 0


@pytest.mark.conformance("Attacks", "72: a whole log that was written anew, with the right key, is found by the heads outside")
def test_a_whole_log_that_was_written_anew_is_found_by_the_anchor(log: Anchored, tmp_path: Path) -> None:
    new = tmp_path / "anew"
    shutil.copytree(log.data / "keys", new / "keys")
    database = open_database(f"sqlite:///{new / 'new.sqlite3'}")
    create_tables(database)
    forged = Anchored(database, new, new)
    for _ in range(3):
        forged.add(2, kind="vread")
        forged.sealer.seal()
    assert forged.verify().ok
    report = verify(database, new, anchor_file=log.anchor)
    assert not report.ok
    assert any("another one" in problem for problem in report.problems)
    forged.add(1)
    assert Sealer(database, new, signing_key(new / "keys"), anchor_file=log.anchor).seal() == 0
    forged.audit.close()
    database.close()


@pytest.mark.conformance("Attacks", "73: a log that was turned back is not sealed over")
@pytest.mark.conformance("Audit", "a log that was turned back behind its published heads is not sealed over, and says so once")
def test_a_log_that_was_turned_back_is_not_sealed_over(log: Anchored, caplog: pytest.LogCaptureFixture) -> None:
    log.database.write(lambda tx: tx.run("DELETE FROM audit_leaf WHERE seq > 8") + tx.run("DELETE FROM audit_head WHERE size > 8"))
    assert [log.sealer.seal(), log.sealer.seal()] == [0, 0]
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    with log.database.read() as session:
        bodies = [json.loads(body) for (body,) in session.all("SELECT body FROM audit_change ORDER BY seq")]
    assert [body["interaction"] for body in bodies].count("anchor-mismatch") == 1


def test_who_moved_the_old_files_away_begins_anew(log: Anchored) -> None:
    log.anchor.rename(log.anchor.with_suffix(".old"))
    log.add(1)
    assert log.new_sealer().seal() == 0
    log.database.write(reset)
    assert log.new_sealer().seal() == 3  # the alarm is a record too
    assert log.verify().ok
    assert [head.size for head in read_heads(log.anchor)] == [4, 8, 12, 15]


@pytest.mark.conformance("Attacks", "79: TRUNCATE, a replica role and a disabled trigger leave gaps that are found")
@pytest.mark.parametrize(
    "sql",
    ["TRUNCATE audit_change", "SET session_replication_role = replica; DELETE FROM audit_change WHERE seq = 2", "ALTER TABLE audit_change DISABLE TRIGGER ALL; UPDATE audit_change SET body = 'x' WHERE seq = 2", "TRUNCATE audit_leaf, audit_head", "TRUNCATE audit_patient"],
)
def test_what_no_trigger_stops_is_found(postgresql_url: str, tmp_path: Path, sql: str) -> None:
    database = open_database(postgresql_url)
    create_tables(database)
    log = Anchored(database, tmp_path, tmp_path)
    log.add(2)
    log.sealer.seal()
    assert log.verify().ok
    for statement in sql.split("; "):
        database.write(lambda tx, statement=statement: tx.run(statement))  # type: ignore[misc]
    assert not log.verify().ok
    log.audit.close()
    database.close()


@pytest.mark.conformance("Audit", "rows that were taken out of the index, altered or put in are found")
@pytest.mark.parametrize(
    "sql",
    ["DELETE FROM audit_patient WHERE patient = 'Patient/1' AND seq = 2", "UPDATE audit_entry SET agent = 'Practitioner/2' WHERE seq = 3", "DELETE FROM audit_entity WHERE seq = 4", "INSERT INTO audit_patient (patient, seq) VALUES ('Patient/9', 2)"],
)
def test_an_index_that_hides_a_record_is_found(log: Anchored, sql: str) -> None:
    assert log.database.write(lambda tx: tx.run(sql)) > 0
    [problem] = log.verify().problems
    assert "index" in problem


@pytest.mark.conformance("Attacks", "82: a clock that steps back breaks neither order nor proof")
def test_a_clock_that_steps_back_breaks_nothing(log: Anchored, fake_clock: FakeClock) -> None:
    for step in (3600, -7200, 60):
        fake_clock.advance(step)
        log.add(1)
        assert log.sealer.seal() == 2
    report = log.verify()
    assert (report.ok, report.sealed) == (True, 18)


@pytest.mark.conformance("Audit", "records older than the retention are let go of by sealed segment; the rest verifies, and the tombstone is in the log")
def test_old_records_are_let_go_of_and_the_rest_verifies(database: Database, tmp_path: Path, fake_clock: FakeClock) -> None:
    log = Anchored(database, tmp_path, tmp_path, segment_max_bytes=1024)
    for _ in range(4):
        log.add(3)
        log.sealer.seal()
        fake_clock.advance(2 * YEAR_US / 1e6)
    before = len(segments(audit_directory(tmp_path)))
    assert prune(database, tmp_path, years=0) == 0
    assert prune(database, tmp_path, years=5) == 12  # of 24 records, those of year 0 and 2
    assert prune(database, tmp_path, years=5) == 0
    assert log.sealer.seal() == 1
    assert 0 < len(segments(audit_directory(tmp_path))) < before
    with database.read() as session:
        assert session.one("SELECT count(*) FROM audit_change WHERE seq <= 6") == (0,)
        assert session.one("SELECT count(*) FROM audit_patient WHERE seq <= 12") == (0,)
    report = log.verify()
    assert (report.problems, report.sealed) == ((), 25)
    segments(audit_directory(tmp_path))[-1].unlink()
    assert log.verify().first_bad is not None
    log.audit.close()


def test_a_record_that_no_tombstone_speaks_of_is_missing(database: Database, tmp_path: Path, fake_clock: FakeClock) -> None:
    log = Anchored(database, tmp_path, tmp_path)
    for _ in range(2):
        log.add(2)
        log.sealer.seal()
        fake_clock.advance(4 * YEAR_US / 1e6)
    prune(database, tmp_path, years=6)
    log.sealer.seal()
    assert log.verify().ok
    database.write(lambda tx: tx.run("DELETE FROM audit_change WHERE seq = 3"))
    assert log.verify().first_bad == 5
    log.audit.close()
