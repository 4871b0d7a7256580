"""The document type declaration that Apple writes before its export: looked at for entities, then left out.

Apple's has been malformed in some releases, and nothing in it is needed; blank lines keep the numbers of those that follow. Comments and
instructions around it are stepped over one by one, from the front and from the back: a prolog made to be slow is read as fast as any other.
Spec: https://www.w3.org/TR/xml/#sec-prolog-dtd
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ingest.vendors.reading import Problem

if TYPE_CHECKING:
    from typing import BinaryIO

LONGEST: Final = 1_000_000
"""Longest prolog, in bytes."""
_PIECE: Final = 65_536
_ROOT: Final = re.compile(rb"<HealthData[\s>/]")
_BEGIN: Final = re.compile(rb"<!DOCTYPE\s")
_NAMED: Final = re.compile(rb"<!DOCTYPE\s+HealthData\s*(?:\[|>)")
_SPACE: Final = frozenset(b" \t\r\n")
_BOM: Final = b"\xef\xbb\xbf"
_PAIRS: Final = ((b"<!--", b"-->"), (b"<?", b"?>"))


def without_doctype(stream: BinaryIO) -> bytes | Problem:
    """Read up to the document element and leave the document type declaration out.

    Returns:
        The first bytes of the document, to be followed by the rest of the stream; a problem where the declaration names entities or
        another document, or where there is no document element.
    """
    head = b""
    while not (root := _ROOT.search(head)):
        piece = stream.read(_PIECE)
        if not piece or len(head) > LONGEST:
            # what is no export, or is in an encoding of its own, is for the parser to judge
            return head + piece
        head += piece
    prolog = head[: root.start()]
    if b"<!ENTITY" in prolog:
        line = prolog.count(b"\n", 0, prolog.index(b"<!ENTITY")) + 1
        return Problem(f"line {line}", "Entities are not declared here: nothing in a DTD is processed.", "security")
    found = _declaration(prolog)
    if found is None:
        return head
    start, end = found
    if not _NAMED.match(prolog, start):
        line = prolog.count(b"\n", 0, start) + 1
        return Problem(f"line {line}", "The document type names another document: nothing in a DTD is processed.", "security")
    return head[:start] + b"\n" * prolog.count(b"\n", start, end) + head[end:]


def _declaration(prolog: bytes) -> tuple[int, int] | None:
    """Where the declaration begins and ends: alone between comments, instructions and white space, its subset however it is formed."""
    start, end = _after(prolog), _before(prolog)
    if end <= start or not _BEGIN.match(prolog, start) or not prolog.endswith(b">", start, end):
        return None
    inside = prolog[start + len(b"<!DOCTYPE") : end - 1].rstrip()
    name, subset, _ = inside.partition(b"[")
    if b"<" in name or b">" in name or (subset and not inside.endswith(b"]")):
        return None
    return start, end


def _after(prolog: bytes) -> int:
    """The first byte behind the comments and instructions that the prolog begins with."""
    at = len(_BOM) if prolog.startswith(_BOM) else 0
    while True:
        while at < len(prolog) and prolog[at] in _SPACE:
            at += 1
        close = next((last for first, last in _PAIRS if prolog.startswith(first, at)), b"")
        stop = prolog.find(close, at + 2) if close else -1
        if stop < 0:
            return at
        at = stop + len(close)


def _before(prolog: bytes) -> int:
    """The first byte of the comments and instructions that the prolog ends with."""
    end = len(prolog)
    while True:
        while end and prolog[end - 1] in _SPACE:
            end -= 1
        opened = next((first for first, last in _PAIRS if prolog.endswith(last, 0, end)), b"")
        start = prolog.rfind(opened, 0, end - 2) if opened else -1
        if start < 0:
            return end
        end = start
