"""The EHR as a CDS client: discovery, the call of a service, feedback; over HTTP, each within its time.

Spec: https://cds-hooks.hl7.org/2.0/
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from chartloop.kernel.clock import monotonic_s
from smart_apps.clinical import listed, mapping, text

MAX_ANSWER = 256 * 1024
MAX_SERVICES = 20
DISCOVERY_TTL_S = 60.0
HOOK = "patient-view"
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class CdsError(Exception):
    """The service did not do what CDS Hooks says."""


@dataclass(frozen=True, slots=True)
class Service:
    """One service of patient-view.

    Attributes:
        base: Where its discovery stands, without /cds-services.
        templates: Prefetch templates by key.
    """

    base: str
    id: str
    title: str
    templates: Mapping[str, str]

    @property
    def url(self) -> str:
        """Where it is called."""
        return f"{self.base}/cds-services/{self.id}"


@dataclass(slots=True)
class Exchange:
    """One call as it went over the wire; `secret` is what may not be shown of it."""

    url: str
    request: bytes
    secret: str = field(default="", repr=False)
    status: int = 0
    response: bytes = b""
    seconds: float = 0.0


class CdsClient:
    """HTTP to the CDS services that the settings name; threads may share it."""

    def __init__(self, bases: tuple[str, ...], *, deadline_s: float) -> None:
        """Take where services are discovered, and how long one visit of a chart waits for all of them."""
        self.bases = tuple(base.rstrip("/") for base in bases)
        self.deadline_s = deadline_s
        # The addresses come from the settings, so private ones are the operator's choice; a redirect would be the service's.
        self._http = httpx.Client(timeout=deadline_s, follow_redirects=False, trust_env=False)
        self._lock = threading.Lock()
        self._known: dict[str, tuple[float, tuple[Service, ...]]] = {}

    def services(self, base: str) -> tuple[Service, ...]:
        """Discover the services of one base; what was found is good for a minute.

        Raises:
            CdsError: It answers with something else.
        """
        with self._lock:
            known = self._known.get(base)
        if known is not None and known[0] > monotonic_s():
            return known[1]
        exchange = Exchange(f"{base}/cds-services", b"")
        self._perform("GET", exchange, self.deadline_s)
        found = tuple(_services(base, parsed(exchange)))
        with self._lock:
            self._known[base] = (monotonic_s() + DISCOVERY_TTL_S, found)
        return found

    def service(self, base: str, id_: str) -> Service | None:
        """Find one service among those of a base that the settings name."""
        if base not in self.bases:
            return None
        return next((service for service in self.services(base) if service.id == id_), None)

    def call(self, exchange: Exchange) -> None:
        """Send one request and note what came back, as far as it came.

        Raises:
            CdsError: No answer, or one that is no 200 with JSON.
        """
        self._perform("POST", exchange, self.deadline_s)

    def _perform(self, method: str, exchange: Exchange, seconds: float) -> None:
        start = monotonic_s()
        headers = {"Accept": "application/json", **({"Content-Type": "application/json"} if exchange.request else {})}
        try:
            with self._http.stream(method, exchange.url, content=exchange.request or None, headers=headers) as answer:
                exchange.status = answer.status_code
                body = bytearray()
                for chunk in answer.iter_bytes():
                    body += chunk
                    exchange.response = bytes(body[:MAX_ANSWER])
                    if len(body) > MAX_ANSWER:
                        message = f"It answered with more than {MAX_ANSWER // 1024} kB."
                        raise CdsError(message)
                    if monotonic_s() - start > seconds:  # httpx limits each read, not the whole
                        message = "It was too slow."
                        raise CdsError(message)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            message = "It was too slow." if isinstance(error, httpx.TimeoutException) else "It could not be reached."
            raise CdsError(message) from error
        finally:
            exchange.seconds = monotonic_s() - start
        if not 200 <= exchange.status < 300:
            message = f"It answered with HTTP {exchange.status}."
            raise CdsError(message)


def parsed(exchange: Exchange) -> Any:
    """Read the body of an answer.

    Raises:
        CdsError: It is no JSON.
    """
    try:
        return json.loads(exchange.response)
    except (ValueError, RecursionError) as error:
        message = "Its answer is no JSON."
        raise CdsError(message) from error


def _services(base: str, body: Any) -> list[Service]:
    if not isinstance(mapping(body).get("services"), list):
        message = "Its discovery holds no list of services."
        raise CdsError(message)
    found = []
    for entry in listed(body["services"])[:MAX_SERVICES]:
        id_ = text(entry.get("id"))
        if entry.get("hook") == HOOK and _ID.fullmatch(id_):
            templates = {str(key): value for key, value in mapping(entry.get("prefetch")).items() if isinstance(value, str)}
            found.append(Service(base, id_, text(entry.get("title")) or id_, templates))
    return found
