"""The audit log is durable before an answer leaves, and every tampering with it is found and named."""

import hashlib
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chartloop.kernel.access.subject import Subject
from chartloop.kernel.audit import segment
from chartloop.kernel.audit.heads import read_heads
from chartloop.kernel.audit.journal import Audit, audit_directory
from chartloop.kernel.audit.merkle import Frontier
from chartloop.kernel.audit.record import AuditRecord, leaf_of
from chartloop.kernel.audit.sealer import Sealer
from chartloop.kernel.audit.verify import VerifyReport, verify
from chartloop.kernel.db import Database, Tx, open_database
from chartloop.kernel.errors import Unavailable
from chartloop.kernel.keys import signing_key

NURSE = Subject(id="user:1", role="any", user="Practitioner/1")


def _record(number: int, action: str = "R") -> AuditRecord:
    return AuditRecord(action, "read", "0", NURSE, (f"Patient/{number}/_history/1",), (f"Patient/{number}",))


class Log:
    """A sealed log of 12 changes and 12 accesses under three heads, and then one more of each that is not sealed."""

    def __init__(self, database: Database, data: Path) -> None:
        self.database, self.data = database, data
        self.audit = Audit(data)
        self.sealer = Sealer(database, data, signing_key(data / "keys"))
        for round_ in range(3):
            for number in range(4):
                self.add(round_ * 4 + number)
            assert self.sealer.seal() == 8
        self.add(99)

    def add(self, number: int) -> None:
        self.database.write(lambda tx: self.audit.change(tx, _record(number, "U")))
        self.audit.access(_record(number))

    def verify(self) -> VerifyReport:
        return verify(self.database, self.data)

    def tamper(self, sql: str, *params: object) -> None:
        assert self.database.write(lambda tx: tx.run(sql, params)) > 0

    @property
    def journal(self) -> Path:
        return segment.segments(audit_directory(self.data))[0]


@pytest.fixture
def log(database: Database, tmp_path: Path) -> Iterator[Log]:
    made = Log(database, tmp_path)
    yield made
    made.audit.close()


@pytest.mark.conformance("Audit", "an untouched log verifies")
def test_an_untouched_log_verifies(log: Log) -> None:
    assert log.verify() == VerifyReport(ok=True, sealed=24, unsealed=2, heads=3, first_bad=None, bad_head=None, problems=())


@pytest.mark.conformance("Audit", "the log is found by patient")
def test_the_log_is_found_by_patient(log: Log) -> None:
    with log.database.read() as session:
        found = session.all("SELECT seq FROM audit_patient WHERE patient = ? ORDER BY seq", ("Patient/5",))
    # 4 changes and 4 accesses a round; the fifth patient is the second of the second round
    assert found == [(10,), (14,)]


@pytest.mark.conformance("The loop", "7 Audit: one altered row is named by its sequence number")
@pytest.mark.conformance("Audit", "an altered change or access is named by its sequence number")
def test_an_altered_change_is_named_by_its_number(log: Log) -> None:
    # the first batch is sealed as 4 changes and then 4 accesses
    log.tamper("UPDATE audit_change SET body = ? WHERE seq = 3", b'{"action":"R"}')
    report = log.verify()
    assert (report.ok, report.first_bad, report.bad_head) == (False, 3, None)
    assert "altered" in report.problems[0]


@pytest.mark.conformance("Audit", "an altered change or access is named by its sequence number")
@pytest.mark.conformance("Attacks", "72: a flipped bit, deleted, swapped and inserted rows, a recomputed log and a cut tail are all found")
def test_one_flipped_bit_of_the_journal_is_named_by_its_number(log: Log) -> None:
    data = bytearray(log.journal.read_bytes())
    data[40] ^= 1
    log.journal.write_bytes(data)
    report = log.verify()
    assert (report.ok, report.first_bad) == (False, 5)


@pytest.mark.conformance("The loop", "7 Audit: rewritten leaves are named by the tree head")
@pytest.mark.conformance("Attacks", "72: a flipped bit, deleted, swapped and inserted rows, a recomputed log and a cut tail are all found")
def test_a_log_whose_hashes_were_computed_anew_is_named_by_its_tree_head(log: Log) -> None:
    body = b'{"action":"R"}'
    log.tamper("UPDATE audit_change SET body = ?, leaf = ? WHERE seq = 6", body, leaf_of(body))
    log.tamper("UPDATE audit_leaf SET leaf = ? WHERE source = 0 AND position = 6", leaf_of(body))
    report = log.verify()
    assert (report.ok, report.first_bad, report.bad_head) == (False, None, 16)


@pytest.mark.conformance("Attacks", "72: a flipped bit, deleted, swapped and inserted rows, a recomputed log and a cut tail are all found")
def test_a_removed_change_is_named(log: Log) -> None:
    log.tamper("DELETE FROM audit_change WHERE seq = 2")
    assert log.verify().first_bad == 2


@pytest.mark.conformance("Attacks", "72: a flipped bit, deleted, swapped and inserted rows, a recomputed log and a cut tail are all found")
def test_a_removed_leaf_is_named(log: Log) -> None:
    log.tamper("DELETE FROM audit_leaf WHERE seq = 11")
    assert log.verify().first_bad == 11


@pytest.mark.conformance("Attacks", "72: a flipped bit, deleted, swapped and inserted rows, a recomputed log and a cut tail are all found")
def test_swapped_records_are_named(log: Log) -> None:
    def swap(tx: Tx) -> None:
        [(one,), (two,)] = tx.all("SELECT leaf FROM audit_leaf WHERE seq IN (1, 2) ORDER BY seq")
        tx.run("UPDATE audit_leaf SET leaf = ?, position = 2 WHERE seq = 1", (two,))
        tx.run("UPDATE audit_leaf SET leaf = ?, position = 1 WHERE seq = 2", (one,))

    log.database.write(swap)
    assert log.verify().bad_head == 8


@pytest.mark.conformance("Attacks", "72: a flipped bit, deleted, swapped and inserted rows, a recomputed log and a cut tail are all found")
def test_swapped_bodies_are_named(log: Log) -> None:
    def swap(tx: Tx) -> None:
        [(one,), (two,)] = tx.all("SELECT body FROM audit_change WHERE seq IN (1, 2) ORDER BY seq")
        tx.run("UPDATE audit_change SET body = ? WHERE seq = 1", (two,))
        tx.run("UPDATE audit_change SET body = ? WHERE seq = 2", (one,))

    log.database.write(swap)
    assert log.verify().first_bad == 1


@pytest.mark.conformance("Attacks", "72: a flipped bit, deleted, swapped and inserted rows, a recomputed log and a cut tail are all found")
def test_a_row_put_among_sealed_ones_is_found(log: Log) -> None:
    log.tamper("DELETE FROM audit_change WHERE seq = 2")
    log.tamper("INSERT INTO audit_change (seq, xid, codec, leaf, body) SELECT -5, xid, codec, leaf, body FROM audit_change WHERE seq = 1")
    log.tamper("INSERT INTO audit_change (seq, xid, codec, leaf, body) SELECT -6, xid, codec, leaf, body FROM audit_change WHERE seq = 1")
    report = log.verify()
    assert report.first_bad == 2
    assert any("put among" in problem for problem in report.problems)


@pytest.mark.conformance("Attacks", "72: a flipped bit, deleted, swapped and inserted rows, a recomputed log and a cut tail are all found")
def test_a_cut_tail_is_named(log: Log) -> None:
    log.tamper("DELETE FROM audit_leaf WHERE seq > 20")
    assert log.verify().first_bad == 21


@pytest.mark.conformance("Attacks", "72: a flipped bit, deleted, swapped and inserted rows, a recomputed log and a cut tail are all found")
def test_a_tail_cut_together_with_its_head_is_found_by_the_head_outside(log: Log) -> None:
    log.tamper("DELETE FROM audit_leaf WHERE seq > 16")
    log.tamper("DELETE FROM audit_head WHERE size > 16")
    assert log.verify().bad_head == 24


def test_a_cut_journal_is_named(log: Log) -> None:
    os.truncate(log.journal, 60)
    assert log.verify().first_bad == 5


def test_a_missing_journal_is_named(log: Log) -> None:
    log.journal.unlink()
    assert log.verify().first_bad == 5


def test_bytes_put_into_the_journal_are_named(log: Log) -> None:
    data = log.journal.read_bytes()
    log.journal.write_bytes(data[:4] + segment.frame(b"{}") + data[4:])
    assert log.verify().first_bad == 5


@pytest.mark.conformance("Attacks", "73: a forged tree head is found")
def test_a_forged_head_is_named(log: Log) -> None:
    log.tamper("UPDATE audit_head SET recorded = recorded + 1 WHERE size = 16")
    assert log.verify().bad_head == 16


def test_an_altered_record_that_is_not_sealed_yet_is_found(log: Log) -> None:
    log.tamper("UPDATE audit_change SET body = ? WHERE seq = 13", b"{}")
    data = bytearray(log.journal.read_bytes())
    data[len(bytes(data).rstrip(b"\0")) - 1] ^= 1
    log.journal.write_bytes(data)
    report = log.verify()
    assert not report.ok
    assert len(report.problems) == 2


@pytest.mark.conformance("Audit", "a stored version without a recorded change is found")
def test_a_stored_version_without_a_recorded_change_is_found(log: Log) -> None:
    report = verify(log.database, log.data, versions=lambda _s, _since: ["Patient/3/_history/1", "Patient/3/_history/2"])
    assert report.problems == ("Patient/3/_history/2: it is stored, but no change is recorded for it.",)


@pytest.mark.conformance("Audit", "the torn end of a killed process is no alarm")
@pytest.mark.conformance("Attacks", "74: a journal cut by kill -9 verifies and is sealed later")
@pytest.mark.parametrize("cut", [1, 3, 20])
@pytest.mark.parametrize("zeros", [True, False])
def test_a_torn_end_of_a_killed_process_is_no_alarm(log: Log, cut: int, zeros: bool) -> None:
    data = log.journal.read_bytes()
    end = len(data.rstrip(b"\0"))
    log.journal.write_bytes(data[:end] + segment.frame(b'{"never":"acknowledged"}')[:-cut] + (data[end:] if zeros else b""))
    assert log.verify().ok
    assert log.sealer.seal() == 2
    assert log.verify().ok


def test_a_head_that_was_not_written_outside_is_written_later(log: Log) -> None:
    file = audit_directory(log.data) / "heads.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:2]) + lines[2][:30])
    assert log.verify().ok
    Sealer(log.database, log.data, signing_key(log.data / "keys")).seal()
    assert [head.size for head in read_heads(file)] == [8, 16, 24, 26]


@pytest.mark.conformance("Audit", "sealers that race make one log")
def test_sealers_that_race_make_one_log(database: Database, tmp_path: Path) -> None:
    audit = Audit(tmp_path)
    sealers = [Sealer(database, tmp_path, signing_key(tmp_path / "keys")) for _ in range(3)]
    done = threading.Event()

    def seal(sealer: Sealer) -> None:
        while not done.is_set():
            sealer.seal()

    threads = [threading.Thread(target=seal, args=(sealer,)) for sealer in sealers]
    for thread in threads:
        thread.start()
    for number in range(60):
        database.write(lambda tx, number=number: audit.change(tx, _record(number, "C")))  # type: ignore[misc]
        audit.access(_record(number))
    done.set()
    for thread in threads:
        thread.join()
    sealers[0].seal()
    report = verify(database, tmp_path)
    assert (report.ok, report.sealed, report.problems) == (True, 120, ())


@pytest.mark.conformance("Audit", "a copy of the data directory verifies by itself")
def test_a_copy_of_the_data_directory_verifies_by_itself(tmp_path: Path) -> None:
    data = tmp_path / "data"
    database = open_database(f"sqlite:///{data / 'chartloop.sqlite3'}")
    from chartloop.kernel.db import create_tables

    create_tables(database)
    Log(database, data).audit.close()
    database.close()
    shutil.copytree(data, tmp_path / "copy of it")
    copy = open_database(f"sqlite:///{tmp_path / 'copy of it' / 'chartloop.sqlite3'}")
    report = verify(copy, tmp_path / "copy of it")
    copy.close()
    assert (report.ok, report.sealed, report.unsealed) == (True, 24, 2)


@pytest.mark.conformance("Audit", "accesses of many threads share syncs and are all on disk")
@pytest.mark.conformance("What must be real underneath", "audit: rows for changes, a journal with shared syncs for reads")
def test_accesses_of_many_threads_share_syncs_and_are_all_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    syncs: list[int] = []
    real = os.fdatasync

    def counted(file: int) -> None:
        syncs.append(file)
        real(file)

    monkeypatch.setattr(os, "fdatasync", counted)
    audit = Audit(tmp_path)
    threads = [threading.Thread(target=lambda: [audit.access(_record(n)) for n in range(20)]) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    audit.close()
    [file] = segment.segments(audit_directory(tmp_path))
    assert len(list(segment.frames(file.read_bytes()[4:], 4))) == 320
    assert len(syncs) < 320


@pytest.mark.conformance("Audit", "an access that cannot be recorded is refused")
@pytest.mark.conformance("Attacks", "75: with a full disk under the audit journal nothing is disclosed")
def test_an_access_that_cannot_be_recorded_is_refused_and_later_ones_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    audit = Audit(tmp_path)
    audit.access(_record(1))
    real = os.pwrite

    def full(file: int, data: bytes, at: int) -> int:
        if len(data) > 12:
            return real(file, data[:12], at)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(Unavailable, match="nothing may be disclosed"):
            audit.access(_record(2))
    audit.access(_record(3))
    audit.close()
    bodies = [f.body for file in segment.segments(audit_directory(tmp_path)) for f in segment.frames(file.read_bytes()[4:], 4)]
    assert [b"Patient/1" in body or b"Patient/3" in body for body in bodies] == [True, True]


def test_a_large_journal_goes_on_in_a_new_file(tmp_path: Path) -> None:
    audit = Audit(tmp_path, segment_max_bytes=1000)
    for number in range(12):
        audit.access(_record(number))
    audit.close()
    assert len(segment.segments(audit_directory(tmp_path))) == 4


# leaves and roots of the certificate-transparency reference tests
LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = {
    0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}


@pytest.mark.conformance("Audit", "the tree has the published hashes of certificate transparency")
@pytest.mark.parametrize("size", sorted(ROOTS))
def test_the_tree_has_the_published_hash(size: int) -> None:
    tree = Frontier()
    tree.extend(leaf_of(bytes.fromhex(leaf)) for leaf in LEAVES[:size])
    assert tree.root().hex() == ROOTS[size]


def _root(leaves: list[bytes]) -> bytes:
    """RFC 6962, 2.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    return hashlib.sha256(b"\x01" + _root(leaves[:split]) + _root(leaves[split:])).digest()


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=70), st.integers(0, 70))
def test_a_tree_that_is_gone_on_from_equals_one_built_at_once(leaves: list[bytes], split: int) -> None:
    first = Frontier()
    first.extend(leaves[:split])
    second = Frontier(first.size, first.to_bytes())
    second.extend(leaves[split:])
    assert second.root() == _root(leaves)
