"""Words: each system, text and address that a search parameter has held, with the hash that finds its resources.

An equality index holds hashes, which know no prefixes and no parts. What asks for a part of a value (a code without its
system, `system|`, `:text`, `:below` of an address) is looked up among the words first, and becomes a list of hashes: one row
of the index serves every form of a code, and codes repeat.
Spec: https://hl7.org/fhir/R4/search.html#token
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from fhir_server.hashing import value_hash
from fhir_server.indexing.extraction import IndexValues
from fhir_server.indexing.values import TEXT as TEXT_MARK

SYSTEM: Final = 1
"""The system of a token."""
CODE: Final = 2
"""The code of a token, whatever its system."""
TEXT: Final = 3
"""A folded text beside a token."""
ADDRESS: Final = 4
"""A uri, or a canonical address with its version."""

LENGTH: Final = 200
"""Texts are kept up to here, as strings are, and no search value is longer; addresses and systems have a hash for their rest."""

Word = tuple[int, int, str, int]
"""Parameter, kind, word, and the hash in the index."""


@lru_cache(maxsize=65_536)
def mark_hash(kind: str, text: str) -> int:
    """Hash a mark beside a token; no code begins with U+0000, so that it is never taken for one."""
    return value_hash(f"\x00{kind}\x00{text[:LENGTH] if kind == TEXT_MARK else text}")


@lru_cache(maxsize=4_096)
def whole_word(text: str) -> str:
    """Return the form in which a system or an address is kept: one that is too long for a key ends in its hash."""
    return text if len(text) <= LENGTH + 1 else f"{text[: LENGTH + 1]}\x01{value_hash(text)}"


@lru_cache(maxsize=32_768)
def coded_token(param: int, system: str, code: str) -> tuple[int, tuple[Word, ...]]:
    """Hash of a token of a parameter whose tokens are codes, and its words: as `code` and `system|` the vocabulary knows it."""
    value = value_hash(f"{system}|{code}")
    words = ((SYSTEM, system), (CODE, code))
    return value, tuple((param, kind, whole_word(word), value) for kind, word in words if word)


def words_beside(values: IndexValues) -> Iterator[Word]:
    """List the words of a resource that are no codes: texts beside them, and addresses. Identifiers do not repeat, and are no words."""
    for param, kind, text in values.marks:
        if kind == TEXT_MARK:
            yield param, TEXT, text[:LENGTH], mark_hash(kind, text)
    for param, uri in values.uris:
        yield param, ADDRESS, whole_word(uri), value_hash(uri)
    for param, _, id_, each in values.references:
        if not id_ and "|" in each:
            yield param, ADDRESS, whole_word(each), value_hash(each)
