"""Recovery codes: ten, each good once, kept as hashes."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from smart_apps.opaque import digest

if TYPE_CHECKING:
    from chartloop.kernel.db import OneRow, Tx

COUNT = 10
GROUPS, GROUP = 4, 5
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # without what looks alike


def renew(tx: Tx, person: str) -> list[str]:
    """Make new codes, of 99 random bits each; the old ones end. They cannot be shown again."""
    codes = ["-".join("".join(secrets.choice(_ALPHABET) for _ in range(GROUP)) for _ in range(GROUPS)) for _ in range(COUNT)]
    tx.run("delete from person_recovery where person = ?", (person,))
    tx.many("insert into person_recovery (digest, person) values (?, ?)", [(_digest(person, code), person) for code in codes])
    return codes


def spend(tx: Tx, person: str, code: str) -> bool:
    """Accept a code once."""
    return tx.run("delete from person_recovery where digest = ? and person = ?", (_digest(person, code), person)) == 1


def left(db: OneRow, person: str) -> int:
    """Count the codes that still work."""
    row = db.one("select count(*) from person_recovery where person = ?", (person,))
    return int(row[0]) if row else 0


def _digest(person: str, code: str) -> bytes:
    plain = "".join(character for character in code.casefold() if character.isalnum())
    return digest(f"{person} {plain}")
