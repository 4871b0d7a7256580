"""The traffic with a CDS service for people to read: pretty JSON with the token blanked, sizes, milliseconds. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smart_apps.ehr.cds_client import Exchange

BLANK = "••••••••"
MAX_SHOWN = 60_000


@dataclass(frozen=True, slots=True)
class Traffic:
    """One exchange on a page."""

    url: str
    request: str
    request_size: str
    status: str
    response: str
    response_size: str
    milliseconds: str
    blanked: bool


def exchange_to_traffic(exchange: Exchange) -> Traffic:
    """Write an exchange; its secret is in neither half, also where a service sends it back."""
    return Traffic(
        url=exchange.url,
        request=_pretty(exchange.request, exchange.secret),
        request_size=_size(exchange.request),
        status=f"HTTP {exchange.status}" if exchange.status else "no answer",
        response=_pretty(exchange.response, exchange.secret),
        response_size=_size(exchange.response),
        milliseconds=f"{exchange.seconds * 1000:.0f} ms",
        blanked=bool(exchange.secret),
    )


def _pretty(body: bytes, secret: str) -> str:
    try:
        # Parsed first: an answer may spell the secret with JSON escapes.
        said = json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        said = body.decode("utf-8", "replace")
    if secret:
        said = said.replace(secret, BLANK)
    said = said.encode("utf-8", "replace").decode()
    return said if len(said) <= MAX_SHOWN else f"{said[:MAX_SHOWN]}\n… cut here"


def _size(body: bytes) -> str:
    return f"{len(body):,} bytes"
