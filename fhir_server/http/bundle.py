"""Bundles as joined bytes: stored bodies go in as they are.

Spec: https://hl7.org/fhir/R4/bundle.html
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from chartloop.kernel.clock import iso
from chartloop.kernel.errors import ChartloopError
from fhir_server.http.outcome import REASONS, outcome, status_of
from fhir_server.interactions.entry_reads import Answer
from fhir_server.redaction import redacted_etag
from fhir_server.store import Page, Stored, Written


def etag(stored: Stored) -> str:
    """Entity tag of a version; a redacted body has one of its own."""
    return redacted_etag(stored.version, stored.body) if stored.redacted else f'W/"{stored.version}"'


def searchset(page: Page, base: str, address: str) -> bytes:
    """Render one page of a search."""
    entries = [_match(stored, base, "match") for stored in page.entries]
    entries += [_match(stored, base, "include") for stored in page.included]
    if page.warnings:
        entries.append(b'{"resource":' + outcome(page.warnings) + b',"search":{"mode":"outcome"}}')
    return _bundle("searchset", entries, total=page.total, links=_links(page, base, address))


def history_bundle(page: Page, base: str, address: str) -> bytes:
    """Render one page of a history."""
    return _bundle("history", [_version(stored, base) for stored in page.entries], total=page.total, links=_links(page, base, address))


def response_bundle(type_: str, answers: Sequence[Answer], base: str, *, representation: bool = False) -> bytes:
    """Render the answers to a batch or transaction, one for each entry."""
    return _bundle(f"{type_}-response", [_answer(answer, base, representation=representation) for answer in answers])


def _bundle(
    type_: str, entries: Iterable[bytes], *, total: int | None = None, links: Sequence[tuple[str, str]] = ()
) -> bytes:
    parts = [b'{"resourceType":"Bundle","type":"', type_.encode(), b'"']
    if total is not None:
        parts.append(f',"total":{total}'.encode())
    if links:
        parts += [b',"link":', msgspec.json.encode([{"relation": relation, "url": url} for relation, url in links])]
    if joined := b",".join(entries):
        parts += [b',"entry":[', joined, b"]"]
    return b"".join([*parts, b"}"])


def _links(page: Page, base: str, address: str) -> list[tuple[str, str]]:
    links = [("self", f"{base}/{address}?{page.self_query}" if page.self_query else f"{base}/{address}")]
    if page.next is not None:
        links.append(("next", f"{base}/{address}?{page.next}"))
    return links


def _match(stored: Stored, base: str, mode: str) -> bytes:
    head = f'{{"fullUrl":"{base}/{stored.type}/{stored.id}","resource":'.encode()
    return head + stored.body + f',"search":{{"mode":"{mode}"}}}}'.encode()


def _version(stored: Stored, base: str) -> bytes:
    place = f"{stored.type}/{stored.id}"
    request = {"method": stored.method, "url": stored.type if stored.method == "POST" else place}
    status = "204" if stored.deleted else "201" if stored.version == 1 else "200"
    response = {"status": status, "etag": etag(stored), "lastModified": iso(stored.updated)}
    body = b',"resource":' + stored.body if stored.body else b""
    tail = b',"request":' + msgspec.json.encode(request) + b',"response":' + msgspec.json.encode(response) + b"}"
    return f'{{"fullUrl":"{base}/{place}"'.encode() + body + tail


def _answer(answer: Answer, base: str, *, representation: bool) -> bytes:
    if isinstance(answer, ChartloopError):
        status = status_of(answer)
        said = f'{{"response":{{"status":"{status} {REASONS[status]}","outcome":'.encode()
        return said + outcome(answer.issues) + b"}}"
    if isinstance(answer, Page):
        return b'{"resource":' + searchset(answer, base, "") + b',"response":{"status":"200 OK"}}'
    stored = answer.stored if isinstance(answer, Written) else answer
    status = 200
    if isinstance(answer, Written):
        status = 204 if stored.deleted else 201 if answer.created else 200
    response = {"status": f"{status} {REASONS[status]}", "etag": etag(stored), "lastModified": iso(stored.updated)}
    if not stored.version:  # a conditional delete that found nothing
        response = {"status": response["status"]}
    if isinstance(answer, Written) and not stored.deleted:
        response["location"] = f"{base}/{stored.type}/{stored.id}/_history/{stored.version}"
    shown = stored.body and (representation or isinstance(answer, Stored))
    body = b'"resource":' + stored.body + b"," if shown else b""
    return b"{" + body + b'"response":' + msgspec.json.encode(response) + b"}"
