"""Text of strangers inside GitHub Flavored Markdown: it stays text, whatever is in it.

Spec: https://github.github.com/gfm/#backslash-escapes
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

# Controls, separators that break lines, marks that turn the writing direction or are not seen.
_UNSEEN: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202f\u2060-\u206f\ufeff\ufff9-\ufffb]+")
_SPACES: Final = re.compile(r"\s+")
_MARKS: Final = re.compile(r"[\\`*_\[\]|~$@]|:(?=//)|(?<=[wW]{3})\.|(?<=xmpp):|(?<=mailto):", re.IGNORECASE)
_ENTITIES: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def plain(text: str) -> str:
    """One line of what can be seen."""
    return _SPACES.sub(" ", _UNSEEN.sub(" ", text)).strip()


def shorten(text: str, limit: int) -> str:
    """Cut one line to so many UTF-16 units, which is how browsers count, with an ellipsis where something is left out."""
    line = plain(text[: limit * 4])
    if _units(line) <= limit and len(text) <= limit * 4:
        return line
    while _units(line) > limit - 1:
        line = line[: min(len(line) - 1, limit - 1)]
    return line.rstrip() + "…"


def escape(text: str, limit: int = 120) -> str:
    """One line, cut and escaped, to stand inside a sentence or a table cell: no markup, no HTML, no link by itself."""
    return _MARKS.sub(lambda mark: "\\" + mark[0], shorten(text, limit).translate(_ENTITIES))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are escaped already."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _units(text: str) -> int:
    return len(text) + sum(letter > "\uffff" for letter in text)
