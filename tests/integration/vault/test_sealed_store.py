"""Bodies and audit records are sealed; what is sealed is read by nobody without the keys, and nowhere but in its own row."""

import threading

import pytest

from chartloop.kernel.audit.journal import audit_directory
from chartloop.kernel.audit.reading import sealed_records
from chartloop.kernel.audit.segment import segments
from chartloop.kernel.errors import Gone, Unavailable
from chartloop.kernel.vault.envelope import Altered
from chartloop.kernel.vault.vault import Destroyed
from chartloop.sealed import COLUMNS, seal_everything
from fhir_server.codec import SEALED
from tests.integration.vault.conftest import NARRATIVE, OPERATOR


@pytest.mark.conformance("Encryption at rest", "stored bodies are sealed with AES-256-GCM under a key of their patient, and are read as before")
def test_a_stored_body_is_sealed_and_read_as_before(world):
    id_ = world.write()
    bodies = world.rows("SELECT codec, body FROM version")
    assert [codec & SEALED for codec, _ in bodies] == [SEALED, SEALED]
    assert not any(b"zanzibarquill" in bytes(body) for _, body in bodies)
    assert world.text(id_) == NARRATIVE
    scopes = [scope for (scope,) in world.rows("SELECT scope FROM data_key ORDER BY created")]
    assert scopes == ["store", "audit", "Patient/p1"]


@pytest.mark.conformance("Encryption at rest", "a sealed body that is moved to another row is refused, not shown as that row's")
def test_a_body_that_was_moved_to_another_row_is_refused(world):
    one, other = world.write(text="of the one"), world.write(text="of the other")
    body = "(SELECT v.body FROM version v JOIN resource r ON r.rid = v.rid WHERE r.fhir_id = ?)"
    assert world.change(f"UPDATE version SET body = {body} WHERE rid = (SELECT rid FROM resource WHERE fhir_id = ?)", one, other) == 1
    assert world.text(one) == "of the one"
    with pytest.raises(Altered):
        world.text(other)


def test_a_vault_that_is_switched_off_still_reads_and_one_that_is_switched_on_reads_what_was_before(world):
    sealed = world.write()
    clear = world.open(mode="off").write(text="in clear")
    assert [codec & SEALED for (codec,) in world.rows("SELECT codec FROM version ORDER BY updated")] == [SEALED, SEALED, 0]
    assert (world.text(sealed), world.text(clear)) == (NARRATIVE, "in clear")
    assert (world.open().text(sealed), world.text(clear)) == (NARRATIVE, "in clear")


@pytest.mark.conformance("Encryption at rest", "what was stored in clear is sealed in short transactions by `chartloop keys seal`, columns outside the resources too")
def test_what_was_stored_in_clear_is_sealed_afterwards(world):
    world.open(mode="off")
    id_ = world.write()
    world.repository.delete(OPERATOR, "Observation", world.write(text="deleted"))
    message = "INSERT INTO hl7_message (received, source, control_id, sha256, type, charset, body, ack, state, reused, problems) VALUES (1, 's', 'c', ?, '', '', ?, ?, 'mapped', 0, '')"
    world.change(message, bytes(32), b"MSH|zanzibarquill", b"")
    world.change("INSERT INTO claim_answer (claim, fact, interchange, kind, recorded, data) VALUES ('Claim/1', 'f', 1, 'k', 1, 'zanzibarquill')")
    world.open()
    progress = list(seal_everything(world.database, world.store, retired=False))
    assert {(each.table, each.sealed) for each in progress} == {("version.body", 3), ("hl7_message.body", 1), ("claim_answer.data", 1)}
    assert sorted(codec & SEALED for (codec,) in world.rows("SELECT codec FROM version")) == [0, SEALED, SEALED, SEALED]  # the deletion has no body
    for column in COLUMNS:
        assert "zanzibarquill" not in repr([bytes(value) if not isinstance(value, str) else value for (value,) in world.rows(f"SELECT {column.column} FROM {column.table}")])
    assert world.text(id_) == NARRATIVE
    with world.database.read() as session:
        assert session.columns.kept(bytes(session.one("SELECT body FROM hl7_message")[0]), "hl7_message.body", bytes(32).hex()) == b"MSH|zanzibarquill"
        assert session.columns.kept_text(session.one("SELECT data FROM claim_answer")[0], "claim_answer.data", "Claim/1", "f") == "zanzibarquill"
    assert {each.sealed for each in seal_everything(world.database, world.store, retired=False)} == {0}
    world.seal_log()
    assert world.verified().problems == ()


@pytest.mark.conformance("Encryption at rest", "`audit verify` needs no key: leaves are over the sealed bytes; readers need it")
def test_the_log_is_verified_without_a_key_and_read_with_it(world):
    world.text(world.write())
    world.seal_log()
    assert world.verified().problems == ()
    journal = b"".join(file.read_bytes() for file in segments(audit_directory(world.data)))
    stored = b"".join(bytes(body) for (body,) in world.rows("SELECT body FROM audit_change"))
    assert b"Observation" not in journal + stored
    with world.database.read() as session:
        assert b"Observation" in sealed_records(session, audit_directory(world.data), None, 1)[0].body
        world.database.columns.vault = None
        with pytest.raises(Unavailable):
            sealed_records(session, audit_directory(world.data), None, 1)
    assert world.verified(with_key=False).ok


def test_a_sealed_record_that_was_altered_is_found_without_a_key(world):
    world.write()
    world.seal_log()
    ((body,),) = world.rows("SELECT body FROM audit_change WHERE seq = 1")
    world.change("UPDATE audit_change SET body = ? WHERE seq = 1", bytes(body)[:-1] + bytes([bytes(body)[-1] ^ 1]))
    assert world.verified(with_key=False).first_bad == 1


def destroy(world, patient):
    world.change("UPDATE data_key SET wrapped = ?, master = '', destroyed = ?, retired = 1 WHERE scope = ?", b"", 2**60, patient)
    world.open()


@pytest.mark.conformance("Attacks", "81: a patient whose key was destroyed is gone and the log verifies")
@pytest.mark.conformance("Encryption at rest", "attack 81: a patient's key is destroyed: no version is readable, others are, and the log still verifies")
def test_a_patient_whose_key_was_destroyed_is_gone_and_the_log_verifies(world):
    gone, stays = world.write("p1"), world.write("p2", text="stays")
    world.repository.delete(OPERATOR, "Observation", gone)
    destroy(world, "Patient/p1")
    with pytest.raises(Gone):
        world.repository.read(OPERATOR, "Observation", gone)
    with pytest.raises(Destroyed):
        world.repository.vread(OPERATOR, "Observation", gone, 1)
    entries = world.repository.history(OPERATOR, "Observation", gone).entries
    assert [(each.version, each.deleted, each.body) for each in entries] == [(2, True, b""), (1, True, b"")]
    assert world.text(stays) == "stays"
    world.seal_log()
    assert world.verified().problems == ()


def test_writers_of_many_patients_at_once_read_what_they_wrote(world):
    wrong = []

    def work(number):
        try:
            ids = [(world.write(f"p{number % 3}", text=f"{number} {turn}"), f"{number} {turn}") for turn in range(4)]
            wrong.extend(id_ for id_, text in ids if world.text(id_) != text)
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert world.open().verified().problems == ()
