"""The text of `_text` and `_content` as a syntax tree, and the tree as each database's own query; pure.

Words side by side must all be there; AND, OR and NOT (in either case; a word of that name goes into quotes), parentheses,
"a phrase in quotes", and words that begin so: card*. AND binds before OR. What a user writes never reaches the database: its
words do, which are letters and digits, folded as they are indexed.
Spec: https://hl7.org/fhir/R4/search.html#content, https://www.sqlite.org/fts5.html#full_text_query_syntax
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from fhir_server.indexing.words import split_words

MAX_LENGTH: Final = 1_000
MAX_DEPTH: Final = 8
MAX_PHRASES: Final = 32
MIN_PREFIX: Final = 2

_PIECE: Final = re.compile(r'\s*(?:([()])|"([^"]*)"(\*?)|([^\s()"]+))')
_WORDS: Final = frozenset({"and", "or", "not"})


class TextError(Exception):
    """A text cannot be searched for; positions count characters from 1."""


class Phrase(NamedTuple):
    """Words one after the other, and whether the last is a beginning."""

    words: tuple[str, ...]
    prefix: bool = False


class Every(NamedTuple):
    """What must be there, and what must not; there is at least one that must."""

    parts: tuple[TextNode, ...]
    without: tuple[TextNode, ...] = ()


class Some(NamedTuple):
    """Alternatives."""

    parts: tuple[TextNode, ...]


TextNode = Phrase | Every | Some


def read_text_query(text: str) -> TextNode:
    """Read what must be found.

    Raises:
        TextError: It says nothing, or nothing but NOT, or too much, or its parentheses or quotes do not match.
    """
    if len(text) > MAX_LENGTH:
        raise TextError(f"a text has at most {MAX_LENGTH} characters")
    reader = _Reader(text)
    found = reader.some(0)
    if reader.piece is not None:
        raise reader.error("expected the end")
    return found


def fts5(node: TextNode) -> str:
    """Write a tree for FTS5."""
    if isinstance(node, Phrase):
        return f'"{" ".join(node.words)}"{" *" if node.prefix else ""}'
    if isinstance(node, Some):
        return "(" + " OR ".join(map(fts5, node.parts)) + ")"
    every = "(" + " AND ".join(map(fts5, node.parts)) + ")"
    return f"({every} NOT ({' OR '.join(map(fts5, node.without))}))" if node.without else every


def tsquery(node: TextNode) -> str:
    """Write a tree for PostgreSQL."""
    if isinstance(node, Phrase):
        return "(" + " <-> ".join(f"'{word}'" for word in node.words) + (":*" if node.prefix else "") + ")"
    if isinstance(node, Some):
        return "(" + " | ".join(map(tsquery, node.parts)) + ")"
    return "(" + " & ".join([*map(tsquery, node.parts), *(f"!{tsquery(part)}" for part in node.without)]) + ")"


def has_prefix(node: TextNode) -> bool:
    """Whether any of it is the beginning of a word, which stands for many words."""
    if isinstance(node, Phrase):
        return node.prefix
    return any(map(has_prefix, [*node.parts, *(node.without if isinstance(node, Every) else ())]))


class _Reader:
    """Reads piece by piece; `piece` is the next one, None at the end."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._end = 0
        self._start = 0
        self._phrases = 0
        self.piece: re.Match[str] | None = None
        self._advance()

    def error(self, text: str) -> TextError:
        return TextError(f"{text} at character {self._start + 1}")

    def some(self, depth: int) -> TextNode:
        parts = [self._every(depth)]
        while self._keyword() == "or":
            self._advance()
            parts.append(self._every(depth))
        return parts[0] if len(parts) == 1 else Some(tuple(parts))

    def _every(self, depth: int) -> TextNode:
        start = self._start
        wanted: list[TextNode] = []
        unwanted: list[TextNode] = []
        while True:
            negated = False
            while self._keyword() == "not":
                negated = not negated
                self._advance()
            (unwanted if negated else wanted).append(self._one(depth))
            if self._keyword() == "and":
                self._advance()
            elif self.piece is None or self.piece[1] == ")" or self._keyword() == "or":
                break
        if not wanted:
            self._start = start
            raise self.error("a word that must be there is needed beside NOT")
        return wanted[0] if len(wanted) == 1 and not unwanted else Every(tuple(wanted), tuple(unwanted))

    def _one(self, depth: int) -> TextNode:
        if self.piece is None or self.piece[1] == ")" or self._keyword():
            raise self.error("expected a word")
        if self.piece[1] != "(":
            return self._phrase(self.piece)
        if depth >= MAX_DEPTH:
            raise self.error(f"parentheses are at most {MAX_DEPTH} deep")
        self._advance()
        found = self.some(depth + 1)
        if self.piece is None or self.piece[1] != ")":
            raise self.error("expected )")
        self._advance()
        return found

    def _phrase(self, piece: re.Match[str]) -> Phrase:
        self._phrases += 1
        if self._phrases > MAX_PHRASES:
            raise self.error(f"there are at most {MAX_PHRASES} words and phrases")
        bare = piece[4] or ""
        prefix = bool(piece[3]) or bare.endswith("*")
        said = bare.removesuffix("*") if piece[4] else piece[2]
        if bare.startswith("-") or "*" in bare.removesuffix("*"):
            raise self.error("expected a word: NOT is written out, and * stands at the end of a word")
        words = split_words(said)
        if not words:
            raise self.error("expected letters or digits")
        if prefix and len(words[-1]) < MIN_PREFIX:
            raise self.error(f"expected at least {MIN_PREFIX} letters before *")
        self._advance()
        return Phrase(words, prefix)

    def _keyword(self) -> str:
        """Return the keyword that is next, if one is."""
        word = self.piece[4].lower() if self.piece is not None and self.piece[4] else ""
        return word if word in _WORDS else ""

    def _advance(self) -> None:
        self._start = self._end
        self.piece = _PIECE.match(self._text, self._end)
        if self.piece is not None:
            self._start, self._end = self.piece.start(self.piece.lastindex or 0), self.piece.end()
        elif self._text[self._end :].strip():
            raise self.error("expected closing quotes")
