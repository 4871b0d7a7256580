"""Positions in page links: sealed, bound to the query and to the reader.

Spec: https://hl7.org/fhir/R4/http.html#paging, https://www.rfc-editor.org/rfc/rfc5297
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from chartloop.kernel.access.subject import Subject
from chartloop.kernel.errors import Forbidden, Invalid

_MAX: Final = 4096
_BLOCK: Final = 64


class Position(NamedTuple):
    """Where a page begins: behind these sort keys and rid, among what existed at the snapshot."""

    after: tuple[object, ...]
    snapshot: int
    back: bool = False
    """The page ends before them instead."""


def seal(secret: bytes, subject: Subject, query: str, position: Position) -> str:
    """Write a position as a token: encrypted, because internal numbers would tell how much is hidden."""
    said = [list(position.after), position.snapshot, reader_of(secret, subject), position.back]
    payload = json.dumps(said, separators=(",", ":"), ensure_ascii=False).encode()
    padded = payload + b" " * (-len(payload) % _BLOCK)
    return base64.urlsafe_b64encode(_cipher(secret).encrypt(padded, [query.encode()])).decode().rstrip("=")


def unseal(secret: bytes, subject: Subject, query: str, token: str) -> Position:
    """Read a token.

    Raises:
        Invalid: It was changed, or belongs to another query.
        Forbidden: It belongs to another reader.
    """
    try:
        sealed = base64.b64decode(token[:_MAX] + "=" * (-len(token[:_MAX]) % 4), altchars=b"-_", validate=True)
        payload = _cipher(secret).decrypt(sealed, [query.encode()])
        after, snapshot, reader, back = msgspec.json.decode(payload, type=tuple[list[int | float | str], int, str, bool])
    except (binascii.Error, ValueError, InvalidTag, msgspec.ValidationError):
        raise Invalid("This page link was changed, or belongs to another query.") from None
    if reader != reader_of(secret, subject):
        raise Forbidden("This page link belongs to another reader.")
    return Position(tuple(after), snapshot, back)


@lru_cache(maxsize=8)
def _cipher(secret: bytes) -> AESSIV:
    return AESSIV(hmac.digest(secret, b"page links", "sha512"))


def reader_of(secret: bytes, subject: Subject) -> str:
    """Name a reader: another role, patient or set of scopes is another one."""
    parts: Sequence[str] = (
        subject.id, subject.role, subject.user, subject.patient, subject.purpose, " ".join(sorted(subject.scopes)),
    )  # fmt: skip
    return hmac.digest(secret, b"reader\x00" + "\x00".join(parts).encode(), "sha256")[:12].hex()
