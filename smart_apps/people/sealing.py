"""What must be read again but not stand in clear: sealed with AES-256-GCM under a key file of the data directory; and keyed hashes.

One secret, people.key, and a key derived from it for each purpose (HKDF, RFC 5869).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from chartloop.kernel import clock, keys
from chartloop.kernel.errors import Invalid, Unavailable

if TYPE_CHECKING:
    from pathlib import Path

NONCE_BYTES = 12
KEY_BYTES = 32
MICROSECONDS = 1_000_000


class Seal:
    """The keys of one data directory."""

    def __init__(self, folder: Path) -> None:
        secret = keys.secret(folder, "people.key")
        self._aead = AESGCM(_derived(secret, b"seal"))
        self._mac_key = _derived(secret, b"mac")

    def close(self, plain: bytes, about: str) -> bytes:
        """Seal bytes that are only good for what they are about: a purpose and a person."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, plain, about.encode())

    def open(self, sealed: bytes, about: str) -> bytes:
        """Open what was sealed.

        Raises:
            Unavailable: The key is another one, or the row was tampered with.
        """
        try:
            return self._aead.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], about.encode())
        except InvalidTag as error:
            raise Unavailable("A second factor cannot be read: people.key is not the key that sealed it.") from error

    def hand_out(self, plain: bytes, about: str, ttl_s: int) -> str:
        """Seal bytes for a form that comes back within a time."""
        until = (clock.now_us() + ttl_s * MICROSECONDS).to_bytes(8)
        return base64.urlsafe_b64encode(self.close(until + plain, about)).decode()

    def take_back(self, text: str, about: str) -> bytes:
        """Open what a form brought back.

        Raises:
            Invalid: It is not ours, for something else, or too old.
        """
        message = "This form is too old. Start again."
        try:
            plain = self.open(base64.urlsafe_b64decode(text), about)
        except (binascii.Error, ValueError, Unavailable) as error:
            raise Invalid(message) from error
        if int.from_bytes(plain[:8]) < clock.now_us():
            raise Invalid(message)
        return plain[8:]

    def mac(self, purpose: str, *parts: str) -> bytes:
        """Hash text under a key: what was typed is not in it, and nobody without the key can try words."""
        text = "\0".join((purpose, *parts))
        return hmac.new(self._mac_key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).digest()

    def token(self, purpose: str, *parts: str) -> str:
        """Give the same hash as 43 characters that are safe in a URL and a form."""
        return base64.urlsafe_b64encode(self.mac(purpose, *parts)).rstrip(b"=").decode()


def _derived(secret: bytes, purpose: bytes) -> bytes:
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=b"chartloop people " + purpose).derive(secret)
