"""HTTP over TLS, by the server that a hospital runs: `chartloop serve` with certificates."""

from __future__ import annotations

import socket
import ssl
import time
import warnings

import httpx
import pytest

from chartloop.demo.processes import command, free_port
from chartloop.kernel.errors import Invalid
from chartloop.kernel.settings_sections import ServerSettings
from chartloop.securing import api_headers, http_files
from tests.integration.product.clinic import Clinic
from tests.integration.transport.certificates import Authority


@pytest.mark.conformance("CDS Hooks 2.0", "@168: another machine is answered without TLS only where the settings say that a proxy ends it")
@pytest.mark.parametrize("settings", [{"behind_proxy": True}, {"insecure": True}])
def test_other_machines_are_served_without_tls_only_where_that_is_meant(settings):
    with pytest.raises(Invalid, match=r"set server\.tls_certificate and server\.tls_key, or server\.behind_proxy"):
        http_files(ServerSettings(host="0.0.0.0"))
    assert http_files(ServerSettings(host="0.0.0.0", **settings)) is None


def test_browsers_are_told_to_stay_with_https_where_it_is():
    assert api_headers("https://fhir.example")["Strict-Transport-Security"] == "max-age=31536000"
    assert "Strict-Transport-Security" not in api_headers("http://127.0.0.1:8080")


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"), "hospital")


@pytest.fixture(scope="module")
def server(authority, tmp_path_factory):
    """A server that asks its clients for certificates; its address."""
    certificate, key = authority.issue("fhir.hospital.example")
    environment = {"CHARTLOOP_SERVER__TLS_CERTIFICATE": str(certificate), "CHARTLOOP_SERVER__TLS_KEY": str(key), "CHARTLOOP_SERVER__TLS_CLIENT_CA": str(authority.file)}
    with Clinic(tmp_path_factory.mktemp("secured"), environment) as clinic:
        clinic.port = free_port(0)
        data = str(clinic.data)
        (clinic.data / "demo").mkdir(parents=True, exist_ok=True)
        clinic.start_alone("serve", "--port", str(clinic.port), "--mllp-port", str(clinic.mllp_port))
        address = f"https://127.0.0.1:{clinic.port}"
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                if ask(authority, address + "/readyz", authority.issue("probe.hospital.example")).status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.2)
        yield address, command(["token", "--role", "operator", "--data", data], environment).strip()


def ask(authority, url, pair=None, *, context=None, **headers):
    context = context or ssl.create_default_context(cafile=authority.file)
    if pair:
        context.load_cert_chain(*pair)
    with httpx.Client(verify=context, trust_env=False, timeout=10) as client:
        return client.get(url, headers=headers)


@pytest.mark.long
@pytest.mark.conformance("Transport", "HTTP over TLS answers clients with a certificate of tls_client_ca, with HSTS, and links that begin with https")
def test_a_client_with_the_right_certificate_is_answered(authority, server):
    address, token = server
    answer = ask(authority, address + "/fhir/Patient", authority.issue("client.hospital.example"), Authorization=f"Bearer {token}")
    assert answer.status_code == 200
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
    assert answer.json()["link"][0]["url"].startswith(f"{address}/fhir/Patient")


@pytest.mark.long
@pytest.mark.conformance("Transport", "HTTP with tls_client_ca refuses clients without a certificate, with one of another authority, and with an expired one")
def test_a_client_without_the_right_certificate_is_refused(authority, server, tmp_path):
    address, _ = server
    stranger = Authority(tmp_path, "stranger").issue("client.hospital.example")
    for pair in (None, stranger, authority.issue("client.hospital.example", days=-1, file="expired")):
        with pytest.raises(httpx.TransportError):
            ask(authority, address + "/healthz", pair)


@pytest.mark.long
@pytest.mark.conformance("Transport", "TLS 1.1 and plain text on the TLS port are refused by HTTP")
@pytest.mark.conformance("CDS Hooks 2.0", "@2, @168: over TLS alone: plain text and old versions are refused, for CDS Hooks as for everything")
def test_old_tls_and_plain_text_are_refused(authority, server):
    address, _ = server
    context = ssl.create_default_context(cafile=authority.file)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.raises(httpx.TransportError):
        ask(authority, address + "/healthz", authority.issue("client.hospital.example"), context=context)
    host, _, port = address.removeprefix("https://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as plain:
        plain.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert not plain.recv(100).startswith(b"HTTP")
