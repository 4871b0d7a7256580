"""Parameters resources: what an operation is called with, and what it answers.

Spec: https://hl7.org/fhir/R4/parameters.html
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import msgspec

from chartloop.kernel.errors import Invalid
from fhir_server.validation import validate


def parameters(body: bytes) -> list[dict[str, Any]]:
    """Validate a Parameters resource and return its parameters.

    Raises:
        Invalid: It is something else.
        Unprocessable: It breaks rules of R4.
    """
    found: list[dict[str, Any]] = validate(body, type_="Parameters").resource.get("parameter", [])
    return found


def as_query(body: bytes) -> str:
    """Write simple parameters as the query string that says the same; no body says nothing."""
    pairs = []
    for index, each in enumerate(parameters(body) if body else ()):
        values = [value for name, value in each.items() if name.startswith("value")]
        if len(values) != 1 or isinstance(values[0], bool | dict | list):
            where = f"Parameters.parameter[{index}]"
            raise Invalid("Only parameters with a simple value are known here.", code="not-supported", expression=where)
        pairs.append((str(each["name"]), str(values[0])))
    return urlencode(pairs)


def returned(name: str, type_: str, value: Any) -> bytes:
    """Render a Parameters resource with one value."""
    return msgspec.json.encode({"resourceType": "Parameters", "parameter": [{"name": name, f"value{type_}": value}]})
