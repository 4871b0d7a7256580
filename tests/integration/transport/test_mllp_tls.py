"""MLLP over TLS: who has the right certificate is heard, everybody else gets no answer and leaves no message."""

from __future__ import annotations

import os
import socket
import ssl
import warnings

import pytest

from chartloop.kernel.errors import Invalid
from chartloop.kernel.settings_sections import MllpSettings
from chartloop.securing import mllp_tls
from ingest.hl7v2.framing import frame
from ingest.mllp import MllpServer
from tests.integration.transport.certificates import Authority

MESSAGE = b"MSH|^~\\&|LAB|H|EHR|H|20261122||ORU^R01|1|P|2.5.1\r"


class Heard:
    """A receiver that answers everything, and remembers it."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []

    def receive(self, raw: bytes) -> bytes:
        self.messages.append(raw)
        return b"MSA|AA"

    def refuse(self, raw: bytes, reason: str, *, keep: bool) -> bytes:
        return b"MSA|AE"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"), "hospital")


@pytest.fixture
def listening(authority):
    """Start listeners with settings; give port and what they hear."""
    certificate, key = authority.issue("mllp.hospital.example")
    servers = []

    def start(**settings):
        made = MllpSettings(port=0, tls_certificate=certificate, tls_key=key, **settings)
        heard = Heard()
        servers.append(MllpServer(made, heard, tls=mllp_tls(made)))
        return servers[-1].start(), heard

    yield start
    for server in servers:
        server.stop()


def trusting(authority, pair=None):
    context = ssl.create_default_context(cafile=authority.file)
    if pair:
        context.load_cert_chain(*pair)
    return context


def say(port, context=None):
    """Send one message; give the answer, empty when the connection was closed instead."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        stream = context.wrap_socket(plain, server_hostname="127.0.0.1") if context else plain
        with stream:
            try:
                stream.sendall(frame(MESSAGE))
                return stream.recv(1000)
            except (ConnectionError, ssl.SSLError):
                return b""


def test_a_message_comes_over_tls(listening, authority):
    port, heard = listening()
    assert say(port, trusting(authority)) == frame(b"MSA|AA")
    assert heard.messages == [MESSAGE]


@pytest.mark.conformance("Transport", "plain text on the TLS port of MLLP is not answered and not kept")
def test_plain_text_on_the_tls_port_is_not_heard(listening, authority):
    port, heard = listening()
    assert not say(port).startswith(frame(b"MSA")[:1])
    assert heard.messages == []


@pytest.mark.conformance("Transport", "MLLP with tls_client_ca hears senders with a certificate of that authority; without one, of another authority, or expired: nothing")
def test_a_sender_needs_a_certificate_of_the_right_authority(listening, authority, tmp_path):
    port, heard = listening(tls_client_ca=authority.file)
    stranger = Authority(tmp_path, "stranger")
    assert say(port, trusting(authority, authority.issue("lab.hospital.example"))) == frame(b"MSA|AA")
    for pair in (None, stranger.issue("lab.hospital.example"), authority.issue("lab.hospital.example", days=-1, file="expired")):
        assert say(port, trusting(authority, pair)) == b""
    assert len(heard.messages) == 1


def test_of_those_only_the_named_ones_come_in(listening, authority, caplog):
    port, heard = listening(tls_client_ca=authority.file, tls_client_names=("lab.hospital.example",))
    assert say(port, trusting(authority, authority.issue("other.hospital.example"))) == b""
    assert say(port, trusting(authority, authority.issue("lab.hospital.example"))) == frame(b"MSA|AA")
    assert len(heard.messages) == 1
    assert [record.action for record in caplog.records if record.levelname == "WARNING"] == ["mllp.name_refused"]


@pytest.mark.conformance("Transport", "TLS 1.1 is refused by MLLP")
def test_tls_1_1_is_refused(listening, authority):
    port, heard = listening()
    context = trusting(authority)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError):
        say(port, context)
    assert heard.messages == []


def test_a_certificate_that_was_replaced_is_in_force_for_the_next_connection(listening, authority):
    port, _ = listening()
    first = serial(port, authority)
    certificate, key = authority.issue("mllp.hospital.example")
    os.utime(certificate, ns=(1, 1))
    second = serial(port, authority)
    assert first != second
    key.write_text("no key")
    assert serial(port, authority) == second, "the one before stays in force"


def serial(port, authority):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain, trusting(authority).wrap_socket(plain, server_hostname="127.0.0.1") as stream:
        return stream.getpeercert()["serialNumber"]


@pytest.mark.conformance("Transport", "MLLP and HTTP refuse to listen for other machines without TLS, unless a setting says that this is meant")
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "mllp.hospital.example"])
def test_in_the_open_without_tls_the_listener_does_not_start(host):
    with pytest.raises(Invalid, match=r"would travel in clear: set mllp\.tls_certificate"):
        mllp_tls(MllpSettings(host=host))
    assert mllp_tls(MllpSettings(host=host, insecure=True)) is None


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_on_loopback_it_does(host):
    assert mllp_tls(MllpSettings(host=host)) is None


def test_settings_that_do_not_make_tls_are_refused_in_one_sentence(authority, tmp_path):
    certificate, key = authority.issue("a.hospital.example")
    _, other = authority.issue("b.hospital.example")
    open_to_all = tmp_path / "open.key"
    open_to_all.write_bytes(key.read_bytes())
    open_to_all.chmod(0o644)
    for settings, said in (
        ({"tls_certificate": certificate}, "belong together"),
        ({"tls_client_ca": authority.file}, "must be set"),
        ({"tls_certificate": certificate, "tls_key": tmp_path / "gone"}, "there is no file"),
        ({"tls_certificate": certificate, "tls_key": other}, "do not make TLS"),
        ({"tls_certificate": certificate, "tls_key": open_to_all}, "everybody may read"),
        ({"tls_certificate": key, "tls_key": key}, "do not make TLS"),
    ):
        with pytest.raises(Invalid, match=said):
            mllp_tls(MllpSettings(**settings))
