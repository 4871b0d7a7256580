"""MLLP over a real socket: every framing, many connections, every fault."""

import socket
import threading
import time

import pytest

from chartloop.demo.mllp_client import MllpClient, MllpFailed
from tests.unit.ingest.messages import A03, A04, DFT, MDM


class Recorder:
    """Takes messages and answers with their length."""

    def __init__(self):
        self.bodies = []
        self.refused = []

    def receive(self, raw):
        self.bodies.append(raw)
        return b"MSH|^~\\&|\rMSA|AA|%d\r" % len(raw)

    def refuse(self, raw, reason, *, keep):
        self.refused.append((raw, reason, keep))
        return b"MSH|^~\\&|\rMSA|AE|\r"


def connect(port):
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def read_to_end(connection):
    data = b""
    while chunk := connection.recv(65536):
        data += chunk
    return data


@pytest.mark.conformance("The loop", "2 Messages: ADT, DFT and MDM arrive over a real MLLP socket; UTF-8 names work")
@pytest.mark.conformance("HL7 v2", "ADT, DFT and MDM are taken over MLLP with UTF-8 names")
def test_the_messages_of_a_visit_are_taken_over_one_connection(database, intake, listen):
    with MllpClient("127.0.0.1", listen(intake)) as client:
        for message in (A04, MDM, DFT, A03, A04):
            assert client.deliver(message).code == "AA"
    with database.read() as session:
        assert session.one("SELECT COUNT(*) FROM hl7_message") == (4,)
        assert "Müller-Łukasz".encode() in bytes(session.one("SELECT body FROM hl7_message")[0])


def test_a_refusal_carries_positions_and_no_content(intake, listen):
    with MllpClient("127.0.0.1", listen(intake)) as client, pytest.raises(MllpFailed, match="AE: PID\\^1\\^3 101") as failed:
        client.deliver(A04.replace("100^^^HILL^MR", ""))
    assert "Zoë" not in str(failed.value)


@pytest.mark.conformance("HL7 v2", "MLLP: frames are the same however the stream is cut")
def test_a_message_may_arrive_cut_at_every_byte(listen):
    recorder = Recorder()
    stream = b"\x0bMSH|^~\\&|a\r\x1c\r\x0bMSH|b\r\x1c\r"
    port = listen(recorder)
    for cut in range(1, len(stream)):
        with connect(port) as connection:
            connection.sendall(stream[:cut])
            connection.sendall(stream[cut:])
            connection.shutdown(socket.SHUT_WR)
            assert read_to_end(connection).count(b"MSA|AA") == 2
    assert recorder.refused == []
    with connect(port) as connection:
        for place in range(len(stream)):
            connection.sendall(stream[place : place + 1])
            time.sleep(0.001)
        connection.shutdown(socket.SHUT_WR)
        assert read_to_end(connection).count(b"MSA|AA") == 2


@pytest.mark.conformance("Attacks", "93: MLLP without an end block is answered")
@pytest.mark.conformance("HL7 v2", "MLLP: a message without an end block is answered and kept")
def test_a_message_without_an_end_block_is_answered_when_the_connection_ends(listen):
    recorder = Recorder()
    with connect(listen(recorder)) as connection:
        connection.sendall(b"\x0bMSH|half")
        connection.shutdown(socket.SHUT_WR)
        assert b"MSA|AE" in read_to_end(connection)
    assert (recorder.bodies, recorder.refused) == ([], [(b"MSH|half", "the message has no end block", True)])


@pytest.mark.conformance("Attacks", "93: a message without an end block is answered when the sender falls silent")
@pytest.mark.conformance("HL7 v2", "MLLP: a message without an end block is answered and kept")
def test_a_message_without_an_end_block_is_answered_when_the_sender_falls_silent(listen):
    recorder = Recorder()
    with connect(listen(recorder, idle_timeout_s=0.2)) as connection:
        connection.sendall(b"\x0bMSH|half")
        assert b"MSA|AE" in read_to_end(connection)
    assert recorder.refused[0][0] == b"MSH|half"


def test_a_new_message_inside_an_unfinished_one_is_taken_and_the_other_refused(listen):
    recorder = Recorder()
    with connect(listen(recorder)) as connection:
        connection.sendall(b"\x0bMSH|half\x0bMSH|whole\x1c\r")
        connection.shutdown(socket.SHUT_WR)
        answer = read_to_end(connection)
    assert answer.index(b"MSA|AE") < answer.index(b"MSA|AA")
    assert recorder.bodies == [b"MSH|whole"]


def test_bytes_outside_of_blocks_are_answered_and_end_the_connection(listen):
    recorder = Recorder()
    with connect(listen(recorder)) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert b"MSA|AE" in read_to_end(connection)
    assert recorder.refused == [(b"GET / HTTP/1.1\r\n\r\n", "there are bytes outside of a start and an end block", False)]


@pytest.mark.conformance("Attacks", "93: an MLLP message that is too long is answered and ends the connection")
def test_a_message_that_is_too_long_is_answered_and_ends_the_connection(listen):
    recorder = Recorder()
    with connect(listen(recorder, max_bytes=1000)) as connection:
        connection.sendall(b"\x0bMSH|" + b"x" * 5000)
        assert b"MSA|AE" in read_to_end(connection)
    assert (recorder.bodies, recorder.refused[0][1:]) == ([], ("the message is longer than 1000 bytes", False))


@pytest.mark.conformance("HL7 v2", "MLLP: connections are limited, and silent ones are closed")
def test_a_silent_connection_is_closed(listen):
    with connect(listen(Recorder(), idle_timeout_s=0.2)) as connection:
        assert read_to_end(connection) == b""


@pytest.mark.conformance("HL7 v2", "MLLP: connections are limited, and silent ones are closed")
def test_connections_over_the_limit_are_closed_at_once(listen):
    port = listen(Recorder(), max_connections=1)
    with connect(port) as first:
        first.sendall(b"\x0bMSH|a\x1c\r")
        assert b"AA" in first.recv(100)
        with connect(port) as second:
            assert read_to_end(second) == b""
        first.sendall(b"\x0bMSH|b\x1c\r")
        assert b"AA" in first.recv(100)


@pytest.mark.conformance("HL7 v2", "MLLP: eight connections are served side by side")
def test_eight_connections_are_served_side_by_side(database, intake, listen):
    port = listen(intake)

    def send(number):
        with MllpClient("127.0.0.1", port) as client:
            for message in range(10):
                client.deliver(A04.replace("|M1|", f"|{number}-{message}|"))

    threads = [threading.Thread(target=send, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as session:
        assert session.one("SELECT COUNT(*) FROM hl7_message WHERE state = 'accepted'") == (80,)
