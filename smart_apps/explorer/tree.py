"""A resource as a tree to be looked at: labels, values, links. Pure, and total over what a server may answer."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from smart_apps.explorer.addresses import Addresses

MOST: Final = 4_000
"""Nodes of one page; what is beyond is said to be there."""
_LONG: Final = 20_000
_DATA_SHOWN: Final = 200_000
_APART: Final = frozenset({"resourceType", "text"})


@dataclass(frozen=True, slots=True)
class Node:
    """One element.

    Attributes:
        name: Element name, or the number of a repetition.
        text: Value of a primitive, or a few words that stand for what is inside.
        href: Where a reference leads on this server.
        children: What is inside.
        long: Whether the text is of several lines.
    """

    name: str
    text: str = ""
    href: str = ""
    children: tuple[Node, ...] = ()
    long: bool = False


class _Budget:
    def __init__(self, most: int) -> None:
        self.left = most


def tree(resource: Mapping[str, Any], addresses: Addresses, *, most: int = MOST) -> tuple[Node, ...]:
    """Make the tree of a resource; its narrative is shown apart."""
    budget = _Budget(most)
    return tuple(_members({name: value for name, value in resource.items() if name not in _APART}, addresses, budget))


def _members(value: Mapping[str, Any], addresses: Addresses, budget: _Budget) -> Iterator[Node]:
    for name, inner in value.items():
        if budget.left <= 0:
            yield Node("…", "There is more: look at it as JSON.")
            return
        yield _node(str(name), inner, value, addresses, budget)


def _node(name: str, value: Any, holder: Mapping[str, Any], addresses: Addresses, budget: _Budget) -> Node:
    budget.left -= 1
    if isinstance(value, list):
        if len(value) == 1:
            return _node(name, value[0], holder, addresses, budget)
        items = tuple(_node(str(number + 1), item, {}, addresses, budget) for number, item in enumerate(value[: max(budget.left, 0)]))
        return Node(name, f"{len(value)} entries", children=items)
    if isinstance(value, Mapping):
        return Node(name, words(value), _href(value, addresses), tuple(_members(value, addresses, budget)))
    if name == "data" and isinstance(value, str) and "contentType" in holder:
        return _attached(name, value, str(holder["contentType"]))
    href = addresses.of_reference(value) if name in ("reference", "url") and isinstance(value, str) else ""
    text = shown(value)
    return Node(name, text, href, long="\n" in text or len(text) > 200)


def words(value: Mapping[str, Any]) -> str:
    """Say in a few words what a complex value is; "" where its parts have to speak."""
    for said in (_told, _coded, _quantity, _name, _period):
        if text := said(value):
            return _cut(text)
    return ""


def _told(value: Mapping[str, Any]) -> str:
    return next((value[name] for name in ("text", "display", "reference") if isinstance(value.get(name), str) and value[name]), "")


def _coded(value: Mapping[str, Any]) -> str:
    coding = value.get("coding")
    if isinstance(coding, list) and coding and isinstance(coding[0], Mapping):
        return words(coding[0])
    return value["code"] if isinstance(value.get("code"), str) and "value" not in value else ""


def _quantity(value: Mapping[str, Any]) -> str:
    amount = value.get("value")
    if amount is None or isinstance(amount, (dict, list)):
        return ""
    unit = next((value[name] for name in ("unit", "code", "currency") if isinstance(value.get(name), str)), "")
    return f"{shown(value.get('comparator', ''))}{shown(amount)} {unit}".strip()


def _name(value: Mapping[str, Any]) -> str:
    given = value.get("given")
    parts = (shown(value.get("family", "")), " ".join(map(shown, given)) if isinstance(given, list) else "")
    return ", ".join(filter(None, parts))


def _period(value: Mapping[str, Any]) -> str:
    start, end = value.get("start"), value.get("end")
    return f"{shown(start or '…')} to {shown(end or '…')}" if isinstance(start, str) or isinstance(end, str) else ""


def shown(value: Any) -> str:
    """Write a primitive as it stands in JSON."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    return text if len(text) <= _LONG else f"{text[:_LONG]}… ({len(text):,} characters)"


def _attached(name: str, value: str, content_type: str) -> Node:
    """Show the words of a plain text, and of anything else how much it is."""
    size = len(value) * 3 // 4
    if content_type.startswith("text/plain") and size <= _DATA_SHOWN:
        try:
            return Node(name, base64.b64decode(value, validate=True).decode(), long=True)
        except (binascii.Error, UnicodeDecodeError, ValueError):
            pass
    return Node(name, f"{size:,} bytes of {_cut(content_type)}")


def _href(value: Mapping[str, Any], addresses: Addresses) -> str:
    said = value.get("reference")
    return addresses.of_reference(said) if isinstance(said, str) else ""


def _cut(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:199]}…"
