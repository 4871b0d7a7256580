"""Keys: made, retired, wrapped anew, missed; a key that is not there is said at the start, by its name."""

import re

import pytest

from chartloop.kernel.clock import FakeClock
from chartloop.kernel.errors import Unavailable
from chartloop.kernel.settings_sections import VaultSettings
from chartloop.kernel.vault import data_keys
from chartloop.kernel.vault.envelope import MOST_USES, Altered
from chartloop.kernel.vault.master import new_key
from chartloop.kernel.vault.rewrapping import rewrap_all
from chartloop.sealed import seal_everything
from fhir_server.resealing import seal_bodies
from tests.integration.vault.conftest import NARRATIVE, OPERATOR


def key_file(path):
    path.write_bytes(new_key())
    path.chmod(0o600)
    return path


def keys_of(world, scope):
    return world.rows("SELECT id, retired, used FROM data_key WHERE scope = ? ORDER BY created", scope)


def test_a_second_process_uses_the_keys_of_the_first(world):
    id_ = world.write()
    before = world.rows("SELECT id FROM data_key")
    assert world.open().text(id_) == NARRATIVE
    world.write()
    assert world.rows("SELECT id FROM data_key") == before


def test_a_write_that_fails_leaves_no_key_and_the_next_one_is_read_by_everybody(world):
    def fail(tx):
        raise RuntimeError

    with pytest.raises(RuntimeError):
        world.repository.create(OPERATOR, {"resourceType": "Patient", "id": "x"}, also=fail)
    assert [scope for (scope,) in world.rows("SELECT scope FROM data_key ORDER BY created")] == ["store", "audit"]
    id_ = world.write()
    assert world.open().text(id_) == NARRATIVE


@pytest.mark.conformance("Encryption at rest", "a master key that is missing is said at the start, by its fingerprint, with what to do")
def test_a_start_without_the_master_key_says_which_one_is_missing(world, tmp_path):
    ((fingerprint,),) = world.rows("SELECT DISTINCT master FROM data_key")
    with pytest.raises(Unavailable, match=rf"master key {fingerprint} is missing: 2 data keys are wrapped with it"):
        world.open(key_file=key_file(tmp_path / "other.key"))
    (world.data / "keys" / "vault.key").unlink()
    for mode in ("on", "off"):
        with pytest.raises(Unavailable, match=r"vault\.key cannot be read"):
            world.open(mode=mode)


def test_a_data_key_that_is_missing_is_named(world):
    id_ = world.write()
    world.change("DELETE FROM data_key WHERE scope = 'Patient/p1'")
    with pytest.raises(Unavailable, match=r"Data key \d+ is missing"):
        world.open().text(id_)


def test_a_wrapped_key_that_was_put_under_another_scope_is_refused(world):
    id_ = world.write()
    world.change("UPDATE data_key SET wrapped = (SELECT k.wrapped FROM data_key k WHERE k.scope = 'store') WHERE scope = 'Patient/p1'")
    with pytest.raises(Altered):
        world.open().text(id_)


@pytest.mark.conformance("Encryption at rest", "rotated: new writes are sealed with new data keys, old ones still open, and `seal --retired` leaves none of them in use")
def test_after_a_rotation_new_keys_seal_and_old_ones_open(world):
    old = world.write()
    world.database.write(lambda tx: data_keys.retire(tx, "*", 5))
    world.vault.refresh()
    new = world.write()
    assert [len(keys_of(world, scope)) for scope in ("store", "audit", "Patient/p1")] == [2, 2, 2]
    assert (world.text(old), world.text(new)) == (NARRATIVE, NARRATIVE)
    assert max(each.sealed for each in seal_everything(world.database, world.store, retired=True)) == 2
    world.change("DELETE FROM data_key WHERE scope = 'Patient/p1' AND retired > 0")
    assert world.open().text(old) == NARRATIVE
    assert list(seal_bodies(world.store, frozenset()))[-1].sealed == 0


@pytest.mark.conformance("Encryption at rest", "rewrapped: after `keys rewrap` the old master key opens nothing and is not needed")
def test_after_rewrapping_the_old_master_key_is_not_needed(world, tmp_path):
    id_, old, new = world.write(), world.data / "keys" / "vault.key", key_file(tmp_path / "new.key")
    world.open(key_file=new, earlier_key_files=(old,))
    world.write("p2")
    assert rewrap_all(world.database, VaultSettings(key_file=new, earlier_key_files=(old,)), world.data / "keys") == 3
    old.unlink()
    assert world.open(key_file=new).text(id_) == NARRATIVE
    assert len(world.rows("SELECT DISTINCT master FROM data_key")) == 1


def test_uses_are_counted_and_a_tired_key_is_retired(world):
    for _ in range(3):
        world.write()
    world.vault.refresh()
    ((number, retired, used),) = keys_of(world, "audit")
    assert (retired, used >= 4) == (0, True)
    world.change("UPDATE data_key SET used = ? WHERE id = ?", MOST_USES // 2 + 1, number)
    world.vault.refresh()
    world.vault.refresh()
    assert [bool(retired) for _, retired, _ in keys_of(world, "audit")] == [True, False]
    assert world.verified().problems == ()


def test_an_old_key_is_retired_by_its_age(world, fake_clock: FakeClock):
    world.change("UPDATE data_key SET created = 0 WHERE scope = 'store'")
    world.open(rotate_days=30.0)
    assert [bool(retired) for _, retired, _ in keys_of(world, "store")] == [True, False]


def test_no_key_lies_in_the_database_in_clear(world):
    id_ = world.write()
    key = world.vault.unwrapped(data_keys.DataKey(*world.rows("SELECT id, scope, algorithm, master, wrapped, created, retired, destroyed, used FROM data_key WHERE scope = 'Patient/p1'")[0]))
    assert len(key) == 32
    assert key not in bytes(world.rows("SELECT wrapped FROM data_key WHERE scope = 'Patient/p1'")[0][0])
    assert re.fullmatch(r"[0-9a-f]{12}", world.rows("SELECT master FROM data_key WHERE scope = 'Patient/p1'")[0][0])
    assert world.text(id_) == NARRATIVE


@pytest.mark.conformance("Encryption at rest", "the audit log is verified after its keys were retired, on both databases")
def test_a_log_whose_keys_were_retired_is_verified(world):
    world.write()
    world.seal_log()
    world.database.write(lambda tx: data_keys.retire(tx, "audit", 1))
    world.open().write()
    world.seal_log()
    world.open()  # as a process that has opened none of them yet
    report = world.verified()
    assert (report.problems, report.unsealed) == ((), 0)
