"""Names of FHIR's formats: which of them an Accept header or a `_format` asks for, and which one a body is in.

Spec: https://hl7.org/fhir/R4/http.html#mime-type, https://www.rfc-editor.org/rfc/rfc9110#section-12.5.1
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from functools import lru_cache
from typing import Final, NamedTuple

JSON_TYPES: Final = frozenset({"application/fhir+json", "application/json", "text/json", "json"})
XML_TYPES: Final = frozenset({"application/fhir+xml", "application/xml", "text/xml", "xml"})
NAMES: Final = ("json", "application/fhir+json", "xml", "application/fhir+xml")
"""As the CapabilityStatement says them."""

_VERSIONS: Final = frozenset({"", "4.0", "4.0.1"})
_ANY: Final = {"*/*": 0, "application/*": 1}
_NAMED: Final = 2
_LONGEST: Final = 1_000
"""A longer Accept header is read anew each time, so that the cache stays small."""


class Kind(Enum):
    """A format."""

    JSON = "application/fhir+json"
    XML = "application/fhir+xml"


class Format(NamedTuple):
    """What an answer is written in."""

    kind: Kind
    version: str = ""
    """The FHIR version that was asked for by name, to be said in the answer."""

    @property
    def content_type(self) -> str:
        """The Content-Type of an answer."""
        said = f"{self.kind.value}; charset=utf-8"
        return f"{said}; fhirVersion={self.version}" if self.version else said


JSON: Final = Format(Kind.JSON)
FHIR_JSON: Final = JSON.content_type


def wanted_format(said: str) -> Format | None:
    """Return the format that an Accept header or a `_format` prefers; None where it takes neither.

    What is named goes before what is meant by a wildcard, JSON before XML where nothing else decides.
    """
    return _wanted(said) if len(said) <= _LONGEST else _wanted.__wrapped__(said)


@lru_cache(maxsize=512)
def _wanted(said: str) -> Format | None:
    best: dict[Kind, tuple[int, float, int, str]] = {}
    listed = [media_type(part) for part in said.split(",")]
    # A browser takes any XML to show it as a page; FHIR's it can only keep as a file, while it shows JSON.
    browser = any(name == "text/html" for name, _ in listed)
    for order, (name, parameters) in enumerate(listed):
        if browser and name == "application/xml":
            continue
        version = parameters.get("fhirversion", "")
        if version not in _VERSIONS:
            continue
        for kind, names in ((Kind.JSON, JSON_TYPES), (Kind.XML, XML_TYPES)):
            precision = _NAMED if name in names else _ANY.get(name, -1)
            found = (precision, quality_of(parameters), -order, version)
            if precision >= 0 and (kind not in best or found[:2] > best[kind][:2]):
                best[kind] = found
    ranked = [(quality, precision, order, kind is Kind.JSON, _format(kind, version)) for kind, (precision, quality, order, version) in best.items() if quality > 0]
    return max(ranked, key=lambda each: each[:4])[4] if ranked else None


def _format(kind: Kind, version: str) -> Format:
    return JSON if kind is Kind.JSON and not version else Format(kind, version)


def media_type(said: str) -> tuple[str, dict[str, str]]:
    """Read a media type and its parameters, all in small letters; a name without a slash is one of FHIR's own."""
    name, *parameters = said.split(";")
    pairs = (each.partition("=") for each in parameters)
    return name.strip().lower(), {key.strip().lower(): value.strip().strip('"').lower() for key, _, value in pairs}


def body_kind(content_type: str) -> Kind | None:
    """Return the format of a body; None where it is no FHIR, or not in UTF-8, or of another version."""
    name, parameters = media_type(content_type)
    if parameters.get("charset", "utf-8") not in ("utf-8", "utf8") or parameters.get("fhirversion", "") not in _VERSIONS:
        return None
    return Kind.JSON if name in JSON_TYPES else Kind.XML if name in XML_TYPES else None


def quality_of(parameters: Mapping[str, str]) -> float:
    """Return how much a media type is wanted, 0 to 1; what is no number of that range is not wanted."""
    try:
        found = float(parameters.get("q", "1"))
    except ValueError:
        return 0.0
    return found if 0 <= found <= 1 else 0.0
