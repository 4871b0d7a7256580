"""Opaque secrets: what a holder presents, and the digest that is stored of it."""

from __future__ import annotations

import hashlib
import secrets

SECRET_BYTES = 32


def new_secret() -> str:
    """Make 256 random bits, safe in a URL."""
    return secrets.token_urlsafe(SECRET_BYTES)


def digest(secret: str) -> bytes:
    """Give what is stored of a secret. It has 256 bits of its own, so it needs neither salt nor stretching."""
    return hashlib.sha256(secret.encode()).digest()
