"""Check the XHTML of a narrative: well-formed, one div, and only the elements and attributes that FHIR permits.

Spec: https://hl7.org/fhir/R4/narrative.html#xhtml (txt-1, txt-2)
"""

from __future__ import annotations

import re
from xml.parsers import expat

_XHTML = "http://www.w3.org/1999/xhtml"
_ELEMENTS_WORDS = (
    "a abbr acronym address b big blockquote br caption cite code col colgroup dd dfn div dl dt em h1 h2 h3 h4 h5 h6 hr i img li ol p pre q samp "
    "small span strong sub sup table tbody td tfoot th thead tr tt ul var kbd bdo ins del u s map area section article aside"
)
_ELEMENTS = frozenset(_ELEMENTS_WORDS.split())
_ATTRIBUTES_WORDS = (
    "title style class id idref lang xml:lang dir accesskey tabindex span width align valign char charoff abbr axis headers scope rowspan colspan "
    "href hreflang type rel rev charset cite src alt longdesc height usemap ismap name shape coords summary border frame rules cellspacing "
    "cellpadding compact start value datetime nowrap bgcolor color clear size noshade xmlns"
)
_ATTRIBUTES = frozenset(_ATTRIBUTES_WORDS.split())
_SCRIPT = re.compile(r"\s*(?:javascript|vbscript|data\s*:\s*text/html)", re.IGNORECASE)
_STYLE = re.compile(r"expression\s*\(|javascript\s*:|@import|behavior\s*:", re.IGNORECASE)


class _NotPermittedError(Exception):
    """Raised inside the parser to stop at the first thing that is not permitted."""


class _Check:
    """Handlers of one parse."""

    def __init__(self) -> None:
        self.content = False
        self.depth = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        namespace, _, local = name.rpartition(" ")
        if namespace != _XHTML or local not in _ELEMENTS or (self.depth == 0 and local != "div"):
            message = "an element that narratives may not have, or not in the XHTML namespace"
            raise _NotPermittedError(message)
        for key, value in attributes.items():
            plain = key.replace("http://www.w3.org/XML/1998/namespace ", "xml:")
            if plain not in _ATTRIBUTES:
                message = "an attribute that narratives may not have"
                raise _NotPermittedError(message)
            if (plain in ("href", "src", "cite", "longdesc") and _SCRIPT.match(value)) or (plain == "style" and _STYLE.search(value)):
                message = "active content"
                raise _NotPermittedError(message)
        self.depth += 1
        self.content = self.content or local == "img"

    def end(self, _name: str) -> None:
        self.depth -= 1

    def text(self, data: str) -> None:
        self.content = self.content or not data.isspace()

    def doctype(self, *_: object) -> None:
        message = "a document type"
        raise _NotPermittedError(message)


def xhtml_problem(text: str) -> str:
    """What is wrong with a narrative's div, in words that do not repeat it; empty when nothing is."""
    check = _Check()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = check.start
    parser.EndElementHandler = check.end
    parser.CharacterDataHandler = check.text
    parser.StartDoctypeDeclHandler = check.doctype
    try:
        parser.Parse(_named_entities_removed(text).encode("utf-8", "surrogatepass"), True)
    except _NotPermittedError as error:
        return f"contains {error}"
    except expat.ExpatError as error:
        return f"is not well-formed XHTML (line {error.lineno}, column {error.offset + 1})"
    return "" if check.content else "has no text and no image"


_ENTITY = re.compile(r"&(?!(?:amp|lt|gt|quot|apos);)[A-Za-z][A-Za-z0-9]*;")


def _named_entities_removed(text: str) -> str:
    """HTML's named entities are permitted in narratives; to XML they would be undeclared."""
    return _ENTITY.sub("x", text) if "&" in text else text
