"""Read stored resources for changing them: decimals stay exact, so that 72.50 is written back as 72.50."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from fhir_server.store import Stored

_DECODER = msgspec.json.Decoder(float_hook=Decimal)


def parse(stored: Stored) -> dict[str, Any]:
    """Parse a body with exact decimals."""
    parsed: dict[str, Any] = _DECODER.decode(stored.body)
    return parsed


def reference(value: object) -> str:
    """Return the reference of a Reference element, '' if there is none."""
    return str(value.get("reference", "")) if isinstance(value, Mapping) else ""


def code_in(concept: object, system: str) -> str:
    """Return the code of a CodeableConcept in one system, '' if there is none."""
    codings = concept.get("coding", ()) if isinstance(concept, Mapping) else ()
    return next((str(c.get("code", "")) for c in codings if c.get("system") == system), "")


def extensions(element: Mapping[str, Any], url: str) -> Iterator[Mapping[str, Any]]:
    """Yield the extensions of an element with one URL."""
    return (e for e in element.get("extension", ()) if e.get("url") == url)
