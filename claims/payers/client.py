"""What is asked of payers over HTTP, and what their answers mean."""

import hashlib
import json
import re
from typing import Any
from urllib.parse import urlsplit

import httpx

from chartloop.kernel import tracing
from claims.payers.call import Answer, NotReached, OutcomeUnknown, Refused, Request, perform
from claims.payers.egress import EgressRefused
from claims.payers.limits import LimitsOf
from claims.payers.places import Place

_DIGEST = re.compile("[0-9a-fA-F]{64}")


class PayerClient:
    """HTTP to payers."""

    def __init__(self, limits_of: LimitsOf, *, allow_private: bool) -> None:
        """Take every payer's limits, and whether private addresses may be called."""
        self._limits_of = limits_of
        self._allow_private = allow_private
        # One for every call: each holds every trusted certificate, and hundreds that wait for the collector stop all threads when it comes.
        self._trust = httpx.create_ssl_context(trust_env=False)

    def send(self, payer: str, base: str, body: bytes, key: str, place: Place | None = None) -> None:
        """Deliver an interchange; returns when the payer has said that it has it."""
        headers = {"Content-Type": "application/EDI-X12", "Idempotency-Key": key}
        answer = self._call(payer, Request("POST", f"{base.rstrip('/')}/interchanges", body, headers), place)
        if answer.status in (429, 503):
            raise NotReached(f"HTTP {answer.status}")
        if 400 <= answer.status < 500:
            raise Refused(f"HTTP {answer.status}")
        if not 200 <= answer.status < 300:
            raise OutcomeUnknown(f"HTTP {answer.status}")
        doubt = doubt_of(answer, body)
        if doubt:
            raise OutcomeUnknown(f"HTTP {answer.status} {doubt}")

    def mailbox(self, payer: str, base: str, after: int, limit: int = 100, place: Place | None = None) -> list[dict[str, Any]]:
        """Return the next items of the mailbox."""
        answer = self._call(payer, Request("GET", f"{base.rstrip('/')}/mailbox", params={"after": after, "limit": limit}), place)
        if not 200 <= answer.status < 300:
            raise NotReached(f"HTTP {answer.status}")
        try:
            items = json.loads(answer.content)["items"]
            return [{"n": int(item["n"]), "body": str(item["body"])} for item in items]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise NotReached("the mailbox answered what is not a list of items") from error

    def probe(self, payer: str, base: str, after: int, place: Place | None = None) -> None:
        """Ask something that does no harm, to see whether a payer is back; raises NotReached where it is not."""
        try:
            self.mailbox(payer, base, after, 1, place)
        except OutcomeUnknown as error:
            raise NotReached(str(error)) from error

    def _call(self, payer: str, request: Request, place: Place | None) -> Answer:
        with tracing.span("payer", {"http.request.method": request.method, "server.address": _host(request.url)}, kind="client") as active:
            traced = request._replace(headers={**request.headers, **tracing.headers()})
            answer = perform(traced, self._limits_of(payer), self._trust, allow_private=self._allow_private, place=place)
            active.set("http.response.status_code", answer.status)
            return answer


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def doubt_of(answer: Answer, body: bytes) -> str:
    """Say why an answer of success is not believed; "" where it is.

    A gateway in front of a payer answers 200 with a page that says maintenance; a payer answers 200 with an error in its body.
    """
    if answer.content_type.startswith("text/html"):
        return "with a page instead of a receipt"
    try:
        said = json.loads(answer.content)
    except (ValueError, RecursionError):
        return ""  # what kind of receipt a payer gives is its own affair
    if not isinstance(said, dict):
        return ""
    if said.get("error") or said.get("errors") or _fails(said):
        return "with an error in its body"
    digest = said.get("sha256")
    if isinstance(digest, str) and _DIGEST.fullmatch(digest) and digest.lower() != hashlib.sha256(body).hexdigest():
        return "with a receipt for other bytes"
    return ""


def _fails(said: dict[str, Any]) -> bool:
    """An OperationOutcome of an error."""
    issues = said.get("issue") if said.get("resourceType") == "OperationOutcome" else None
    return isinstance(issues, list) and any(isinstance(issue, dict) and issue.get("severity") in ("error", "fatal") for issue in issues)


__all__ = ["EgressRefused", "NotReached", "OutcomeUnknown", "PayerClient", "Refused"]
