"""Bundles as joined bytes: stored bodies go in as they are.

Spec: https://hl7.org/fhir/R4/bundle.html
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from chartloop.kernel.clock import iso
from chartloop.kernel.errors import ChartloopError
from fhir_server.http.outcome import REASONS, outcome, status_of, written_issues
from fhir_server.interactions.entry_reads import Answer, Bare, Operated
from fhir_server.preconditions import etag
from fhir_server.store import Page, Stored, Written


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


def response_bundle(type_: str, answers: Sequence[Answer], base: str, *, returns: str = "minimal") -> bytes:
    """Render the answers to a batch or transaction, one for each entry; `returns` as Prefer says it."""
    return _bundle(f"{type_}-response", [_answer(answer, base, returns) for answer in answers])


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
    place = f"{base}/{address}" if address else base
    said = f"{place}?{page.self_query}" if page.self_query else place
    links = [("self", said)]
    if page.previous is not None:
        links += [("first", said), ("previous", f"{place}?{page.previous}")]
    if page.next is not None:
        links.append(("next", f"{place}?{page.next}"))
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


def _answer(answer: Answer, base: str, returns: str) -> bytes:
    if isinstance(answer, Written):
        return _written(answer, base, returns)
    if isinstance(answer, ChartloopError):
        return _entry(b"", {"status": _line(status_of(answer)), "outcome": msgspec.Raw(outcome(answer.issues))})
    if isinstance(answer, Page):
        render = history_bundle if answer.address.endswith("_history") else searchset
        return _entry(render(answer, base, answer.address), {"status": _line(200)})
    if isinstance(answer, Operated):
        return _entry(answer.body, {"status": _line(answer.status), **({"etag": answer.etag} if answer.etag else {})})
    if isinstance(answer, Bare):
        return _entry(b"", {"status": _line(answer.status), **(_version_of(answer.stored) if answer.stored else {})})
    return _entry(answer.body, {"status": _line(200), **_version_of(answer)})


def _written(answer: Written, base: str, returns: str) -> bytes:
    stored = answer.stored
    response: dict[str, object] = {"status": _line(204 if stored.deleted else 201 if answer.created else 200)}
    if stored.version:  # else a conditional delete that found nothing, or several
        response |= _version_of(stored)
    if not stored.deleted:
        response["location"] = f"{base}/{stored.type}/{stored.id}/_history/{stored.version}"
    if returns == "operationoutcome":
        response["outcome"] = msgspec.Raw(outcome(written_issues(answer)))
    return _entry(stored.body if returns == "representation" else b"", response)


def _version_of(stored: Stored) -> dict[str, object]:
    return {"etag": etag(stored), "lastModified": iso(stored.updated)}


def _line(status: int) -> str:
    return f"{status} {REASONS[status]}"


def _entry(resource: bytes, response: dict[str, object]) -> bytes:
    return b'{"resource":' * bool(resource) + resource + (b"," if resource else b"{") + b'"response":' + msgspec.json.encode(response) + b"}"
