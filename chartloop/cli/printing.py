"""Words of others on a terminal: what would move the cursor, hide or turn text is written as its number."""

from __future__ import annotations

import unicodedata

_SEPARATORS = ("Zl", "Zp")


def printable(text: str, most: int = 300) -> str:
    """Write a text so that it stays on its line and reads in its order."""
    shown = "".join(each if _is_plain(each) else f"\\u{ord(each):04x}" for each in text[:most])
    return f"{shown}…" if len(text) > most else shown


def _is_plain(character: str) -> bool:
    category = unicodedata.category(character)
    return category[0] != "C" and category not in _SEPARATORS
