"""Codes of an authenticator app; each time step is good once.

Spec: https://datatracker.ietf.org/doc/html/rfc6238
"""

from __future__ import annotations

import base64
import secrets
from hmac import compare_digest
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

import segno
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.hotp import HOTP

from chartloop.kernel import clock

if TYPE_CHECKING:
    from chartloop.kernel.db import OneRow, Tx
    from smart_apps.people.sealing import Seal

STEP_S = 30
DIGITS = 6
SECRET_BYTES = 20
DRIFT = 1  # steps that a clock may be wrong, before and after


def new_secret() -> bytes:
    """Make the 160 random bits that RFC 4226 asks for."""
    return secrets.token_bytes(SECRET_BYTES)


def base32(secret: bytes) -> str:
    """Write a secret for somebody who types it, in groups of four."""
    text = base64.b32encode(secret).decode()
    return " ".join(text[at : at + 4] for at in range(0, len(text), 4))


def uri(secret: bytes, login: str, issuer: str) -> str:
    """Write the address that authenticator apps read."""
    query = urlencode({"secret": base64.b32encode(secret).decode(), "issuer": issuer, "algorithm": "SHA1", "digits": DIGITS, "period": STEP_S})
    return f"otpauth://totp/{quote(issuer)}:{quote(login)}?{query}"


def drawing(text: str) -> str:
    """Draw a QR code as inline SVG, without a style that a strict policy would refuse."""
    return str(segno.make_qr(text, error="m").svg_inline(border=2, dark="#1b2733", light="#fff", omitsize=True, svgclass="qr", lineclass=None))


def step_of(secret: bytes, code: str) -> int | None:
    """Find the time step whose code this is, among those that are good now."""
    digits = "".join(code.split())
    if len(digits) != DIGITS or not (digits.isascii() and digits.isdigit()):
        return None
    now = clock.now_us() // 1_000_000 // STEP_S
    hotp = HOTP(secret, DIGITS, SHA1())  # noqa: S303 the algorithm that every app has; HMAC does not need collisions to be hard  # nosec B303
    good = [step for step in range(now - DRIFT, now + DRIFT + 1) if compare_digest(hotp.generate(step), digits.encode())]
    return good[-1] if good else None


def enrol(tx: Tx, seal: Seal, person: str, secret: bytes, step: int, now: int) -> None:
    """Keep a secret of which a code was shown; that code is spent with it."""
    tx.run("delete from person_totp where person = ?", (person,))
    tx.run("insert into person_totp (person, sealed, last_step, created) values (?, ?, ?, ?)", (person, seal.close(secret, _about(person)), step, now))


def spend(tx: Tx, seal: Seal, person: str, code: str) -> bool:
    """Accept a code once."""
    row = tx.one("select sealed from person_totp where person = ?", (person,))
    step = None if row is None else step_of(seal.open(bytes(row[0]), _about(person)), code)
    return step is not None and tx.run("update person_totp set last_step = ? where person = ? and last_step < ?", (step, person, step)) == 1


def enrolled(db: OneRow, person: str) -> bool:
    """Whether somebody uses an authenticator app."""
    return db.one("select 1 from person_totp where person = ?", (person,)) is not None


def _about(person: str) -> str:
    return f"totp {person}"
