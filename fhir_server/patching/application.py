"""A patch as a function of a resource's tree, and what is wrong with one: which operation, and why.

Spec: https://hl7.org/fhir/R4/http.html#patch
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from chartloop.kernel.errors import Invalid, Unprocessable, UnsupportedMedia
from fhir_server.json_tree import canonical, read_tree, write_tree
from fhir_server.validation.parsing import MAX_DEPTH, nests_deeper

Patch = Callable[[Any], Any]
"""Takes a tree that it may change; returns the patched tree."""

MAX_OPERATIONS: Final = 2000


class Broken(Exception):
    """An operation cannot be done; the text says why, and repeats no value."""


def require_few(operations: object) -> None:
    """Refuse a patch with more operations than one request may ask for."""
    if isinstance(operations, list) and len(operations) > MAX_OPERATIONS:
        raise Unprocessable(f"A patch has at most {MAX_OPERATIONS} operations.", code="too-costly")


def malformed(index: int, why: str, expression: str = "") -> Invalid:
    """Say which operation of a patch cannot be read."""
    return Invalid(f"Operation {index}: {why}", code="value", expression=expression)


def failed(index: int, kind: str, why: str, expression: str = "") -> Unprocessable:
    """Say which operation of a patch cannot be done."""
    return Unprocessable(f"Operation {index} ({kind}): {why}", code="processing", expression=expression)


def patched_body(body: bytes, patch: Patch) -> bytes:
    """Apply a patch to a stored body; the very same bytes where it changes nothing.

    Raises:
        Unprocessable: An operation cannot be done, or the patch asks for too much.
    """
    tree = read_tree(body)
    before = canonical(tree)
    try:
        changed = patch(tree)
        if canonical(changed) == before:
            return body
        written = write_tree(changed)
    except RecursionError:
        raise _too_deep() from None
    if nests_deeper(written, MAX_DEPTH):
        raise _too_deep()
    return written


def _too_deep() -> Unprocessable:
    return Unprocessable(f"The patched resource nests deeper than {MAX_DEPTH} levels.", code="too-costly")


def unsupported() -> UnsupportedMedia:
    """Say which kinds of patches there are."""
    return UnsupportedMedia("A patch is application/json-patch+json, or a Parameters resource as application/fhir+json or application/fhir+xml.")
