"""Calls to one payer: a total deadline, and an outcome that says whether the payer may have seen the bytes."""

import threading
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx

from chartloop.kernel import tracing
from claims.payers.egress import EgressRefused, check_egress

MAX_ANSWER = 64 * 1024 * 1024


class NotReached(Exception):
    """The payer did not take it, for certain: nothing left this machine, or the payer said no for now."""


class Refused(Exception):
    """The payer answered that it will not take this."""


class OutcomeUnknown(Exception):
    """Bytes may have left and no answer came: the payer may have it or not."""


@dataclass(slots=True)
class _Call:
    done: threading.Event = field(default_factory=threading.Event)
    response: httpx.Response | None = None
    error: Exception | None = None


class PayerClient:
    """HTTP to payers."""

    def __init__(self, *, timeout_s: float, allow_private: bool) -> None:
        """Take the total time of one call, and whether private addresses may be called."""
        self._timeout_s = timeout_s
        self._allow_private = allow_private
        # One for every call: each holds every trusted certificate, and hundreds that wait for the collector stop all threads when it comes.
        self._trust = httpx.create_ssl_context(trust_env=False)

    def send(self, base: str, body: bytes, key: str) -> None:
        """Deliver an interchange; returns when the payer has said that it has it."""
        headers = {"Content-Type": "application/EDI-X12", "Idempotency-Key": key}
        response = self._call("POST", f"{base.rstrip('/')}/interchanges", content=body, headers=headers)
        if response.status_code in (429, 503):
            raise NotReached(f"HTTP {response.status_code}")
        if 400 <= response.status_code < 500:
            raise Refused(f"HTTP {response.status_code}")
        if not response.is_success:
            raise OutcomeUnknown(f"HTTP {response.status_code}")

    def mailbox(self, base: str, after: int, limit: int = 100) -> list[dict[str, Any]]:
        """Return the next items of the mailbox."""
        response = self._call("GET", f"{base.rstrip('/')}/mailbox", params={"after": after, "limit": limit})
        if not response.is_success:
            raise NotReached(f"HTTP {response.status_code}")
        try:
            items = response.json()["items"]
            return [{"n": int(item["n"]), "body": str(item["body"])} for item in items]
        except (ValueError, KeyError, TypeError) as error:
            raise NotReached("the mailbox answered what is not a list of items") from error

    def _call(self, method: str, url: str, **request: Any) -> httpx.Response:
        with tracing.span("payer", {"http.request.method": method, "server.address": _host(url)}, kind="client") as active:
            response = self._answered(method, url, request | {"headers": {**request.get("headers", {}), **tracing.headers()}})
            active.set("http.response.status_code", response.status_code)
            return response

    def _answered(self, method: str, url: str, request: dict[str, Any]) -> httpx.Response:
        try:
            check_egress(url, allow_private=self._allow_private)
        except OSError as error:
            raise NotReached("the payer's name does not resolve") from error
        client = httpx.Client(verify=self._trust, timeout=self._timeout_s, follow_redirects=False, trust_env=False)
        call = _Call()
        thread = threading.Thread(target=_perform, args=(client, call, method, url, request), daemon=True, name="chartloop-payer-call")
        thread.start()
        if not call.done.wait(self._timeout_s):
            # httpx limits each read, not the whole call: a payer that drips a byte a second would hold us for ever.
            raise OutcomeUnknown("no answer within the total deadline")
        if isinstance(call.error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol, httpx.PoolTimeout)):
            raise NotReached(type(call.error).__name__) from call.error
        if call.error is not None or call.response is None:
            raise OutcomeUnknown(type(call.error).__name__) from call.error
        return call.response


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _perform(client: httpx.Client, call: _Call, method: str, url: str, request: dict[str, Any]) -> None:
    try:
        with client, client.stream(method, url, **request) as response:
            content = bytearray()
            for chunk in response.iter_bytes():
                content += chunk
                if len(content) > MAX_ANSWER:
                    raise httpx.DecodingError("the answer is too large")
            headers = {k: v for k, v in response.headers.items() if k not in ("content-encoding", "content-length", "transfer-encoding")}
            call.response = httpx.Response(response.status_code, headers=headers, content=bytes(content))
    except Exception as error:  # carried to the caller's thread
        call.error = error
    finally:
        call.done.set()


__all__ = ["EgressRefused", "NotReached", "OutcomeUnknown", "PayerClient", "Refused"]
