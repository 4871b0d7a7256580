"""Sealed bytes: the number of their data key, a random nonce, and AES-256-GCM over them and the place where they belong.

Nonce: 96 random bits for every sealing, never from a counter or a clock, so that processes and restored backups cannot repeat one;
a key seals at most 2^32 times (MOST_USES), which is what random nonces allow. The place is authenticated and not stored: what is moved to another
row does not open.
Spec: NIST SP 800-38D section 8.2.2 and 8.3, https://www.rfc-editor.org/rfc/rfc5116
"""

from __future__ import annotations

import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from chartloop.kernel.errors import ChartloopError

ALGORITHM: Final = "AES-256-GCM"
KEY_BYTES: Final = 32
MOST_USES: Final = 2**32
OVERHEAD: Final = 8 + 12 + 16
"""Bytes that sealing adds: number, nonce, tag."""

_NUMBER: Final = 8
_NONCE: Final = 12


class Altered(ChartloopError):
    """What is stored was altered, or stands where it does not belong."""


def seal(cipher: AESGCM, number: int, clear: bytes, place: str) -> bytes:
    """Encrypt bytes for the place where they will be kept."""
    nonce = os.urandom(_NONCE)
    return number.to_bytes(_NUMBER, "big") + nonce + cipher.encrypt(nonce, clear, place.encode())


def number_of(sealed: bytes) -> int:
    """Read which data key opens it."""
    if len(sealed) < OVERHEAD:
        raise Altered
    return int.from_bytes(sealed[:_NUMBER], "big")


def unseal(cipher: AESGCM, sealed: bytes, place: str) -> bytes:
    """Decrypt what was sealed for this place.

    Raises:
        Altered: It was sealed with another key, for another place, or changed since.
    """
    try:
        return cipher.decrypt(sealed[_NUMBER : _NUMBER + _NONCE], sealed[_NUMBER + _NONCE :], place.encode())
    except InvalidTag:
        raise Altered from None
