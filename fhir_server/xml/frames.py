"""Elements that are being read: what was seen of them, and what they become in JSON.

Spec: https://hl7.org/fhir/R4/json.html
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from fhir_server.xml.shapes import ELEMENT, Kind, Shape, Slot, shape

_DECIMAL: Final = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_WHOLE: Final = re.compile(r"\+?(-?(?:0|[1-9][0-9]*))")
_TRUTHS: Final = {"true": True, "false": False}


class Frame:
    """An element with elements in it, or a resource."""

    __slots__ = ("_gaps", "_index", "_last", "members", "path", "shape", "slot")

    def __init__(self, of: Shape, path: str, members: dict[str, Any] | None = None, *, slot: Slot | None = None) -> None:
        """Take what it may hold and where it is; without a slot it is put nowhere when it ends."""
        self.shape = of
        self.path = path
        self.members: dict[str, Any] = {} if members is None else members
        self.slot = slot
        self._last: Slot | None = None
        self._index = 0
        self._gaps = False

    def take(self, slot: Slot) -> str:
        """Let the next element in; what is wrong with it, or nothing."""
        last = self._last
        if last is not None and slot.place <= last.place:
            if slot.place < last.place:
                return f"is out of order: it must come before {last.name}"
            if not slot.many:
                return "may come only once" if slot.name == last.name else f"only one of the types of {slot.path}[x] may be given"
            self._index += 1
        else:
            self._index = 0
        self._last = slot
        return ""

    def path_of(self, slot: Slot) -> str:
        """Where the element is that was let in last."""
        return f"{self.path}.{slot.path}[{self._index}]" if slot.many else f"{self.path}.{slot.path}"

    def put(self, slot: Slot, frame: Frame) -> None:
        """Put an element that ended into its place."""
        value = frame.value()
        if not slot.primitive:
            if slot.many:
                self.members.setdefault(slot.name, []).append(value)
            else:
                self.members[slot.name] = value
            return
        extra = frame.members or None
        if slot.many:
            self._put_many(slot.name, value, extra)
            return
        if value is not None:
            self.members[slot.name] = value
        if extra is not None:
            self.members["_" + slot.name] = extra

    def _put_many(self, name: str, value: Any, extra: Any) -> None:
        """Values and their extensions are two arrays of the same length, or one where the other would hold nothing."""
        values = self.members.setdefault(name, [])
        values.append(value)
        self._gaps = self._gaps or value is None
        extras = self.members.get("_" + name)
        if extras is not None:
            extras.append(extra)
        elif extra is not None:
            self.members["_" + name] = [*([None] * (len(values) - 1)), extra]

    def problem(self) -> str:
        """What is wrong with the element now that it ended."""
        return "" if self.members else "must not be empty"

    def finish(self) -> None:
        """Leave out arrays that hold nothing."""
        if self._gaps:
            for name, value in list(self.members.items()):
                if isinstance(value, list) and all(item is None for item in value):
                    del self.members[name]

    def value(self) -> Any:
        """The element in JSON."""
        return self.members


class Primitive(Frame):
    """An element with a value; its members are what JSON says beside the value."""

    __slots__ = ("_value",)

    def __init__(self, slot: Slot, path: str) -> None:
        """Take which element it is."""
        super().__init__(shape(ELEMENT), path, slot=slot)
        self._value: Any = None

    def read(self, text: str) -> str:
        """Read the value; what is wrong with it, or nothing."""
        kind = self.slot.kind if self.slot else Kind.TEXT
        if kind is Kind.TEXT:
            self._value = text
        elif kind is Kind.TRUTH:
            self._value = _TRUTHS.get(text)
        else:
            found = (_WHOLE if kind is Kind.WHOLE else _DECIMAL).fullmatch(text)
            self._value = msgspec.Raw((found[1] if kind is Kind.WHOLE else found[0]).encode()) if found else None
        if self._value is not None:
            return ""
        self._value = text  # wrong, but there
        return {Kind.TRUTH: "must be true or false", Kind.WHOLE: "must be a whole number"}.get(kind, "must be a number")

    def problem(self) -> str:
        """What is wrong with the element now that it ended."""
        return "" if self._value is not None or self.members else "must have a value or an extension"

    def value(self) -> Any:
        """The value alone."""
        return self._value


class ResourceHolder(Frame):
    """An element around a resource."""

    __slots__ = ("resource",)

    def __init__(self, slot: Slot, path: str) -> None:
        """Take which element it is."""
        super().__init__(shape(ELEMENT)._replace(attributes=frozenset()), path, slot=slot)
        self.resource: dict[str, Any] | None = None

    def problem(self) -> str:
        """What is wrong with the element now that it ended."""
        return "" if self.resource is not None else "must hold one R4 resource"

    def value(self) -> Any:
        """The resource."""
        return self.resource
