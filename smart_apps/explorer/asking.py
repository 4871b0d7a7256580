"""Whether a request for a FHIR address comes from somebody who wants to look at it.

Spec: https://www.rfc-editor.org/rfc/rfc9110#section-12.5.1
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from fhir_server.media_types import JSON_TYPES, XML_TYPES, media_type, quality_of

_PAGE: Final = frozenset({"html", "text/html"})
_DATA: Final = JSON_TYPES | XML_TYPES - {"application/xml", "text/xml"}
"""What a program names; a browser names application/xml of any kind itself."""
_FORMAT: Final = "_format"
_LONGEST: Final = 2_000


def is_looked_at(environ: Mapping[str, Any]) -> bool:
    """Whether a person may stand behind a request: it reads, and takes HTML or asks for it; a cookie opens an address to nobody else."""
    return environ["REQUEST_METHOD"] in ("GET", "HEAD") and ("text/html" in str(environ.get("HTTP_ACCEPT", ""))[:_LONGEST] or wants_page(environ))


def wants_page(environ: Mapping[str, Any]) -> bool:
    """Whether a GET or HEAD prefers HTML: by `_format`, else by an Accept header that names it no later than any FHIR format."""
    if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
        return False
    query = str(environ.get("QUERY_STRING", ""))
    if _FORMAT in query:
        said = [value for name, value in _pairs(query) if name == _FORMAT]
        return bool(said) and said[-1].strip().lower() in _PAGE
    qualities: dict[str, float] = {}
    for part in str(environ.get("HTTP_ACCEPT", ""))[:_LONGEST].split(","):
        name, parameters = media_type(part)
        qualities[name] = quality_of(parameters)
    page = qualities.get("text/html", 0.0)
    return page > 0 and all(page > quality for name, quality in qualities.items() if name in _DATA)


def without_format(query: str) -> str:
    """Give the query as the API is asked it: the format of the page is no business of the search."""
    return urlencode([(name, value) for name, value in _pairs(query) if name != _FORMAT]) if _FORMAT in query else query


def _pairs(query: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query, keep_blank_values=True, max_num_fields=200)
    except ValueError:  # too many: the API says so
        return []
