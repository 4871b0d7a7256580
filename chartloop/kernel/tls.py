"""TLS of the listeners: version 1.2 or newer, certificates from files, clients by certificate where that is asked for.

Spec: https://www.rfc-editor.org/rfc/rfc9325 (recommendations for TLS), https://www.rfc-editor.org/rfc/rfc6125 (names in certificates)
"""

from __future__ import annotations

import ipaddress
import logging
import ssl
import stat
import threading
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from chartloop.kernel.errors import Invalid

if TYPE_CHECKING:
    import socket

_log = logging.getLogger(__name__)
_NAMES: Final = frozenset({"DNS", "URI", "email", "IP Address"})


class NameRefused(OSError):
    """The certificate is good, and carries none of the names that may come in."""


class Files(NamedTuple):
    """Where certificate, key and the authorities of clients are."""

    certificate: Path
    key: Path
    client_ca: Path | None


def files_of(section: str, certificate: Path | None, key: Path | None, client_ca: Path | None) -> Files | None:
    """Check what a section of the settings says of TLS; None where it says nothing.

    Raises:
        Invalid: A file is missing, does not fit the others, or everybody may read the key.
    """
    if certificate is None and key is None:
        if client_ca is not None:
            raise Invalid(f"{section}.tls_client_ca asks for clients' certificates, so {section}.tls_certificate and {section}.tls_key must be set.")
        return None
    if certificate is None or key is None:
        raise Invalid(f"{section}.tls_certificate and {section}.tls_key belong together; one of them is not set.")
    files = Files(certificate, key, client_ca)
    for file in files:
        if file is not None and not file.is_file():
            raise Invalid(f"{section}: there is no file {file}.")
    if key.stat().st_mode & stat.S_IRWXO:
        raise Invalid(f"{section}.tls_key: everybody may read {key}; chmod 600 it, or 640 for a group that holds keys.")
    context(files)
    return files


def context(files: Files) -> ssl.SSLContext:
    """Make a server's context.

    Raises:
        Invalid: The files hold no certificate and key that belong together.
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        made.load_cert_chain(files.certificate, files.key)
        if files.client_ca is not None:
            made.load_verify_locations(files.client_ca)
            made.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ValueError):
        raise Invalid(f"{files.certificate}, its key and the authorities of clients do not make TLS: PEM files that belong together are needed.") from None
    return made


class Tls:
    """Secures connections of one listener; files that have changed are read again for the next connection."""

    def __init__(self, files: Files, names: Collection[str] = ()) -> None:
        """Take the files, and the names of which a client's certificate must carry one; none: any that its authority issued."""
        self._files = files
        self._names = frozenset(names)
        self._lock = threading.Lock()
        self._context = context(files)
        self._seen = _moments(files)

    def secure(self, connection: socket.socket) -> ssl.SSLSocket:
        """Shake hands.

        Raises:
            OSError: The peer speaks no TLS, a version that is too old, or has no certificate that may come in.
        """
        secured = self._fresh().wrap_socket(connection, server_side=True)
        if self._names and not self._names & names_of(secured.getpeercert() or {}):
            secured.close()
            raise NameRefused
        return secured

    def _fresh(self) -> ssl.SSLContext:
        with self._lock:
            try:
                moments = _moments(self._files)
                if moments != self._seen:
                    self._context, self._seen = context(self._files), moments
                    _log.info("The certificate was read again.", extra={"action": "tls.reloaded"})
            except (Invalid, OSError) as error:
                _log.warning("A changed certificate cannot be used; the one before stays in force.", extra={"action": "tls.not_reloaded", "error": type(error).__name__})
            return self._context


def names_of(certificate: Mapping[str, Any]) -> frozenset[str]:
    """The names that a peer's certificate carries: subject alternative names and the common name."""
    alternative = {value for kind, value in certificate.get("subjectAltName", ()) if kind in _NAMES}
    common = {value for part in certificate.get("subject", ()) for kind, value in part if kind == "commonName"}
    return frozenset(alternative | common)


def refuse_in_the_open(host: str, *, secured: bool, allowed: bool, section: str, instead: str) -> None:
    """Refuse to listen for other machines without TLS.

    Raises:
        Invalid: The address is no loopback address, and nobody said that this is meant.
    """
    if not (secured or allowed or _is_loopback(host)):
        raise Invalid(f"{host} can be reached from other machines, and patients' data would travel in clear: set {section}.tls_certificate and {section}.tls_key, or {instead}.")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _moments(files: Files) -> tuple[int, ...]:
    return tuple(file.stat().st_mtime_ns for file in files if file is not None)
