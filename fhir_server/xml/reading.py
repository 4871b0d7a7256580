"""A resource from XML to JSON, as strictly as JSON is read: what is no FHIR is refused with its place, nothing is guessed.

The parser is expat from the standard library with a handler that refuses every document type: without one there are no entities to
expand and nothing external to fetch, which is all that defusedxml would add. Comments and processing instructions say nothing.
Spec: https://hl7.org/fhir/R4/xml.html
"""

from __future__ import annotations

from typing import Any, Final
from xml.parsers import expat

import msgspec

from chartloop.kernel.errors import Invalid, Issue, Unprocessable
from fhir_server.xml.frames import Frame, Primitive, ResourceHolder
from fhir_server.xml.narrative import div_of, end_of_tag
from fhir_server.xml.shapes import FHIR, Kind, Slot, is_resource, shape

MAX_DEPTH: Final = 128
"""Elements inside each other; the JSON that comes out has a limit of its own, which is lower."""
MAX_NAMESPACES: Final = 100
MAX_ISSUES: Final = 100
_SCHEMA: Final = "http://www.w3.org/2001/XMLSchema-instance schemaLocation"
_WHITE: Final = " \t\r\n"


def xml_to_json(body: bytes) -> bytes:
    """Read a resource.

    Args:
        body: XML in UTF-8.

    Returns:
        The same resource as compact JSON; its elements are those of the definitions, their values are still to be validated.

    Raises:
        Invalid: It is not XML, or not FHIR's.
        Unprocessable: Elements or attributes are unknown, out of order or repeated; the issues name every place.
    """
    if body.startswith((b"\xef\xbb\xbf", b"\xfe\xff", b"\xff\xfe")):
        raise Invalid("the body starts with a byte order mark", code="structure")
    if b"\x00" in body:  # expat would read UTF-16, whatever encoding it is told
        raise Invalid("the body is not UTF-8", code="structure")
    reader = _Reader(body)
    try:
        reader.parser.Parse(body, True)
    except expat.ExpatError as error:
        why = expat.errors.messages[error.code]
        raise Invalid(f"line {error.lineno}, column {error.offset + 1}: the body is not XML: {why}", code="structure") from None
    except _Enough:
        pass
    if reader.issues:
        raise Unprocessable(issues=reader.issues)
    return msgspec.json.encode(reader.result)


class _Enough(Exception):
    """Raised inside the parser where nothing more needs to be known."""


class _Reader:
    """Handlers of one parse."""

    def __init__(self, body: bytes) -> None:
        self.result: dict[str, Any] = {}
        self.issues: list[Issue] = []
        self._body = body
        self._frames: list[Frame] = []
        self._depth = 0
        self._inside = 0  # of a narrative, or of an element that was refused
        self._start = -1  # of a narrative
        self._namespaces: list[tuple[str, str]] = []
        self._outside: dict[str, str] = {}
        self.parser = parser = expat.ParserCreate("utf-8", " ")
        parser.ordered_attributes = True
        parser.XmlDeclHandler = self._declaration
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartNamespaceDeclHandler = self._declared
        parser.EndNamespaceDeclHandler = self._undeclared
        parser.StartElementHandler = self._started
        parser.EndElementHandler = self._ended
        parser.CharacterDataHandler = self._text

    def _place(self) -> str:
        return f"line {self.parser.CurrentLineNumber}, column {self.parser.CurrentColumnNumber + 1}: "

    def _refuse(self, text: str, path: str, code: str = "structure") -> None:
        self.issues.append(Issue("error", code, self._place() + text, path))
        if len(self.issues) >= MAX_ISSUES:
            raise _Enough

    def _declaration(self, _version: str, encoding: str | None, _standalone: int) -> None:
        if encoding is not None and encoding.lower() not in ("utf-8", "us-ascii"):
            raise Invalid(f"{self._place()}the encoding must be UTF-8", code="structure")

    def _doctype(self, *_: object) -> None:
        raise Invalid(f"{self._place()}a document type is not permitted", code="structure")

    def _declared(self, prefix: str | None, namespace: str | None) -> None:
        if len(self._namespaces) >= MAX_NAMESPACES:
            raise Invalid(f"{self._place()}more than {MAX_NAMESPACES} namespaces are declared at once", code="too-costly", expression=self._path())
        self._namespaces.append((prefix or "", namespace or ""))

    def _undeclared(self, _prefix: str | None) -> None:
        self._namespaces.pop()

    def _path(self) -> str:
        return self._frames[-1].path if self._frames else ""

    def _started(self, tag: str, attributes: list[str]) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise Invalid(f"{self._place()}XML nested deeper than {MAX_DEPTH} levels", code="too-costly", expression=self._path())
        if self._inside:
            self._inside += 1
            return
        if not self._frames:
            self._root(tag, attributes)
            return
        frame = self._frames[-1]
        if isinstance(frame, ResourceHolder):
            self._resource_in(frame, tag, attributes)
            return
        slot = frame.shape.by_tag.get(tag)
        if slot is None:
            self._skip(f"{frame.shape.node} has no such element{_hint(tag)}", f"{frame.path}.{_shown(tag)}")
            return
        if problem := frame.take(slot):
            self._skip(problem, f"{frame.path}.{slot.path}")
            return
        self._open(frame, slot, attributes)

    def _skip(self, text: str, path: str) -> None:
        """Refuse an element and look at nothing inside it."""
        self._inside = 1
        self._refuse(text, path)

    def _root(self, tag: str, attributes: list[str]) -> None:
        namespace, _, name = tag.rpartition(" ")
        if namespace != FHIR or not is_resource(name):
            raise Invalid(f"{self._place()}the root must be an R4 resource in the namespace {FHIR}", code="structure")
        frame = Frame(shape(name), name)
        frame.members["resourceType"] = name
        self._frames.append(frame)
        self._attributes(frame, attributes, allowed=frozenset({_SCHEMA}))

    def _resource_in(self, holder: ResourceHolder, tag: str, attributes: list[str]) -> None:
        namespace, _, name = tag.rpartition(" ")
        if namespace != FHIR or not is_resource(name) or holder.resource is not None:
            self._skip("must hold one R4 resource", holder.path)
            return
        holder.resource = {"resourceType": name}
        frame = Frame(shape(name), holder.path, holder.resource)
        self._frames.append(frame)
        self._attributes(frame, attributes)

    def _open(self, parent: Frame, slot: Slot, attributes: list[str]) -> None:
        path = parent.path_of(slot)
        if slot.kind is Kind.NARRATIVE:
            self._inside, self._start = 1, self.parser.CurrentByteIndex
            own = self._body[self._start : end_of_tag(self._body, self._start)]
            self._outside = _undeclared_by(own, self._namespaces)
            return
        frame = ResourceHolder(slot, path) if slot.kind is Kind.RESOURCE else Primitive(slot, path) if slot.primitive else Frame(shape(slot.node), path, slot=slot)
        self._frames.append(frame)
        self._attributes(frame, attributes)

    def _attributes(self, frame: Frame, attributes: list[str], allowed: frozenset[str] = frozenset()) -> None:
        for name, value in zip(attributes[::2], attributes[1::2], strict=True):
            if not value.strip(_WHITE):
                self._refuse(f"the attribute {_shown(name)} must not be empty", frame.path)
            elif name in frame.shape.attributes:
                frame.members[name] = value
            elif name == "value" and isinstance(frame, Primitive):
                if problem := frame.read(value):
                    self._refuse(problem, frame.path, "value")
            elif name not in allowed:
                self._refuse(f"there is no such attribute: {_shown(name)}", frame.path)

    def _ended(self, _tag: str) -> None:
        self._depth -= 1
        if self._inside:
            self._inside -= 1
            if not self._inside and self._start >= 0:
                self._narrative()
            return
        frame = self._frames.pop()
        if problem := frame.problem():
            self._refuse(problem, frame.path)
        frame.finish()
        if self._frames and frame.slot is not None:
            self._frames[-1].put(frame.slot, frame)
        elif not self._frames:
            self.result = frame.members

    def _narrative(self) -> None:
        """Take the div as it stands in the source."""
        at, head = self.parser.CurrentByteIndex, end_of_tag(self._body, self._start)
        alone = at == head and self._body[head - 2 : head] == b"/>"
        self._frames[-1].members["div"] = div_of(self._body, self._start, at if alone else end_of_tag(self._body, at), self._outside)
        self._start = -1

    def _text(self, data: str) -> None:
        if not self._inside and data.strip(_WHITE):
            self._refuse("there must be no text between elements", self._path())


def _undeclared_by(tag: bytes, namespaces: list[tuple[str, str]]) -> dict[str, str]:
    """Namespaces in force that a tag does not declare itself."""
    return {prefix: namespace for prefix, namespace in namespaces if (f"xmlns:{prefix}" if prefix else "xmlns=").encode() not in tag}


def _shown(name: str) -> str:
    """Names come from the sender: show them only where they look like names."""
    plain = name.rpartition(" ")[2]
    return plain if plain.isalnum() and plain.isascii() and len(plain) <= 64 else "?"


def _hint(tag: str) -> str:
    return "" if tag.startswith(f"{FHIR} ") else " in this namespace"
