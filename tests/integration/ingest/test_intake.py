"""Messages are durable before they are acknowledged, and the same message counts once."""

import re
import threading

import pytest

from chartloop.kernel.audit.journal import Audit
from chartloop.kernel.broker_table import TableBus
from chartloop.kernel.db import create_tables, open_database
from chartloop.kernel.outbox import Outbox
from ingest.intake import Intake
from ingest.message_log import counts
from tests.unit.ingest.messages import A04, MDM


def rows(database, sql="SELECT state, control_id, body, ack, reused, problems FROM hl7_message ORDER BY id"):
    with database.read() as session:
        return session.all(sql)


def events(database):
    return rows(database, "SELECT subject, key FROM event WHERE type = 'MessageReceived' ORDER BY seq")


def code(ack):
    return ack.split(b"\rMSA|")[1][:2].decode()


@pytest.mark.conformance("The loop", "2 Messages: raw bytes are durable and structurally checked before the ACK")
@pytest.mark.conformance("HL7 v2", "A message is stored, checked and announced before AA")
def test_an_accepted_message_is_kept_with_its_answer_and_announced(database, intake):
    ack = intake.receive(A04.encode())
    assert code(ack) == "AA"
    assert [(r[0], r[1], bytes(r[2]), bytes(r[3]), r[4]) for r in rows(database)] == [("accepted", "M1", A04.encode(), ack, 0)]
    assert [subject for subject, _ in events(database)] == ["hl7-message/1"]


@pytest.mark.conformance("The loop", "2 Messages: a repeated message changes nothing")
@pytest.mark.conformance("HL7 v2", "A repeated message gets the first answer and changes nothing")
def test_a_repeated_message_gets_the_same_answer_and_changes_nothing(database, intake):
    first = intake.receive(A04.encode())
    assert intake.receive(A04.encode()) == first
    assert len(rows(database)) == len(events(database)) == 1


@pytest.mark.conformance("HL7 v2", "A control id that comes again with another content is processed and flagged")
def test_a_control_id_that_comes_again_with_another_content_is_processed_and_flagged(database, intake):
    intake.receive(A04.encode())
    assert code(intake.receive(A04.replace("Springfield", "Shelbyville").encode())) == "AA"
    assert [r[4] for r in rows(database)] == [0, 1]
    assert len(events(database)) == 2


@pytest.mark.conformance("HL7 v2", "Messages of one patient share an ordering key")
def test_messages_of_one_patient_share_an_ordering_key_and_others_do_not(database, intake):
    intake.receive(A04.encode())
    intake.receive(MDM.encode())
    intake.receive(A04.replace("|M1|", "|M9|").replace("100^^^HILL", "101^^^HILL").encode())
    first, second, third = (key for _, key in events(database))
    assert first == second != third
    assert re.fullmatch("[0-9a-f]{32}", first), "a keyed hash, not the number of the patient"


@pytest.mark.conformance("The loop", "2 Messages: what is refused gets AE or AR with ERR, and the raw is kept")
@pytest.mark.conformance("HL7 v2", "A message that is refused is kept with its findings")
def test_a_refused_message_is_kept_with_its_findings_and_not_announced(database, intake):
    ack = intake.receive(A04.replace("ADT^A04", "ORM^O01").encode())
    assert code(ack) == "AR"
    assert b"ERR||MSH^1^9^1^1|200^" in ack
    assert [(r[0], r[5]) for r in rows(database)] == [("rejected", "E 200 MSH^1^9^1^1 message types taken: ADT, DFT, MDM, ORU")]
    assert events(database) == []
    assert intake.receive(A04.replace("ADT^A04", "ORM^O01").encode()) == ack
    assert len(rows(database)) == 1


def test_garbage_is_answered_and_kept(database, intake):
    ack = intake.receive(b"\x00\xff what is this")
    assert code(ack) == "AE"
    assert bytes(rows(database)[0][2]) == b"\x00\xff what is this"


def test_an_acknowledgment_is_never_acknowledged(database, intake):
    ack = intake.receive(A04.encode())
    assert intake.receive(ack) == b""
    assert len(rows(database)) == 1


@pytest.mark.conformance("HL7 v2", "Racing copies of one message count once")
def test_racing_copies_of_one_message_count_once(database, intake):
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(intake.receive(A04.encode()))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(answers)) == 1
    assert len(rows(database)) == len(events(database)) == 1


def test_states_are_counted_with_zeroes(database, intake):
    intake.receive(A04.encode())
    with database.read() as session:
        assert counts(session) == {"accepted": 1, "rejected": 0, "mapped": 0, "failed": 0}


@pytest.mark.conformance("HL7 v2", "A message that cannot be stored is answered AE and may be sent again")
def test_on_a_full_disk_the_sender_is_told_to_send_again_and_nothing_is_half_kept(tmp_path):
    database = open_database(f"sqlite:///{tmp_path / 'full.sqlite3'}")
    create_tables(database)
    intake = Intake(database, Outbox(TableBus(database), b"secret"), Audit(tmp_path))
    pages = database.write(lambda tx: tx.one("PRAGMA page_count"))[0]
    database.write(lambda tx: tx.all(f"PRAGMA max_page_count = {pages + 2}"))
    big = MDM.replace("Zoë is well.", "x" * 20000)
    ack = intake.receive(big.encode())
    assert code(ack) == "AE"
    assert b"207^Application internal error" in ack
    assert rows(database) == events(database) == []
    database.write(lambda tx: tx.all("PRAGMA max_page_count = 1000000"))
    assert code(intake.receive(big.encode())) == "AA"
    assert len(rows(database)) == len(events(database)) == 1
    database.close()
