"""Passwords: long rather than odd, never a known one, kept as argon2id.

Spec: https://pages.nist.gov/800-63-4/sp800-63b.html#passwordver
"""

from __future__ import annotations

import threading
import unicodedata
from functools import cache
from itertools import pairwise
from pathlib import Path

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from chartloop.kernel.errors import Unavailable

MIN_LENGTH = 12
MAX_LENGTH = 200
LONGEST_LOOKED_AT = 1000
FEW_CHARACTERS = 5
WORD = 4
AT_ONCE = 4  # each takes 46 MiB for some hundredths of a second
PATIENCE_S = 10.0
_LOOKALIKES = str.maketrans("0134578@$!", "oleastbasi")
KNOWN = Path(__file__).with_name("known_passwords.txt")

# OWASP's first choice of parameters for argon2id: 46 MiB, one pass, one lane.
_hasher = PasswordHasher(time_cost=1, memory_cost=47_104, parallelism=1)
_NOBODYS = "$argon2id$v=19$m=47104,t=1,p=1$SfAud28+C56AJBdVgdjraw$Z6ACPCXtM0VJ/NJpDq2SFlLpC4iABkMPRjweXf4lXOs"
"""Stands in for a person who is not there: the hash of 256 random bits that nobody kept."""
_places = threading.BoundedSemaphore(AT_ONCE)


def hashed(password: str) -> str:
    """Hash a password for its row."""
    with _Place():
        return _hasher.hash(_normal(password))


def matches(hash_: str, password: str) -> bool:
    """Tell whether a password is the one that was hashed. An empty hash takes the same time and matches nothing."""
    with _Place():
        try:
            right = _hasher.verify(hash_ or _NOBODYS, _normal(password)[: MAX_LENGTH + 1])
        except (VerificationError, InvalidHashError):
            return False
    return right and bool(hash_)


def outdated(hash_: str) -> bool:
    """Whether a hash was made with other parameters than those of this release."""
    return _hasher.check_needs_rehash(hash_)


def check_strength(password: str, *about: str) -> str:
    """Say why a password is one that somebody else would try; empty when it is a good one.

    Args:
        password: What was chosen.
        about: The login and the name, of which it may not be made.
    """
    plain = _normal(password)
    bare = _bare(plain)
    if len(plain) < MIN_LENGTH:
        return f"A password has at least {MIN_LENGTH} characters. Several words are easy to remember."
    if len(plain) > MAX_LENGTH:
        return f"A password has at most {MAX_LENGTH} characters."
    if len(set(plain.casefold())) < FEW_CHARACTERS or _in_a_row(bare):
        return "This password repeats itself or counts up. Choose another."
    if any(form.strip("0123456789") in known() or form in known() for form in (bare, _bare(plain.translate(_LOOKALIKES)))):
        return "This password is among those that are tried first. Choose another."
    rest = bare
    for word in sorted({word for text in ("chartloop", *about) for word in _words(text)}, key=len, reverse=True):
        rest = rest.replace(word, "")
    if rest != bare and len(rest) < MIN_LENGTH - WORD:
        return "This password is made of your login or name. Choose another."
    return ""


@cache
def known() -> frozenset[str]:
    """Passwords that are tried first, without case and punctuation."""
    lines = KNOWN.read_text(encoding="utf-8").splitlines()
    return frozenset(line for line in lines if line and not line.startswith("#"))


def _normal(password: str) -> str:
    """Write a password in one way, whatever keyboard it was typed on (NFKC, as RFC 8265 and NIST ask for)."""
    return unicodedata.normalize("NFKC", password[:LONGEST_LOOKED_AT])


def _bare(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum())


def _words(text: str) -> list[str]:
    folded = "".join(character if character.isalnum() else " " for character in text.casefold())
    return [word for word in folded.split() if len(word) >= WORD]


def _in_a_row(text: str) -> bool:
    steps = {ord(second) - ord(first) for first, second in pairwise(text)}
    return len(text) > 1 and steps in ({0}, {1}, {-1})


class _Place:
    """One of the few places for hashing: a flood of logins waits here and does not eat the memory of the server."""

    def __enter__(self) -> None:
        if not _places.acquire(timeout=PATIENCE_S):
            raise Unavailable("Too many people log in at this moment. Try again in a minute.")

    def __exit__(self, *_: object) -> None:
        _places.release()
