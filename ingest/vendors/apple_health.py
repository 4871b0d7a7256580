"""Apple Health export.xml, read as a stream: one Record at a time, no DTD processed, no entity expanded.

Spec: https://developer.apple.com/documentation/healthkit (quantity and category type identifiers)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self
from xml.parsers import expat

from ingest.vendors.apple_prolog import without_doctype
from ingest.vendors.apple_record import Records
from ingest.vendors.reading import Item, Problem, Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from ingest.vendors.measure import Context

CHUNK_BYTES: Final = 65_536
_DEEPEST: Final = 64
_LONGEST_TOKEN: Final = 4_000_000
_COUNTED: Final = frozenset({"Workout", "ActivitySummary", "ClinicalRecord", "Audiogram", "VisionPrescription", "StateOfMind"})
"""Elements beside Record that hold measures: counted by name."""
_ENCODINGS: Final = frozenset({"utf-8", "utf-16", "us-ascii", "iso-8859-1"})
"""Encodings that the parser knows by itself; for others it would ask for one of Python's codecs."""
_NO_ENTITIES: Final = "Entities are not declared here: nothing in a DTD is processed."


class _Refused(Exception):
    """The document stops here."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.text)
        self.problem = problem


def read(stream: BinaryIO, context: Context) -> Iterator[Item]:
    """Yield what an export holds, in its order; memory stays small whatever the size.

    Args:
        stream: The document; read in pieces of CHUNK_BYTES.
        context: The subject's zone, for times without an offset, and when the payload first came.
    """
    prolog = without_doctype(stream)
    if isinstance(prolog, Problem):
        yield prolog
        return
    with _Export(context) as export:
        piece = prolog
        while True:
            problem = export.feed(piece, final=not piece)
            yield from export.taken()
            if problem is not None:
                yield problem
                return
            if not piece:
                return
            piece = stream.read(CHUNK_BYTES)


class _Export:
    """The parser's handlers, and what they have found since it was last asked."""

    def __init__(self, context: Context) -> None:
        self._parser = parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.specified_attributes = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.EntityDeclHandler = self._entity
        parser.StartDoctypeDeclHandler = self._doctype
        parser.XmlDeclHandler = self._declared
        self._records = Records(context, lambda: parser.CurrentLineNumber)
        self._found: list[Item] = []
        self._depth = 0
        self._root = False
        self._fed = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Let go of the parser, which holds these handlers: with it its buffers end at once, not when the cycle collector comes."""
        parser = self._parser
        parser.StartElementHandler = parser.EndElementHandler = parser.EntityDeclHandler = parser.StartDoctypeDeclHandler = parser.XmlDeclHandler = None

    def feed(self, piece: bytes, *, final: bool) -> Problem | None:
        """Parse a piece; give the problem at which the document ends."""
        try:
            self._parser.Parse(piece, final)
        except expat.ExpatError as error:
            return Problem(f"line {error.lineno}, column {error.offset + 1}", f"This is no well-formed XML: {expat.errors.messages[error.code]}.", "invalid")
        except _Refused as refused:
            return refused.problem
        self._fed += len(piece)
        if self._fed - self._parser.CurrentByteIndex > _LONGEST_TOKEN:
            return Problem(f"line {self._parser.CurrentLineNumber}", f"An element is larger than {_LONGEST_TOKEN} bytes.", "too-long")
        if final:
            self._found.extend(self._records.flush())
        return None

    def taken(self) -> list[Item]:
        """What was found, once."""
        found, self._found = self._found, []
        return found

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise _Refused(Problem(f"line {self._parser.CurrentLineNumber}", f"Elements nest deeper than {_DEEPEST}.", "structure"))
        if name == "Record":
            self._found.extend(self._records.start(attributes))
        elif name == "MetadataEntry":
            self._records.told(attributes)
        else:
            self._other(name)

    def _other(self, name: str) -> None:
        if not self._root:
            self._root = True
            if name != "HealthData":
                raise _Refused(Problem("/", "The document element is HealthData.", "structure"))
        if name in _COUNTED:
            self._found.append(Unknown(name))

    def _end(self, name: str) -> None:
        self._depth -= 1
        if name == "Record":  # what is told after it is told of the Correlation around it
            self._found.extend(self._records.flush())

    def _declared(self, version: str, encoding: str | None, standalone: int) -> None:
        """Told before the parser looks for a codec of that name."""
        if encoding is not None and encoding.lower() not in _ENCODINGS:
            raise _Refused(Problem("line 1", "The encoding that the document declares is not supported: a payload is in UTF-8.", "not-supported"))

    def _entity(self, *declared: object) -> None:
        raise _Refused(Problem(f"line {self._parser.CurrentLineNumber}", _NO_ENTITIES, "security"))

    def _doctype(self, name: str, system: str | None, public: str | None, has_subset: object) -> None:
        if system or public:
            raise _Refused(Problem(f"line {self._parser.CurrentLineNumber}", _NO_ENTITIES, "security"))
