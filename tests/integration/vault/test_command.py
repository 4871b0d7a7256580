"""`chartloop keys` as an operator uses it."""

from __future__ import annotations

import json
import stat

import pytest

from chartloop.app import open_door, open_kernel
from chartloop.cli import keys as command
from chartloop.cli.main import run
from chartloop.kernel.config import load_settings
from chartloop.kernel.vault.vault import Destroyed
from fhir_server.codec import SEALED
from tests.integration.vault.conftest import OPERATOR


def write(data, text="zanzibarquill"):
    with open_kernel(load_settings({"data": data})) as kernel:
        repository = open_door(kernel).repository
        repository.update(OPERATOR, "Patient", "p1", {"resourceType": "Patient", "id": "p1", "text": {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{text}</div>'}})


def read(data, version=1):
    with open_kernel(load_settings({"data": data})) as kernel:
        return open_door(kernel).repository.vread(OPERATOR, "Patient", "p1", version).body


def listed(data, capsys):
    capsys.readouterr()
    assert run(["keys", "list", "--json", "--data", str(data)]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_key_file_is_made_once_and_for_its_owner(tmp_path, capsys):
    file = tmp_path / "vault.key"
    assert run(["keys", "new", str(file)]) == 0
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    made = file.read_bytes()
    assert run(["keys", "new", str(file)]) == 1
    assert (file.read_bytes(), "File exists" in capsys.readouterr().err) == (made, True)


@pytest.mark.long
def test_keys_are_rotated_and_what_they_sealed_is_sealed_anew(tmp_path, capsys):
    write(tmp_path)
    assert [(key["scope"], key["state"]) for key in listed(tmp_path, capsys)] == [("store", "seals"), ("audit", "seals"), ("Patient/p1", "seals")]
    assert run(["keys", "rotate", "--patients", "--data", str(tmp_path)]) == 0
    assert "3 data keys are retired" in capsys.readouterr().out
    assert run(["keys", "seal", "--retired", "--pause", "0", "--data", str(tmp_path)]) == 0
    assert "version.body: 1 of 1 sealed" in capsys.readouterr().out
    assert [(key["scope"], key["state"]) for key in listed(tmp_path, capsys)] == [
        ("store", "retired"), ("audit", "retired"), ("Patient/p1", "retired"), ("store", "seals"), ("audit", "seals"), ("Patient/p1", "seals"),
    ]  # fmt: skip
    assert b"zanzibarquill" in read(tmp_path)
    assert run(["audit", "verify", "--data", str(tmp_path)]) == 0


@pytest.mark.long
def test_a_store_from_before_the_vault_is_sealed_by_the_command(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("CHARTLOOP_VAULT__MODE", "off")
    write(tmp_path)
    assert listed(tmp_path, capsys) == []
    assert run(["keys", "seal", "--data", str(tmp_path)]) == 1
    assert "The vault is off" in capsys.readouterr().err
    monkeypatch.delenv("CHARTLOOP_VAULT__MODE")
    assert b"zanzibarquill" in read(tmp_path)
    assert run(["keys", "seal", "--pause", "0", "--data", str(tmp_path)]) == 0
    with open_kernel(load_settings({"data": tmp_path})) as kernel, kernel.database.read() as session:
        assert [codec & SEALED for (codec,) in session.all("SELECT codec FROM version")] == [SEALED]


@pytest.mark.long
@pytest.mark.conformance("Encryption at rest", "`chartloop keys destroy` asks that the patient's resources are deleted first, and is recorded in the audit log")
def test_a_patient_is_destroyed_only_when_nothing_of_it_lives(tmp_path, capsys, monkeypatch):
    write(tmp_path)
    destroy = ["keys", "destroy", "--patient", "Patient/p1", "--yes", "--no-server", "--data", str(tmp_path)]
    assert run(destroy) == 1
    assert "1 resources about Patient/p1 are not deleted" in capsys.readouterr().err
    with open_kernel(load_settings({"data": tmp_path})) as kernel:
        open_door(kernel).repository.delete(OPERATOR, "Patient", "p1")
    assert run(destroy) == 0
    with pytest.raises(Destroyed):
        read(tmp_path)
    assert run(["audit", "verify", "--data", str(tmp_path)]) == 0
    (key,) = [key for key in listed(tmp_path, capsys) if key["scope"] == "Patient/p1"]
    assert (key["state"], key["master"]) == ("destroyed", "")


@pytest.mark.long
@pytest.mark.conformance("Encryption at rest", "with the master key lost no command but `audit verify` and `keys list` runs, and each says which key is missing")
def test_without_the_master_key_the_log_is_verified_and_nothing_else_runs(tmp_path, capsys):
    write(tmp_path)
    (fingerprint,) = {key["master"] for key in listed(tmp_path, capsys)}
    (tmp_path / "keys" / "vault.key").unlink()
    assert run(["token", "--role", "operator", "--data", str(tmp_path)]) == 1
    assert "vault.key cannot be read" in capsys.readouterr().err
    assert run(["audit", "verify", "--json", "--data", str(tmp_path)]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["ok"], report["versions_compared"]) == (True, False)
    assert {key["master"] for key in listed(tmp_path, capsys)} == {fingerprint}


@pytest.mark.long
def test_the_store_is_moved_to_a_new_master_key(tmp_path, capsys, monkeypatch):
    write(tmp_path)
    old, new = tmp_path / "keys" / "vault.key", tmp_path / "new.key"
    run(["keys", "new", str(new)])
    monkeypatch.setenv("CHARTLOOP_VAULT__KEY_FILE", str(new))
    assert run(["keys", "rewrap", "--data", str(tmp_path)]) == 1
    assert "name its file in vault.earlier_key_files" in capsys.readouterr().err
    monkeypatch.setenv("CHARTLOOP_VAULT__EARLIER_KEY_FILES", json.dumps([str(old)]))
    assert run(["keys", "rewrap", "--data", str(tmp_path)]) == 0
    assert "3 data keys are wrapped anew" in capsys.readouterr().out
    monkeypatch.delenv("CHARTLOOP_VAULT__EARLIER_KEY_FILES")
    old.unlink()
    assert b"zanzibarquill" in read(tmp_path)


def test_every_command_has_help():
    assert sorted(command.keys.commands) == ["destroy", "list", "new", "rewrap", "rotate", "seal"]
