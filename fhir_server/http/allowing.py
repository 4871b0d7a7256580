"""The methods that an address takes: Allow of a 405 and of OPTIONS.

Spec: https://www.rfc-editor.org/rfc/rfc9110#section-10.2.1
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from fhir_server.patching.documents import FORMATS

ACCEPT_PATCH: Final = ("Accept-Patch", ", ".join(FORMATS))
_ORDER: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_VARIABLE: Final = re.compile(r"<\w+>")


class Address(NamedTuple):
    """A pattern of addresses and a method that it takes."""

    pattern: re.Pattern[str]
    method: str
    conditional: bool
    """Only with a query string."""


def address(rule: str, method: str, *, conditional: bool = False) -> Address:
    """Read a rule as the routes write it; a name never starts with `_` or `$`."""
    pattern = "".join(_part(part) for part in rule.strip("/").split("/"))
    return Address(re.compile(pattern), method, conditional)


def _part(part: str) -> str:
    if part == "<type_>":
        return "/[A-Z][A-Za-z]*"
    return "/[^/_$][^/]*" if _VARIABLE.fullmatch(part) else f"/{re.escape(part)}"


def allowed(addresses: Iterable[Address], path: str, *, query: bool, refused: str = "") -> tuple[str, ...]:
    """Return the methods of an address, in their usual order.

    Args:
        addresses: All of them.
        path: The path below the base.
        query: Whether the request has a query string.
        refused: The method that was refused.
    """
    where = f"/{path.strip('/')}"
    found = {each.method for each in addresses if each.pattern.fullmatch(where) and (query or not each.conditional)}
    found |= {"HEAD"} if "GET" in found else set()
    return tuple(method for method in _ORDER if method in found | {"OPTIONS"} and method != refused)


def allow_header(methods: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Say them, and the kinds of patches where there is PATCH."""
    said = (("Allow", ", ".join(methods)),)
    return (*said, ACCEPT_PATCH) if "PATCH" in methods else said
