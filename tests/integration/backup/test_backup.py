"""`chartloop backup`: what is made is whole or is not there, what is verified holds, what is restored is what was."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from chartloop.backup.creating import create
from chartloop.backup.files import digest_of
from chartloop.backup.journal_files import JournalFiles
from chartloop.backup.manifest import read_manifest
from chartloop.backup.restoring import restore
from chartloop.backup.verifying import verify
from chartloop.cli.main import run
from chartloop.kernel.audit.journal import audit_directory
from chartloop.kernel.audit.segment import segments
from chartloop.kernel.broker import Group
from chartloop.kernel.errors import Conflict, Invalid, Unavailable
from chartloop.kernel.process_lock import ProcessLock
from tests.integration.backup.conftest import CONSUMER, WHO, House

AREA = "Backup"


@pytest.mark.conformance(AREA, "a backup of each kind of database is made, verified and restored: counts, audit proof, sealed words and waiting events are the same")
def test_what_is_restored_is_what_was_backed_up(house: House, elsewhere: House, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    manifest, _ = create(house.settings, backup, WHO)
    assert manifest.resources == {"Observation": 4, "Patient": 4}
    checked = verify(house.settings, backup)
    assert (checked.problems, checked.notes) == ((), ())
    assert checked.log is not None
    assert (checked.log.sealed, checked.log.unsealed) == (manifest.audit["records"], 6)
    done = restore(elsewhere.settings, backup, WHO, keys=house.settings.keys)
    assert (done.problems, done.notes) == ((), ())
    assert (done.log.sealed, done.log.unsealed) == (checked.log.sealed, checked.log.unsealed)
    assert "zanzibarquill" in elsewhere.narrative("p1")
    with house.open() as before, elsewhere.open() as after:
        for kernel in (before, after):
            kernel.bus.subscribe(Group(CONSUMER))
        assert after.bus.waiting_for(CONSUMER) == before.bus.waiting_for(CONSUMER) == 8


@pytest.mark.conformance(AREA, "a backup holds no key and no word of a chart in clear, and nobody but its owner can read it")
def test_a_backup_holds_no_key(small_house: House, tmp_path: Path) -> None:
    stray = small_house.data / "copy-of.key"
    stray.write_bytes(b"another")
    backup = tmp_path / "backup"
    manifest, _ = create(small_house.settings, backup, WHO)
    files = [path for path in backup.rglob("*") if path.is_file()]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert {path.stat().st_mode & 0o777 for path in (backup, *(path for path in backup.rglob("*") if path.is_dir()))} == {0o700}
    secrets = [path.read_bytes().strip() for path in [*small_house.settings.keys.rglob("*"), stray] if path.is_file()]
    assert len(secrets) > 3
    assert [path.name for path in files for secret in [*secrets, b"zanzibarquill"] if secret in path.read_bytes()] == []
    assert "audit-ed25519.key" in manifest.keys["files"]
    assert "vault.key" not in manifest.keys["files"]
    assert len(manifest.keys["master"]) == 1


@pytest.mark.conformance(AREA, "what else lies in the data directory is in the backup; locks, drafts and the demo are not")
def test_what_else_is_needed_is_in_the_backup(small_house: House, tmp_path: Path) -> None:
    for name in ("telemetry/raw/ab/abcd.zst", "telemetry/raw/arriving-1", "telemetry/spool/x", "training/examples.jsonl", "models/risk/model.json", "demo/links.json", "serve.lock"):
        (small_house.data / name).parent.mkdir(parents=True, exist_ok=True)
        (small_house.data / name).write_text("x")
    (small_house.data / "omop").mkdir()
    with closing(sqlite3.connect(small_house.data / "omop" / "cdm.sqlite3")) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE person (person_id INTEGER)")
    manifest, _ = create(small_house.settings, tmp_path / "backup", WHO)
    found = {name.removeprefix("files/") for name in manifest.files if name.startswith("files/")}
    assert found == {"telemetry/raw/ab/abcd.zst", "training/examples.jsonl", "models/risk/model.json", "omop/cdm.sqlite3"}
    place = House(tmp_path / "elsewhere")
    assert restore(place.settings, tmp_path / "backup", WHO, keys=small_house.settings.keys).ok
    assert (place.data / "telemetry/raw/ab/abcd.zst").read_text() == "x"


@pytest.mark.conformance(AREA, "a backup that did not end is not there, and a directory without a manifest is no backup")
def test_a_backup_that_did_not_end_is_none(small_house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: JournalFiles, size: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(JournalFiles, "copy_after", full)
    with pytest.raises(Unavailable, match="No space left"):
        create(small_house.settings, tmp_path / "backup", WHO)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]
    (tmp_path / "half").mkdir()
    with pytest.raises(Invalid, match="is no backup"):
        verify(small_house.settings, tmp_path / "half")


def test_a_backup_is_not_made_over_another_nor_among_the_data(small_house: House, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(Conflict, match="is there already"):
        create(small_house.settings, tmp_path / "there", WHO)
    with pytest.raises(Invalid, match="lies in the data directory"):
        create(small_house.settings, small_house.data / "backup", WHO)
    with pytest.raises(Invalid, match="nothing to back up"):
        create(House(tmp_path / "empty").settings, tmp_path / "backup", WHO)


@pytest.mark.conformance(AREA, "verify names a file that was altered, is missing or was put in, and finds an altered record whose digest was forged too")
def test_what_was_altered_in_a_backup_is_found(small_house: House, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    create(small_house.settings, backup, WHO)
    journal = segments(audit_directory(backup))[0]
    kept = journal.read_bytes()
    journal.write_bytes(kept[:-1] + bytes((kept[-1] ^ 1,)))
    (backup / "extra").write_text("x")
    assert [problem.split(" ")[0] for problem in verify(small_house.settings, backup).problems] == ["extra", f"audit/{journal.name}"]
    (backup / "extra").unlink()
    journal.unlink()
    assert verify(small_house.settings, backup).problems == (f"audit/{journal.name} is missing",)
    journal.write_bytes(kept)
    assert verify(small_house.settings, backup).ok
    with closing(sqlite3.connect(backup / "store.sqlite3")) as connection, connection:
        connection.execute("UPDATE audit_change SET body = x'00' WHERE seq = 2")
    said = json.loads((backup / "manifest.json").read_text())
    said["files"]["store.sqlite3"] = digest_of(backup / "store.sqlite3")
    (backup / "manifest.json").write_text(json.dumps(said))
    checked = verify(small_house.settings, backup)
    assert checked.log is not None
    assert checked.log.first_bad is not None


@pytest.mark.conformance(AREA, "restore refuses a place where something lives, another kind of database, a server that runs, and missing or other keys")
def test_restore_refuses_what_would_lose_something(small_house: House, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    create(small_house.settings, backup, WHO)
    with pytest.raises(Conflict, match="is not empty"):
        restore(small_house.settings, backup, WHO)
    place = House(tmp_path / "elsewhere")
    with pytest.raises(Invalid, match=r"Keys that this backup needs are not here.*audit-ed25519.key is missing.*master key"):
        restore(place.settings, backup, WHO)
    assert not (place.data / "chartloop.sqlite3").exists()
    place.settings.keys.mkdir()
    (place.settings.keys / "hmac.key").write_bytes(b"another")
    with pytest.raises(Invalid, match=r"hmac\.key is another key"):
        restore(place.settings, backup, WHO, keys=small_house.settings.keys)
    (place.settings.keys / "hmac.key").unlink()
    with ProcessLock(place.data), pytest.raises(Conflict, match="Another chartloop process"):
        restore(place.settings, backup, WHO, keys=small_house.settings.keys)
    with pytest.raises(Invalid, match="This backup is of sqlite"):
        restore(place.settings.model_copy(update={"database": place.settings.database.model_copy(update={"url": "postgresql://nowhere/x"})}), backup, WHO)
    done = restore(House(tmp_path / "later").settings, backup, WHO, keys_later=True)
    assert done.ok
    assert any("vault.key" in note for note in done.notes)


def test_a_restore_that_met_an_altered_file_leaves_a_place_that_is_refused(small_house: House, tmp_path: Path) -> None:
    backup = tmp_path / "backup"
    create(small_house.settings, backup, WHO)
    store = backup / "store.sqlite3"
    store.write_bytes(store.read_bytes()[:-1] + b"\x01")
    place = House(tmp_path / "elsewhere")
    with pytest.raises(Invalid, match="not what the backup's manifest says"):
        restore(place.settings, backup, WHO, keys=small_house.settings.keys)
    assert not (place.data / "chartloop.sqlite3").exists()
    with pytest.raises(Conflict, match="A restore did not end"):
        restore(place.settings, backup, WHO)


@pytest.mark.conformance(AREA, "heads of the audit log that were kept outside and know of more than the backup are named after a restore")
def test_heads_outside_that_know_of_more_are_named(small_house: House, tmp_path: Path) -> None:
    backup, outside = tmp_path / "backup", tmp_path / "worm" / "heads.jsonl"
    create(small_house.settings, backup, WHO)
    small_house.fill(("p9",))
    outside.parent.mkdir()
    outside.write_text((audit_directory(small_house.data) / "heads.jsonl").read_text())
    place = House(tmp_path / "elsewhere")
    settings = place.settings.model_copy(update={"audit": place.settings.audit.model_copy(update={"anchor_file": outside})})
    done = restore(settings, backup, WHO, keys=small_house.settings.keys)
    assert done.ok
    assert [note.split(" ")[0] for note in done.notes] == [str(outside)]


@pytest.mark.long
@pytest.mark.conformance(AREA, "the commands print what was done and exit 0, or name the problem in one sentence and exit 1")
def test_the_commands_say_what_was_done(small_house: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    backup, place = tmp_path / "backup", tmp_path / "elsewhere"
    assert run(["backup", "create", str(backup), "--data", str(small_house.data)]) == 0
    said = capsys.readouterr().out
    for words in ("8 resources", "keep apart: audit-ed25519.key", "keep apart: the master key "):
        assert words in said
    assert run(["backup", "verify", str(backup), "--data", str(small_house.data)]) == 0
    assert capsys.readouterr().out.endswith("the backup holds\n")
    assert run(["backup", "restore", str(backup), "--data", str(place), "--keys", str(small_house.settings.keys), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True
    assert run(["audit", "verify", "--data", str(place)]) == 0
    assert run(["audit", "show", "--interaction", "backup-created", "--data", str(small_house.data)]) == 0
    assert run(["backup", "create", str(backup), "--data", str(small_house.data)]) == 1
    assert "is there already" in capsys.readouterr().err
    (backup / "store.sqlite3").unlink()
    assert run(["backup", "verify", str(backup), "--data", str(small_house.data)]) == 1
    assert read_manifest(backup).kind == "sqlite"
