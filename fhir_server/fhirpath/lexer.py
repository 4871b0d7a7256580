"""Tokens of a FHIRPath expression, each with its position.

Spec: http://hl7.org/fhirpath/N1/#lexical-elements
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from fhir_server.fhirpath.errors import Unreadable

MAX_LENGTH: Final = 20_000
_DAY: Final = r"\d{4}(?:-\d\d(?:-\d\d)?)?"
_CLOCK: Final = r"\d\d(?::\d\d(?::\d\d(?:\.\d+)?)?)?"
_TOKEN: Final = re.compile(
    rf"""(?P<space>[ \t\r\n]+|//[^\r\n]*|/\*.*?\*/)
    |(?P<time>@T{_CLOCK})
    |(?P<datetime>@{_DAY}T(?:{_CLOCK}(?:Z|[+-]\d\d:\d\d)?)?)
    |(?P<date>@{_DAY})
    |(?P<number>\d+(?:\.\d+)?)
    |(?P<string>'(?:[^'\\]|\\.)*')
    |(?P<variable>%(?:[A-Za-z_][A-Za-z0-9_]*|`(?:[^`\\]|\\.)*`|'(?:[^'\\]|\\.)*'))
    |(?P<special>\$[A-Za-z]+)
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<delimited>`(?:[^`\\]|\\.)*`)
    |(?P<mark><=|>=|!=|!~|[-+*/&|<>=~.,()\[\]{{}}])""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE: Final = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.DOTALL)
_ESCAPES: Final = {"f": "\f", "n": "\n", "r": "\r", "t": "\t"}


class Token(NamedTuple):
    """One token; of strings and delimited names the content, escapes resolved."""

    kind: str
    text: str
    at: int


def tokens(expression: str) -> list[Token]:
    """Split an expression into tokens, with an `end` token last.

    Raises:
        Unreadable: A character, a text or a comment that FHIRPath does not know.
    """
    if len(expression) > MAX_LENGTH:
        raise Unreadable("the expression is too long")
    return [*_tokens(expression), Token("end", "", len(expression))]


def _tokens(expression: str) -> Iterator[Token]:
    at = 0
    while at < len(expression):
        found = _TOKEN.match(expression, at)
        if found is None or (expression.startswith("/*", at) and found.lastgroup != "space"):
            raise Unreadable("this is not FHIRPath", at)
        kind = str(found.lastgroup)
        if kind != "space":
            yield Token(kind, _content(kind, found[0]), at)
        at = found.end()


def _content(kind: str, text: str) -> str:
    if kind == "variable":
        text = text[1:]
        return _unescaped(text[1:-1]) if text[0] in "`'" else text
    return _unescaped(text[1:-1]) if kind in ("string", "delimited") else text


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(_character, text) if "\\" in text else text


def _character(found: re.Match[str]) -> str:
    escape = found[1]
    return chr(int(escape[1:], 16)) if len(escape) > 1 else _ESCAPES.get(escape, escape)
