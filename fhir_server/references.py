"""Find and rewrite references, in a parsed resource and in its bytes, where every other byte stays as it was.

Spec: https://hl7.org/fhir/R4/http.html#trules
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any

from chartloop.kernel.errors import Invalid
from fhir_server.spec.definitions import r4
from fhir_server.validation.parsing import parse

_CONDITIONAL = re.compile(r"([A-Z][A-Za-z]+)\?\S+\Z")
_BEGINNING = re.compile(rb"(?:[A-Za-z]+:)*(?:[A-Z][A-Za-z]+[/?])?")
_NAMED_REFERENCE = re.compile(rb'"reference"\s*:\s*\Z')
# Without escapes a quote begins or ends a string, so that this is a property with its value wherever it stands.
_SEARCH = re.compile(rb'"reference"\s*:\s*"([A-Z][A-Za-z]+\?[^"]*)"')
_PAIR = re.compile(rb'("(?:[^"\\]|\\.)*")(?:(\s*:\s*)("(?:[^"\\]|\\.)*"))?')
_URI_TYPES = frozenset({"uri", "url", "oid", "uuid"})
_NARRATIVE_LINK = re.compile(r"""(?<=\s)((?:href|src)\s*=\s*["'])([^"']+)(["'])""")


def references_in(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    """(path below the resource, text) of every Reference.reference."""
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "reference" and isinstance(item, str):
                yield f"{path}.reference", item
            elif isinstance(item, (dict, list)):
                yield from references_in(item, f"{path}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from references_in(item, f"{path}[{index}]")


def conditional_references(value: object) -> list[str]:
    """The references that are searches (`Patient?identifier=...`), each once, in order."""
    return list(dict.fromkeys(text for _, text in references_in(value) if is_conditional(text)))


def conditional_references_in_bytes(body: bytes) -> list[str]:
    """The same of a resource that is not parsed yet."""
    if b"\\" in body or not body.isascii():
        return conditional_references(parse(body))
    return [text for text in dict.fromkeys(found.decode() for found in _SEARCH.findall(body)) if is_conditional(text)]


@lru_cache(maxsize=4096)
def is_conditional(reference: str) -> bool:
    """Whether a reference is a search instead of an address."""
    found = _CONDITIONAL.match(reference)
    return found is not None and r4().is_resource(found[1])


def link_map(assigned: Mapping[str, str]) -> dict[str, str]:
    """What to replace, from fullUrl to new reference: a RESTful fullUrl is also meant by its relative form.

    Args:
        assigned: New reference ("Patient/abc") by the fullUrl of its entry.
    """
    links = dict(assigned)
    for full_url, reference in assigned.items():
        base, _, tail = full_url.rpartition(f"/{reference.partition('/')[0]}/")
        if base.startswith(("http://", "https://")) and tail:
            links.setdefault(f"{reference.partition('/')[0]}/{tail}", reference)
    return links


def rewrite_resource(value: Any, links: Mapping[str, str]) -> Any:
    """A copy of a parsed resource with its links replaced."""
    if isinstance(value, dict):
        return {key: _rewritten(key, item, links) for key, item in value.items()}
    if isinstance(value, list):
        return [rewrite_resource(item, links) for item in value]
    return value


def _rewritten(key: str, item: Any, links: Mapping[str, str]) -> Any:
    if not isinstance(item, str):
        return rewrite_resource(item, links)
    return _replacement(key, item, links) or item


def _replacement(key: str, text: str, links: Mapping[str, str]) -> str:
    """The new text of a property, or "" where it stays."""
    if key == "reference":
        return links.get(text, "")
    if key == "div":
        changed = _NARRATIVE_LINK.sub(lambda found: found[1] + links.get(found[2], found[2]) + found[3], text)
        return changed if changed != text else ""
    return links.get(text, "") if key in uri_names() else ""


def rewrite_bytes(body: bytes, links: Mapping[str, str]) -> bytes:
    """The bytes of a resource with its links replaced and every other byte untouched.

    Replaced are Reference.reference, elements of type uri, url, oid or uuid, and links in the narrative; never canonicals, never
    strings such as Identifier.value.
    """
    return rewriter(links)(body)


def rewriter(links: Mapping[str, str]) -> Callable[[bytes], bytes]:
    """`rewrite_bytes` for many resources with the same links."""
    encoded = {text.encode(): b'"' + new.encode() + b'"' for text, new in links.items()}
    # Links of one bundle begin alike: only strings that begin so are looked at.
    linking = re.compile(b'"((?:' + b"|".join(sorted({re.escape(_beginning(text)) for text in encoded})) + b')[^"]*)"')

    def rewrite(body: bytes) -> bytes:
        if not encoded:
            return body
        if b"\\" not in body and b"<div" not in body:
            places = [found for found in linking.finditer(body) if found[1] in encoded]
            if not places:
                return body
            if all(_is_reference(body, found.start()) for found in places):
                return _replaced(body, [(*found.span(), encoded[found[1]]) for found in places])
        if not is_utf8(body):
            raise Invalid("the body is not UTF-8", code="structure")
        return _PAIR.sub(lambda found: _new_pair(found, links), body)

    return rewrite


def _beginning(link: bytes) -> bytes:
    """What many links have in common: urn:uuid:, the type of a search, or the scheme of an address."""
    return link[: _BEGINNING.match(link).end()]  # type: ignore[union-attr]


def _is_reference(body: bytes, start: int) -> bool:
    """Whether a string without escapes is the value of a property called reference."""
    return body.startswith(b'"reference":', max(0, start - 12)) or _NAMED_REFERENCE.search(body, max(0, start - 64), start) is not None


def _replaced(body: bytes, places: Sequence[tuple[int, int, bytes]]) -> bytes:
    parts: list[bytes] = []
    done = 0
    for start, end, new in places:
        parts += (body[done:start], new)
        done = end
    return b"".join((*parts, body[done:]))


def is_utf8(body: bytes) -> bool:
    """Whether every byte is text; a Bundle that was taken apart has not been read to the end."""
    try:
        return body.isascii() or bool(body.decode())
    except UnicodeDecodeError:
        return False


def _new_pair(found: re.Match[bytes], links: Mapping[str, str]) -> bytes:
    if found[3] is None:
        return found[0]
    new = _replacement(_text(found[1]), _text(found[3]), links)
    return found[1] + found[2] + json.dumps(new, ensure_ascii=False).encode() if new else found[0]


def _text(quoted: bytes) -> str:
    return str(json.loads(quoted)) if b"\\" in quoted else quoted[1:-1].decode()


@cache
def uri_names() -> frozenset[str]:
    """JSON names whose strings are of type uri, url, oid or uuid.

    A few names are also strings or canonicals in rare places (url in TestScript): there the more common type decides.
    """
    balance: dict[str, int] = {}
    for node in r4().nodes():
        for element in r4().elements(node):
            for name, type_ in element.json_types().items():
                if type_ in r4().primitive_types:
                    balance[name] = balance.get(name, 0) + (1 if type_ in _URI_TYPES else -1)
    return frozenset(name for name, more in balance.items() if more > 0)
