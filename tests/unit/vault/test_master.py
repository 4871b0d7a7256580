"""The master key: where it may come from, and what is refused."""

import base64
import os
import shlex
import stat
import sys

import pytest
from pydantic import SecretStr

from chartloop.kernel.errors import Unavailable
from chartloop.kernel.settings_sections import VaultSettings
from chartloop.kernel.vault.envelope import Altered
from chartloop.kernel.vault.master import Master, new_key, open_masters

KEY = bytes(range(32))
TEXT = base64.b64encode(KEY).decode()


def opened(tmp_path, *, first=False, **settings):
    return open_masters(VaultSettings(**settings), tmp_path / "keys", first=first)


def test_the_first_start_makes_a_key_file_that_its_owner_alone_can_read(tmp_path):
    made = opened(tmp_path, first=True).current
    file = tmp_path / "keys" / "vault.key"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(base64.b64decode(file.read_text())) == 32
    assert opened(tmp_path).current.fingerprint == made.fingerprint


def test_a_key_file_that_is_gone_is_never_made_again(tmp_path):
    with pytest.raises(Unavailable, match=r"keys/vault\.key cannot be read"):
        opened(tmp_path)
    assert not (tmp_path / "keys").exists()


def test_a_key_file_that_was_named_is_not_made(tmp_path):
    with pytest.raises(Unavailable, match="chartloop keys new"):
        opened(tmp_path, first=True, key_file=tmp_path / "mounted" / "vault.key")


@pytest.mark.conformance("Encryption at rest", "a master key file that others than its owner can read is refused")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_key_file_that_others_can_read_is_refused(tmp_path, mode):
    file = tmp_path / "vault.key"
    file.write_bytes(new_key())
    file.chmod(mode)
    with pytest.raises(Unavailable, match="can be read by others"):
        opened(tmp_path, key_file=file)


@pytest.mark.parametrize("written", [TEXT, TEXT + "\n", KEY.hex()])
def test_a_key_is_read_from_file_environment_or_command_alike(tmp_path, written):
    file = tmp_path / "vault.key"
    file.write_text(written)
    file.chmod(0o600)
    command = shlex.join([sys.executable, "-c", f"print({written!r}, end='')"])
    fingerprints = {opened(tmp_path, **given).current.fingerprint for given in ({"key_file": file}, {"key": SecretStr(written)}, {"command": command})}
    assert fingerprints == {Master(KEY).fingerprint}


@pytest.mark.parametrize("written", ["", "short", base64.b64encode(bytes(16)).decode(), "z" * 64])
def test_what_is_no_key_is_refused_without_being_shown(tmp_path, written):
    command = shlex.join([sys.executable, "-c", f"print({written!r}, end='')"])
    with pytest.raises(Unavailable) as refused:
        opened(tmp_path, command=command)
    assert not written or written not in str(refused.value)


@pytest.mark.parametrize("command", ["/does/not/exist", f"{sys.executable} -c 'raise SystemExit(3)'", "'unfinished"])
def test_a_command_that_fails_says_so_in_one_sentence(tmp_path, command):
    with pytest.raises(Unavailable, match=r"vault\.command gave no master key"):
        opened(tmp_path, command=command)


def test_a_data_key_is_unwrapped_by_its_own_master_and_scope_alone():
    master, key = Master(KEY), os.urandom(32)
    wrapped = master.wrap(key, "Patient/1")
    assert master.unwrap(wrapped, "Patient/1") == key
    for other, scope in ((master, "Patient/2"), (Master(bytes(32)), "Patient/1")):
        with pytest.raises(Altered):
            other.unwrap(wrapped, scope)
    with pytest.raises(Altered):
        master.unwrap(wrapped[:-1] + bytes([wrapped[-1] ^ 1]), "Patient/1")


def test_the_fingerprint_tells_nothing_that_wraps():
    assert Master(KEY).fingerprint not in KEY.hex()
    assert len(Master(KEY).fingerprint) == 12
