"""Messages that are broken in every way: an answer that says where, the raw kept, nothing in the store, the next one works."""

import json
import socket
from contextlib import closing

import pytest

from chartloop.demo.messages import visit_messages
from chartloop.demo.mllp_client import MllpClient
from chartloop.kernel.config import load_settings
from chartloop.kernel.db import open_database
from chartloop.kernel.vault.opening import open_vault
from ingest.message_log import load
from tests.integration.product.clinic import SYSTEM, Clinic, until

OPEN_LETTERS = f"Task?code={SYSTEM}/CodeSystem/task|dead-letter"


@pytest.fixture
def visit(shared_clinic):
    return shared_clinic.population.visits[0]


def exchange(clinic: Clinic, frame: bytes) -> str:
    """Send bytes as they are, say that nothing follows, and read whatever comes back."""
    with socket.create_connection(("127.0.0.1", clinic.mllp_port), timeout=30) as connection:
        connection.sendall(frame)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while chunk := connection.recv(65_536):
            answer += chunk
    return answer.decode("latin-1")


def framed(message: str | bytes) -> bytes:
    return b"\x0b" + (message.encode() if isinstance(message, str) else message) + b"\x1c\r"


def counts(clinic: Clinic) -> list[int]:
    operator = clinic.as_role("operator")
    return [operator.total(type_) for type_ in ("Patient", "Encounter", "DocumentReference", "ChargeItem")]


def kept(clinic: Clinic, needle: bytes) -> int:
    """How many raw messages hold some bytes; the log has no page, so this opens the store with its key, as an operator may."""
    settings = load_settings({"data": clinic.data})
    with closing(open_database(settings.database_url)) as database:
        open_vault(database, settings.vault, settings.keys)
        with database.read() as session:
            return sum(needle in message.body for (number,) in session.all("SELECT id FROM hl7_message") if (message := load(session, number)))


def broken(text: str, kind: str, control_id: str) -> bytes:
    header = text.split("\r", maxsplit=1)[0].split("|")
    fresh = text.replace(f"|{header[9]}|", f"|{control_id}|", 1)
    match kind:
        case "no patient":
            return fresh.replace(next(line for line in fresh.split("\r") if line.startswith("PID")) + "\r", "").encode()
        case "no header":
            return ("PID|1||" + control_id + "\r").encode()
        case "unknown type":
            return fresh.replace(header[8], "ZZZ^Z99^ZZZ_Z99", 1).encode()
        case "unknown trigger":
            return fresh.replace(header[8], "ADT^A99^ADT_A99", 1).encode()
        case "unknown version":
            return fresh.replace("|2.5.1|", "|9.9|", 1).encode()
        case "unknown charset":
            return fresh.replace("UNICODE UTF-8", "KLINGON", 1).encode()
        case "bytes of another charset":
            return fresh.encode().replace(b"PID|1|", b"PID|1|\xff\xfe\x80", 1)
        case _:
            raise KeyError(kind)


@pytest.mark.parametrize("kind", ["no patient", "no header", "unknown type", "unknown trigger", "unknown version"])
@pytest.mark.conformance("Faults", "a malformed HL7 message gets AE or AR with ERR, its bytes are kept, nothing reaches the store, and the next message works")
def test_a_broken_message_is_refused_kept_and_forgotten(shared_clinic, visit, kind):
    before, control_id = counts(shared_clinic), f"broken-{kind.replace(' ', '-')}"
    good = visit_messages(visit)[0].text
    with MllpClient("127.0.0.1", shared_clinic.mllp_port) as client:
        answer = exchange(shared_clinic, framed(broken(good, kind, control_id)))
        segments = [line.split("|") for line in answer.strip("\x0b\x1c\r").split("\r")]
        assert next(line[1] for line in segments if line[0] == "MSA") in ("AE", "AR")
        assert any(line[0] == "ERR" for line in segments)
        assert visit.person.family not in answer
        assert kept(shared_clinic, control_id.encode()) == 1
        assert client.send(good).accepted
    until(lambda: shared_clinic.as_role("operator").total("Encounter") >= 1, "the good message to be mapped")
    assert kept(shared_clinic, control_id.encode()) == 1
    assert counts(shared_clinic)[2:] == before[2:]


@pytest.mark.parametrize("kind", ["unknown charset", "bytes of another charset"])
@pytest.mark.conformance("Faults", "a message in another character set than it says is taken with a warning in ERR that names MSH-18, and its bytes are kept as they came")
def test_a_wrong_character_set_is_told_and_no_byte_is_lost(shared_clinic, visit, kind):
    raw = broken(visit_messages(visit)[0].text, kind, f"charset-{kind.replace(' ', '-')}")
    answer = exchange(shared_clinic, framed(raw))
    errors = [line.split("|") for line in answer.split("\r") if line.startswith("ERR")]
    assert [(error[2], error[4]) for error in errors] == [("MSH^1^18", "W")]
    assert kept(shared_clinic, raw) == 1


@pytest.mark.conformance("Faults", "a truncated HL7 message is refused and kept, and nothing reaches the store")
def test_a_truncated_message_is_refused_and_kept(shared_clinic, visit):
    text = visit_messages(visit)[2].text.replace("-3|", "-truncated|", 1)
    before = counts(shared_clinic)
    answer = exchange(shared_clinic, framed(text)[:-200])
    assert "MSA|AE" in answer
    assert "ERR|" in answer
    assert kept(shared_clinic, text[:60].encode()) == 1
    assert counts(shared_clinic) == before


@pytest.mark.conformance("Faults", "bytes that are no HL7 message leave the listener alive")
@pytest.mark.parametrize("noise", [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x00" * 1000, b"\x0b\x1c\r", b"\x0bMSH\x1c\r", b"\x16\x03\x01\x02\x00\x01\x00"])
def test_what_is_no_message_at_all_is_answered_and_the_listener_lives(shared_clinic, visit, noise):
    answer = exchange(shared_clinic, noise)
    assert "MSA|A" not in answer or "MSA|AA" not in answer
    with MllpClient("127.0.0.1", shared_clinic.mllp_port) as client:
        assert client.send(visit_messages(visit)[0].text).accepted


def unmappable(clinic: Clinic, control_id: str) -> str:
    """Structurally whole, so it is accepted; but a charge has no code, and no mapping can invent one."""
    visit = clinic.population.visits[1]
    text = visit_messages(visit)[3].text
    header = text.split("\r")[0].split("|")
    lines = [line for line in text.replace(f"|{header[9]}|", f"|{control_id}|", 1).split("\r") if line]
    charges = [line.split("|") for line in lines if line.startswith("FT1")]
    charges[0][7] = ""
    charges[0][25:26] = [""] * len(charges[0][25:26])
    return "\r".join([line for line in lines if not line.startswith("FT1")] + ["|".join(charge) for charge in charges]) + "\r"


@pytest.mark.conformance("The loop", "2 Messages: a mapping failure is a dead letter that an operator sees")
@pytest.mark.conformance("Command line", "events dlq list, show, retry and drop")
@pytest.mark.long
@pytest.mark.conformance("Faults", "a message that cannot be mapped becomes a dead letter and a Task for an operator, without patient text; a retry is tried again")
def test_a_message_that_cannot_be_mapped_is_a_dead_letter_that_an_operator_sees_and_retries(shared_clinic):
    clinic, person = shared_clinic, shared_clinic.population.visits[1].person
    before = clinic.as_role("operator").total("ChargeItem")
    with MllpClient("127.0.0.1", clinic.mllp_port) as client:
        assert client.send(unmappable(clinic, "unmappable-1")).accepted
    operator = clinic.as_role("operator")
    task = until(lambda: next(iter(operator.each(OPEN_LETTERS)), None), "the Task of the dead letter", timeout_s=60)
    letters = json.loads(clinic.chartloop("events", "dlq", "list", "--json"))
    assert [(letter["consumer"], letter["type"]) for letter in letters] == [("hl7-messages", "MessageReceived")]
    assert "FT1" in letters[0]["reason"]
    assert task["identifier"][0]["value"] == letters[0]["id"]
    seen = json.dumps(task) + json.dumps(letters) + clinic.chartloop("events", "dlq", "show", letters[0]["id"])
    assert not any(word in seen for word in (person.family, person.given[0], person.mrn, person.line))
    assert operator.total("ChargeItem") == before

    clinic.chartloop("events", "dlq", "retry", letters[0]["id"])
    again = until(lambda: [letter for letter in json.loads(clinic.chartloop("events", "dlq", "list", "--json")) if letter["id"] != letters[0]["id"]], "the letter to come back", timeout_s=60)
    assert again[0]["subject"] == letters[0]["subject"]

    # The key waits behind its letter; dropped, the next message of this patient goes on.
    clinic.chartloop("events", "dlq", "drop", again[0]["id"], "--yes")
    with MllpClient("127.0.0.1", clinic.mllp_port) as client:
        client.deliver(visit_messages(clinic.population.visits[1])[3].text)
    until(lambda: operator.total("ChargeItem") > before, "the corrected message to be mapped", timeout_s=60)
    assert json.loads(clinic.chartloop("events", "dlq", "list", "--json")) == []
