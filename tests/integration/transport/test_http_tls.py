"""HTTP over TLS, by the server that a hospital runs: `chartloop serve` with certificates."""

from __future__ import annotations

import json
import socket
import ssl
import time
import uuid
import warnings
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from chartloop.demo.processes import command, free_port
from chartloop.kernel.errors import Invalid
from chartloop.kernel.settings_sections import ServerSettings
from chartloop.securing import api_headers, http_files
from tests.integration.product.clinic import Clinic
from tests.integration.transport.certificates import Authority


@pytest.mark.conformance("SMART 2.2.0", "231: other machines are answered over TLS alone, unless an administrator says that a proxy ends it or that clear text is meant")
@pytest.mark.conformance("CDS Hooks 2.0", "@168: another machine is answered without TLS only where the settings say that a proxy ends it")
@pytest.mark.parametrize("settings", [{"behind_proxy": True}, {"insecure": True}])
def test_other_machines_are_served_without_tls_only_where_that_is_meant(settings):
    with pytest.raises(Invalid, match=r"set server\.tls_certificate and server\.tls_key, or server\.behind_proxy"):
        http_files(ServerSettings(host="0.0.0.0"))
    assert http_files(ServerSettings(host="0.0.0.0", **settings)) is None


def test_browsers_are_told_to_stay_with_https_where_it_is():
    assert api_headers("https://fhir.example")["Strict-Transport-Security"] == "max-age=31536000"
    assert "Strict-Transport-Security" not in api_headers("http://127.0.0.1:8080")


class Secured(NamedTuple):
    """A server behind TLS."""

    address: str
    token: str
    data: Path


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"), "hospital")


@pytest.fixture(scope="module")
def server(authority, tmp_path_factory):
    """A server that asks its clients for certificates."""
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
        yield Secured(address, command(["token", "--role", "operator", "--data", data], environment).strip(), clinic.data)


def ask(authority, url, pair=None, *, context=None, **headers):
    context = context or ssl.create_default_context(cafile=authority.file)
    if pair:
        context.load_cert_chain(*pair)
    with httpx.Client(verify=context, trust_env=False, timeout=10) as client:
        return client.get(url, headers=headers)


@pytest.mark.long
@pytest.mark.conformance("Transport", "HTTP over TLS answers clients with a certificate of tls_client_ca, with HSTS, and links that begin with https")
def test_a_client_with_the_right_certificate_is_answered(authority, server):
    address, token, _ = server
    answer = ask(authority, address + "/fhir/Patient", authority.issue("client.hospital.example"), Authorization=f"Bearer {token}")
    assert answer.status_code == 200
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
    assert answer.json()["link"][0]["url"].startswith(f"{address}/fhir/Patient")


@pytest.mark.long
@pytest.mark.conformance("Transport", "HTTP with tls_client_ca refuses clients without a certificate, with one of another authority, and with an expired one")
def test_a_client_without_the_right_certificate_is_refused(authority, server, tmp_path):
    address = server.address
    stranger = Authority(tmp_path, "stranger").issue("client.hospital.example")
    for pair in (None, stranger, authority.issue("client.hospital.example", days=-1, file="expired")):
        with pytest.raises(httpx.TransportError):
            ask(authority, address + "/healthz", pair)


@pytest.mark.long
@pytest.mark.conformance("SMART 2.2.0", "231: a backend service gets its token and reads over TLS 1.2 and over TLS 1.3")
def test_a_backend_service_gets_its_token_and_reads_over_tls_alone(authority, server):
    address, _, data = server
    key = ECKey.generate_key("P-384", {"kid": "1"}, private=True)
    (data / "jwks.json").write_text(json.dumps({"keys": [key.as_dict(private=False)]}))
    registered = ["--kind", "asymmetric", "--jwks", str(data / "jwks.json"), "--role", "omop-bridge", "--scope", "system/Patient.rs"]
    command(["auth", "clients", "add", "registry", "--name", "Registry", *registered, "--data", str(data)])
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = ssl.create_default_context(cafile=authority.file)
        context.minimum_version = context.maximum_version = version
        context.load_cert_chain(*authority.issue("client.hospital.example"))
        with httpx.Client(base_url=address, verify=context, trust_env=False, timeout=10) as client:
            said = client.get("/fhir/.well-known/smart-configuration").json()
            assert {said[name].partition("/oauth/")[0] for name in said if name.endswith("_endpoint") and "/oauth/" in said[name]} == {said["issuer"]}
            assert said["issuer"].startswith("https://")
            claims = {"iss": "registry", "sub": "registry", "aud": said["token_endpoint"], "exp": int(time.time()) + 60, "jti": uuid.uuid4().hex}
            signed = jwt.encode({"alg": "ES384", "kid": "1"}, claims, key, algorithms=["ES384"])
            proof = {"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_assertion": signed}
            issued = client.post("/oauth/token", data={"grant_type": "client_credentials", "scope": "system/Patient.rs", **proof})
            assert issued.status_code == 200, issued.text
            read = client.get("/fhir/Patient", headers={"Authorization": f"Bearer {issued.json()['access_token']}"})
        assert (read.status_code, read.json()["resourceType"]) == (200, "Bundle")


@pytest.mark.long
@pytest.mark.conformance("SMART 2.2.0", "231: nothing is exchanged over TLS 1.1 or in clear")
@pytest.mark.conformance("Transport", "TLS 1.1 and plain text on the TLS port are refused by HTTP")
@pytest.mark.conformance("CDS Hooks 2.0", "@2, @168: over TLS alone: plain text and old versions are refused, for CDS Hooks as for everything")
def test_old_tls_and_plain_text_are_refused(authority, server):
    address = server.address
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
