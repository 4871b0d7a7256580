"""Calls that leave this machine: http(s) to public addresses, to the very address that was checked, of bounded size and time.

A name is resolved once and the connection goes to that address, so that a second answer of the name server (DNS rebinding) changes nothing;
redirects are not followed, and neither proxies nor credentials of the environment are used.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from ssl import SSLContext
from typing import Final
from urllib.parse import SplitResult, urlsplit

import httpx

from chartloop.kernel.errors import Forbidden, Unavailable

MAX_BYTES: Final = 256 * 1024


class EgressForbidden(Forbidden):
    """This address may not be called from here."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """An answer: its headers by lower-case name, and its body."""

    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Sent:
    """What is sent: the body of a POST, or None for a GET; and the headers that go with it."""

    body: bytes | None
    headers: Mapping[str, str]


def fetch(url: str, *, allow_private: bool, timeout_s: float, max_bytes: int = MAX_BYTES, sent: Sent | None = None) -> Fetched:
    """GET a small document, or POST something and get a small answer.

    Args:
        url: https, or http where private addresses are allowed.
        allow_private: Whether private and loopback addresses may be called.
        timeout_s: Total time, name resolution aside.
        max_bytes: Largest body.
        sent: What to POST, or the headers of a GET; None is a GET without any of its own.

    Raises:
        EgressForbidden: The address may not be called.
        Unavailable: There was no answer with status 200 of this size in this time.
    """
    parts = urlsplit(url)
    address = checked_address(parts, allow_private=allow_private)
    outcome: list[Fetched | Exception] = []
    thread = threading.Thread(target=lambda: outcome.append(_attempt(parts, address, timeout_s, max_bytes, sent)), daemon=True, name="chartloop-fetch")
    thread.start()
    thread.join(timeout_s)  # httpx limits each read, not the whole call
    if not outcome or isinstance(outcome[0], Exception):
        raise Unavailable("A document of another server could not be fetched; nothing was changed, try again later.")
    return outcome[0]


def checked_address(parts: SplitResult, *, allow_private: bool) -> str:
    """Resolve the host of a URL and give the address to connect to; every address it has must be public unless private ones are allowed."""
    schemes = ("http", "https") if allow_private else ("https",)
    if parts.scheme not in schemes or not parts.hostname or parts.username is not None or parts.password is not None:
        raise EgressForbidden(f"The address must be {' or '.join(schemes)}, with a host and without credentials.")
    try:
        found = socket.getaddrinfo(parts.hostname, parts.port or 443, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Unavailable("The name of another server does not resolve.") from None
    addresses = [str(each[4][0]).partition("%")[0] for each in found]
    if not addresses or (not allow_private and not all(map(is_public, addresses))):
        raise EgressForbidden("The address leads into a private network (egress.allow_private).")
    return addresses[0]


def is_public(text: str) -> bool:
    """Whether an address, with or without a zone, is one of the public network; one that wraps another is as public as that."""
    address = ipaddress.ip_address(text.partition("%")[0])
    address = getattr(address, "ipv4_mapped", None) or getattr(address, "sixtofour", None) or address
    return address.is_global and not address.is_multicast


@cache
def _trust() -> SSLContext:
    """Every trusted certificate, read once."""
    return httpx.create_ssl_context(trust_env=False)


def _attempt(parts: SplitResult, address: str, timeout_s: float, max_bytes: int, sent: Sent | None) -> Fetched | Exception:
    try:
        return _call(parts, address, timeout_s, max_bytes, sent)
    except Exception as error:  # carried to the caller's thread
        return error


def _call(parts: SplitResult, address: str, timeout_s: float, max_bytes: int, sent: Sent | None) -> Fetched:
    host = f"[{address}]" if ":" in address else address
    url = parts._replace(netloc=f"{host}:{parts.port}" if parts.port else host, fragment="").geturl()
    headers = {"Host": parts.netloc, "Accept": "application/json", "Accept-Encoding": "identity", **(sent.headers if sent else {})}
    method, content = ("POST", sent.body) if sent and sent.body is not None else ("GET", None)
    named = {"sni_hostname": parts.hostname}
    with (
        httpx.Client(verify=_trust(), timeout=timeout_s, follow_redirects=False, trust_env=False) as client,
        client.stream(method, url, content=content, headers=headers, extensions=named) as answer,
    ):
        if answer.status_code != httpx.codes.OK:
            raise Unavailable
        body = bytearray()
        for chunk in answer.iter_bytes():
            body += chunk
            if len(body) > max_bytes:
                raise Unavailable
        return Fetched({name.lower(): value for name, value in answer.headers.items()}, bytes(body))
