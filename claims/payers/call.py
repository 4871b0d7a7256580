"""One HTTP call that ends on time: name, connection, headers and body together, whatever the other side does.

httpx limits each wait, not the whole: a payer that drips a byte a second would hold a thread for ever. So a call has a thread of its own, and at the
deadline its socket is shut, which ends whatever it waits for. Whether a byte of the request may have left is known at any moment.
"""

import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from ssl import SSLContext
from typing import Any, NamedTuple

import httpx

from claims.payers.egress import EgressRefused, check_egress
from claims.payers.limits import Limits
from claims.payers.places import Place


class NotReached(Exception):
    """The payer did not take it, for certain: nothing left this machine, or the payer said no for now."""


class Refused(Exception):
    """The payer answered that it will not take this."""


class OutcomeUnknown(Exception):
    """Bytes may have left and no answer came: the payer may have it or not."""


class Ended(Exception):
    """The deadline came before anything left."""


class Request(NamedTuple):
    """What is asked of a payer."""

    method: str
    url: str
    content: bytes | None = None
    headers: Mapping[str, str] = {}
    params: Mapping[str, int] = {}


class Answer(NamedTuple):
    """What a payer said."""

    status: int
    content_type: str
    content: bytes


@dataclass(slots=True)
class _Call:
    """What the caller and the thread of a call know of it."""

    done: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    answer: Answer | None = None
    error: Exception | None = None
    left: bool = False
    ended: bool = False
    connection: socket.socket | None = None

    def watch(self, name: str, info: Mapping[str, Any]) -> None:
        """Follow the call: httpcore tells of every step before it takes it."""
        with self.lock:
            if name.endswith("connect_tcp.complete"):
                # A second handle on the connection: the first one changes owner when TLS begins.
                self.connection = info["return_value"].get_extra_info("socket").dup()
            if self.ended and not self.left:
                raise Ended
            self.left = self.left or name.endswith("send_request_headers.started")

    def end(self) -> None:
        """Let nothing leave from now on, and wake the thread."""
        with self.lock:
            self.ended = True
            if self.connection is not None:
                with suppress(OSError):
                    self.connection.shutdown(socket.SHUT_RDWR)


    def forget(self) -> None:
        """Close what is left."""
        with self.lock:
            if self.connection is not None:
                self.connection.close()
                self.connection = None


def perform(request: Request, limits: Limits, trust: SSLContext, *, allow_private: bool, place: Place | None = None) -> Answer:
    """Make one call.

    Args:
        request: What to ask.
        limits: The payer's limits: the total deadline, the time to connect, and the size of the answer.
        trust: Which certificates are trusted.
        allow_private: Whether private addresses may be called.
        place: The place that the call takes; given back when its thread has ended.

    Raises:
        NotReached: Nothing of the request has left.
        OutcomeUnknown: Something may have left, and no whole answer came.
        EgressRefused: The address may not be called.
    """
    call = _Call()
    if place is not None:
        place.share()
    arguments = (call, request, limits, trust, allow_private, place)
    threading.Thread(target=_run, args=arguments, daemon=True, name="chartloop-payer-call").start()
    if not call.done.wait(limits.timeout_s):
        call.end()
        raise (OutcomeUnknown if call.left else NotReached)("no answer within the total deadline")
    if isinstance(call.error, EgressRefused):
        raise call.error
    if call.answer is None:
        raise (OutcomeUnknown if call.left else NotReached)(type(call.error).__name__) from call.error
    return call.answer


def _run(call: _Call, request: Request, limits: Limits, trust: SSLContext, allow_private: bool, place: Place | None) -> None:
    try:
        check_egress(request.url, allow_private=allow_private)
        call.answer = _ask(call, request, limits, trust)
    except Exception as error:  # carried to the caller's thread
        call.error = error
    finally:
        call.done.set()
        call.forget()
        if place is not None:
            place.leave()


def _ask(call: _Call, request: Request, limits: Limits, trust: SSLContext) -> Answer:
    waits = httpx.Timeout(limits.timeout_s, connect=min(limits.connect_s, limits.timeout_s))
    headers = {"Accept-Encoding": "identity", **request.headers}  # nothing that could unfold into more than was sent
    with (
        httpx.Client(verify=trust, timeout=waits, follow_redirects=False, trust_env=False) as client,
        client.stream(
            request.method, request.url, content=request.content, params=request.params or None, headers=headers, extensions={"trace": call.watch}
        ) as response,
    ):
        content = bytearray()
        for chunk in response.iter_raw():
            content += chunk
            if len(content) > limits.answer_max_bytes:
                raise httpx.DecodingError("the answer is too large")
        return Answer(response.status_code, response.headers.get("content-type", ""), bytes(content))
