"""A resource from JSON to XML: elements in the order of the definitions, every value as it was written.

What XML 1.0 cannot hold (most characters below U+0020) becomes U+FFFD; FHIR says that a string should have none of them.
Spec: https://hl7.org/fhir/R4/xml.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from fhir_server.json_tree import Number, read_tree
from fhir_server.xml.narrative import narrative_to_xml
from fhir_server.xml.shapes import ELEMENT, FHIR, Kind, Shape, Slot, shape

_SPECIAL: Final = re.compile('[&<"\\x00-\\x1f\\ufffe\\uffff]')
_ESCAPED: Final = {"&": "&amp;", "<": "&lt;", '"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}
_HEAD: Final = '<?xml version="1.0" encoding="UTF-8"?>'


def json_to_xml(body: bytes, *, pretty: bool = False) -> bytes:
    """Write a resource as XML.

    Args:
        body: The resource as JSON, valid.
        pretty: Whether to lay it out for people; narratives stay as they are.

    Returns:
        The XML in UTF-8.
    """
    writer = _Writer(pretty=pretty)
    writer.parts.append(_HEAD)
    writer.resource(read_tree(body), 0, f' xmlns="{FHIR}"')
    return "".join(writer.parts).encode()


class _Writer:
    """Collects the text of one document."""

    def __init__(self, *, pretty: bool) -> None:
        self.parts: list[str] = []
        self._pretty = pretty

    def resource(self, resource: Mapping[str, Any], level: int, namespace: str = "") -> None:
        name = resource["resourceType"]
        self._break(level)
        self.parts.append(f"<{name}{namespace}>")
        self._members(resource, shape(name), level + 1)
        self._break(level)
        self.parts.append(f"</{name}>")

    def _break(self, level: int) -> None:
        if self._pretty:
            self.parts.append("\n" + "  " * level)

    def _members(self, members: Mapping[str, Any], of: Shape, level: int) -> None:
        """Write the elements of an object; an underscore sibling is written with its value, or where there is none, by itself."""
        found: list[tuple[int, str, Slot]] = []
        for name in members:
            if name == "resourceType" and name not in of.by_name:
                continue
            plain = name.removeprefix("_")
            slot = of.by_name[plain]
            if slot.kind is not Kind.ATTRIBUTE and (plain == name or plain not in members):
                found.append((slot.place, plain, slot))
        for _, name, slot in sorted(found):
            value = members.get(name)
            if slot.primitive:
                self._primitives(slot, value, members.get("_" + name), level)
            elif slot.many:
                for item in value or ():
                    self._element(slot, item, level)
            else:
                self._element(slot, value, level)

    def _primitives(self, slot: Slot, value: Any, extra: Any, level: int) -> None:
        if not slot.many:
            self._primitive(slot, value, extra, level)
            return
        values, extras = value or (), extra or ()
        for index in range(max(len(values), len(extras))):
            self._primitive(slot, values[index] if index < len(values) else None, extras[index] if index < len(extras) else None, level)

    def _primitive(self, slot: Slot, value: Any, extra: Any, level: int) -> None:
        if value is None and not extra:
            return
        self._break(level)
        said = "" if value is None else f' value="{_text(value)}"'
        if not extra:
            self.parts.append(f"<{slot.name}{said}/>")
            return
        self.parts.append(f"<{slot.name}{_attributes(extra, shape(ELEMENT))}{said}")
        self._content(slot.name, extra, shape(ELEMENT), level)

    def _element(self, slot: Slot, value: Any, level: int) -> None:
        self._break(level)
        if slot.kind is Kind.NARRATIVE:
            self.parts.append(narrative_to_xml(value))
        elif slot.kind is Kind.RESOURCE:
            self.parts.append(f"<{slot.name}>")
            self.resource(value, level + 1)
            self._break(level)
            self.parts.append(f"</{slot.name}>")
        else:
            inside = shape(slot.node)
            self.parts.append(f"<{slot.name}{_attributes(value, inside)}")
            self._content(slot.name, value, inside, level)

    def _content(self, name: str, members: Mapping[str, Any], of: Shape, level: int) -> None:
        """Write what is inside a tag that is open, and close it."""
        before = len(self.parts)
        self.parts.append(">")
        self._members(members, of, level + 1)
        if len(self.parts) == before + 1:
            self.parts[before] = "/>"
            return
        self._break(level)
        self.parts.append(f"</{name}>")


def _attributes(members: Mapping[str, Any], of: Shape) -> str:
    return "".join(f' {name}="{_text(members[name])}"' for name in ("id", "url") if name in of.attributes and name in members)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return _SPECIAL.sub(_escape, value) if _SPECIAL.search(value) else value
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.text if isinstance(value, Number) else str(value)


def _escape(match: re.Match[str]) -> str:
    return _ESCAPED.get(match[0], "\ufffd")
