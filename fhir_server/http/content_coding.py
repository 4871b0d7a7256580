"""gzip: bodies that come compressed, and answers that leave so where the client takes it and it is worth it.

Compressed answers cannot tell a page's secrets (BREACH): a token comes in a header that no other site's page can make a browser send,
and pages with cookies or forms are no FHIR answers. Entity tags are weak, so one tag is right for every coding of a version.
Spec: https://www.rfc-editor.org/rfc/rfc9110#section-8.4, https://www.rfc-editor.org/rfc/rfc1952
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from chartloop.kernel.errors import Invalid, TooLarge, UnsupportedMedia
from chartloop.kernel.http import read_body

WORTH: Final = 1_400
"""Bytes that fit into one packet are not worth it."""

_GZIP: Final = frozenset({"gzip", "x-gzip"})
_WINDOW: Final = 16 + zlib.MAX_WBITS  # 16: with gzip's header and checksum
_LEVEL: Final = 1  # measured on a search page of 75 kB: 0.09 ms to 9.0 kB; level 6 takes 0.3 ms to 6.9 kB
_STEP: Final = 65_536
_LONGEST: Final = 500


def read_coded(environ: Mapping[str, Any], max_bytes: int) -> bytes:
    """Read a body, plain or gzipped; neither it nor what it unpacks to may be larger than the limit.

    Raises:
        TooLarge: It is larger.
        Invalid: It is no whole gzip stream.
        UnsupportedMedia: It is coded otherwise, or more than once.
    """
    coding = str(environ.get("HTTP_CONTENT_ENCODING", "")).strip().lower() or "identity"
    if coding == "identity":
        return read_body(environ, max_bytes)
    if coding not in _GZIP:
        raise UnsupportedMedia("A body is plain or compressed once, with gzip.")
    return unzipped(read_body(environ, max_bytes), max_bytes)


def unzipped(packed: bytes, max_bytes: int) -> bytes:
    """Unpack every member of a gzip file, step by step; never hold more than the limit."""
    parts: list[bytes] = []
    size = 0
    left = packed
    try:
        while left:
            member = zlib.decompressobj(_WINDOW)
            while not member.eof:
                part = member.decompress(left, _STEP)
                left = member.unconsumed_tail
                size += len(part)
                if size > max_bytes:
                    raise TooLarge(f"The unpacked body is larger than {max_bytes} bytes.")
                if not part and not left and not member.eof:
                    raise Invalid("The gzip stream ends too early.", code="structure")
                parts.append(part)
            left = member.unused_data
    except zlib.error:
        raise Invalid("The body is not a gzip stream.", code="structure") from None
    if not packed:
        raise Invalid("The gzip stream ends too early.", code="structure")
    return b"".join(parts)


def zipped(body: bytes) -> bytes:
    """Pack an answer; the same bytes for the same body."""
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _WINDOW)
    return packer.compress(body) + packer.flush()


def takes_gzip(environ: Mapping[str, Any]) -> bool:
    """Whether Accept-Encoding names gzip, or takes anything."""
    said = environ.get("HTTP_ACCEPT_ENCODING")
    return bool(said) and _takes_gzip(str(said)[:_LONGEST])


@lru_cache(maxsize=256)
def _takes_gzip(said: str) -> bool:
    quality: dict[str, bool] = {}
    for part in said.lower().split(","):
        name, _, weight = part.partition(";")
        quality[name.strip()] = weight.replace(" ", "").strip("0.") != "q="
    return quality.get("gzip", quality.get("x-gzip", quality.get("*", False)))
