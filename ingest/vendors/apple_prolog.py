"""The document type declaration that Apple writes before its export: looked at for entities, then left out.

Apple's has been malformed in some releases, and nothing in it is needed; blank lines keep the numbers of those that follow.
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
_DOCTYPE: Final = re.compile(rb"<!DOCTYPE\s[^\[<>]*(?:\[.*?\]\s*)?>(?=\s*(?:<!--.*?-->\s*|<\?.*?\?>\s*)*<HealthData[\s>/])", re.DOTALL)
_NAMED: Final = re.compile(rb"<!DOCTYPE\s+HealthData\s*(?:\[|>)")


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
    declared = _DOCTYPE.search(head)
    if declared is None:
        return head
    if not _NAMED.match(declared[0]):
        line = prolog.count(b"\n", 0, declared.start()) + 1
        return Problem(f"line {line}", "The document type names another document: nothing in a DTD is processed.", "security")
    return head[: declared.start()] + b"\n" * declared[0].count(b"\n") + head[declared.end() :]
