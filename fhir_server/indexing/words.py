"""The words of a resource, for the full-text index: those of its narrative, and those of everything else that is text.

A word is a run of letters and digits, folded like every string (no case, no accents), at most 64 characters long. Of numbers,
addresses, references, ids, meta and binary data there are no words, but of attachments in plain text there are. At most
16,000 words or 500,000 bytes of one resource are taken, its narrative first.
Spec: https://hl7.org/fhir/R4/search.html#text
"""

from __future__ import annotations

import base64
import binascii
import html
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from fhir_server.indexing.values import fold

MAX_WORDS: Final = 16_000
"""PostgreSQL remembers no place behind 16,383."""
MAX_BYTES: Final = 500_000
MAX_WORD: Final = 64

_WORD: Final = re.compile(r"[^\W_]+")
_TAG: Final = re.compile(r"<[^<>]*>")
_SHORT: Final = 100
_SKIPPED: Final = frozenset({"resourceType", "id", "meta", "system", "url", "reference", "data", "hash"})


class TextWords(NamedTuple):
    """Words of the narrative and of the rest, in their order, with a space between."""

    narrative: str
    content: str


NO_WORDS: Final = TextWords("", "")


def split_words(text: str) -> tuple[str, ...]:
    """List the words of a text."""
    return _short_words(text) if len(text) <= _SHORT else _words(text)


def _words(text: str) -> tuple[str, ...]:
    folded = fold.__wrapped__(text)  # what is long comes once: it would only fill the cache
    return tuple(word[:MAX_WORD] for word in _WORD.findall(folded))


_short_words = lru_cache(maxsize=16_384)(_words)


def words_of(resource: Mapping[str, Any]) -> TextWords:
    """List the words of a valid resource."""
    narrative = resource.get("text")
    div = narrative.get("div", "") if isinstance(narrative, Mapping) else ""
    room = _Room()
    first = room.take([_plain(div)] if div else ())
    return TextWords(first, room.take(text for name, value in resource.items() if name != "text" or not div for text in _texts(name, value)))


class _Room:
    """What may still be taken of one resource."""

    def __init__(self) -> None:
        self._words = MAX_WORDS
        self._bytes = MAX_BYTES

    def take(self, texts: Iterable[str]) -> str:
        taken: list[str] = []
        for text in texts:
            words = split_words(text)
            size = sum(map(len, words)) if text.isascii() else sum(len(word.encode()) for word in words)
            if len(words) > self._words or size > self._bytes:
                words = self._part(words)
                size = self._bytes
            taken += words
            self._words -= len(words)
            self._bytes -= size
            if self._words <= 0 or self._bytes <= 0:
                break
        return " ".join(taken)

    def _part(self, words: tuple[str, ...]) -> tuple[str, ...]:
        """Take as many words as there is room for."""
        size = 0
        for count, word in enumerate(words[: self._words]):
            size += len(word.encode())
            if size > self._bytes:
                return words[:count]
        return words[: self._words]


def _plain(div: str) -> str:
    """Take the tags out of XHTML."""
    return html.unescape(_TAG.sub(" ", div))


def _texts(name: str, value: Any) -> Iterator[str]:
    if name in _SKIPPED:
        return
    if isinstance(value, str):
        if name == "div":
            yield _plain(value)
        elif "://" not in value and not value.startswith("urn:"):
            yield value
    elif isinstance(value, Mapping):
        for inner, item in value.items():
            yield from _texts(inner, item)
        if "data" in value and str(value.get("contentType", "")).startswith("text/plain"):
            yield _decoded(value["data"])
    elif isinstance(value, list):
        for item in value:
            yield from _texts(name, item)


def _decoded(data: object) -> str:
    try:
        return base64.b64decode(str(data)).decode("utf-8", "replace")
    except binascii.Error:
        return ""
