"""The div of a narrative between JSON, where it is a string, and XML, where it stands as it is.

Spec: https://hl7.org/fhir/R4/narrative.html, https://hl7.org/fhir/R4/xml.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from html.entities import html5
from typing import Final

from fhir_server.xml.shapes import XHTML

_ENTITY: Final = re.compile("&(?!(?:amp|lt|gt|quot|apos);)([A-Za-z][A-Za-z0-9]*);")
_VERBATIM: Final = re.compile(r"<!\[CDATA\[.*?\]\]>|<!--.*?-->|<\?.*?\?>", re.DOTALL)
_DECLARATION: Final = re.compile(r"\s*<\?xml\s.*?\?>", re.DOTALL)
_TAG: Final = re.compile(rb"""<[^"'<>]*+(?:"[^"]*+"[^"'<>]*+|'[^']*+'[^"'<>]*+)*+>""")


def narrative_to_xml(div: str) -> str:
    """Return the div as it stands in XML: HTML's named entities, which XML does not know, become their characters."""
    if div.startswith(("<?xml", " ", "\n", "\r", "\t")):
        div = _DECLARATION.sub("", div, count=1)
    if not _ENTITY.search(div):
        return div
    parts, at = [], 0
    for verbatim in _VERBATIM.finditer(div):
        parts += [_ENTITY.sub(_character, div[at : verbatim.start()]), verbatim[0]]
        at = verbatim.end()
    return "".join([*parts, _ENTITY.sub(_character, div[at:])])


def _character(entity: re.Match[str]) -> str:
    """A name that HTML does not know either is shown as it was written."""
    found = html5.get(f"{entity[1]};")
    return f"&amp;{entity[1]};" if found is None else escape(found)


def end_of_tag(body: bytes, start: int) -> int:
    """Return where the tag that starts here ends; a `>` inside an attribute does not end it."""
    found = _TAG.match(body, start)
    return found.end() if found else len(body)


def div_of(body: bytes, start: int, end: int, outside: Mapping[str, str]) -> str:
    """Return the source text of a div, character by character.

    Args:
        body: The document.
        start: Where the div starts.
        end: Where it ends.
        outside: Prefixes that are declared around the div and not by it; the empty one is the default namespace.

    Returns:
        The div; it declares for itself what the document declared for it.
    """
    text = body[start:end].decode()
    needed = [prefix for prefix, namespace in outside.items() if namespace == XHTML and (f"<{prefix}:" in text if prefix else True)]
    if not needed:
        return text
    name = re.match(r"<[^\s/>]+", text)
    at = name.end() if name else 0
    said = "".join(f' xmlns{":" if prefix else ""}{prefix}="{XHTML}"' for prefix in needed)
    return text[:at] + said + text[at:]
