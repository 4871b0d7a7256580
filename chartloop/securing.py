"""What the settings say of transport: which listeners speak TLS, which may do without, and what browsers are told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from chartloop.kernel.http import API_HEADERS
from chartloop.kernel.settings_sections import MllpSettings, ServerSettings
from chartloop.kernel.tls import Files, Tls, files_of, refuse_in_the_open

PROXY: Final = "server.behind_proxy where a proxy ends TLS"
HSTS: Final = "max-age=31536000"
"""A year, for this host alone: its neighbours are not ours to bind."""


def http_files(settings: ServerSettings) -> Files | None:
    """The certificate of the HTTP server; None where it speaks plain HTTP and may.

    Raises:
        Invalid: The files cannot be used, or it would listen for other machines without TLS.
    """
    files = files_of("server", settings.tls_certificate, settings.tls_key, settings.tls_client_ca)
    allowed = settings.behind_proxy or settings.insecure
    refuse_in_the_open(settings.host, secured=files is not None, allowed=allowed, section="server", instead=f"{PROXY}, or server.insecure")
    return files


def mllp_tls(settings: MllpSettings) -> Tls | None:
    """What secures the HL7 v2 listener; None where it speaks plain MLLP and may.

    Raises:
        Invalid: The files cannot be used, or it would listen for other machines without TLS.
    """
    files = files_of("mllp", settings.tls_certificate, settings.tls_key, settings.tls_client_ca)
    refuse_in_the_open(settings.host, secured=files is not None, allowed=settings.insecure, section="mllp", instead="mllp.insecure where a VPN protects the messages")
    return Tls(files, settings.tls_client_names) if files else None


def api_headers(base: str) -> Mapping[str, str]:
    """Headers of every answer; where this server is reached by https, browsers are told to stay there."""
    return {**API_HEADERS, "Strict-Transport-Security": HSTS} if base.startswith("https://") else API_HEADERS
