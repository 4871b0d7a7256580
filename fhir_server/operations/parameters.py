"""Parameters resources: what an operation is called with, and what it answers.

Spec: https://hl7.org/fhir/R4/parameters.html
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from chartloop.kernel.errors import Invalid
from fhir_server.query_pairs import query_pairs
from fhir_server.validation.resources import validate

_EVERYWHERE: Final = frozenset({"_format", "_pretty"})


class _Head(msgspec.Struct):
    type: str = msgspec.field(name="resourceType", default="")
    parameter: list[msgspec.Raw] = []


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


def refuse_all(body: bytes, query: str) -> None:
    """Refuse parameters of an operation that has none."""
    for name, _ in query_pairs("&".join((query, as_query(body))), 20):
        if name not in _EVERYWHERE:
            raise Invalid(f"Parameter {name[:64]!r} is not supported here.", code="not-supported", expression=f"http.{name[:64]}")


def given_meta(body: bytes) -> dict[str, Any]:
    """Return the Meta that $meta-add and $meta-delete take."""
    given = parameters(body) if body else []
    metas = [each["valueMeta"] for each in given if each["name"] == "meta" and "valueMeta" in each]
    if len(metas) != 1 or len(given) != 1:
        raise Invalid("One parameter named meta with a valueMeta is needed.", code="required", expression="Parameters.parameter")
    found: dict[str, Any] = metas[0]
    return found


def glass_reason(body: bytes, query: str) -> tuple[str, str]:
    """Return the code and the reason that $break-glass takes, in a Parameters resource alone; what is missing is empty."""
    refuse_all(b"", query)
    given: dict[str, Any] = {}
    for each in parameters(body) if body else ():
        name = str(each["name"])
        if name not in ("code", "reason") or name in given:
            raise Invalid("Parameters are code and reason, once each.", code="not-supported", expression="Parameters.parameter")
        given[name] = each.get("valueCode", each.get("valueString"))
    return str(given.get("code") or ""), str(given.get("reason") or "")


def trial(body: bytes, query: str, *, of_instance: bool) -> tuple[str, bytes]:
    """Read what $validate is to do: the mode, and the resource as it came, alone or in a Parameters resource.

    Raises:
        Invalid: A parameter is unknown; profiles are not supported.
    """
    said = [(name, value) for name, value in query_pairs(query, 20) if name not in _EVERYWHERE]
    resource = body
    if (parts := _parts(body)) is not None:
        resource = b""
        for each in parts:
            name = _text(each.get("name"))
            if name == "resource" and "resource" in each:
                resource = bytes(each["resource"])
            else:
                said += [(name, _text(value)) for key, value in each.items() if key != "name"] or [(name, "")]
    mode = "update" if of_instance else "create"
    for name, value in said:
        if name != "mode" or value == "profile":
            what = "Profiles are" if "profile" in (name, value) else f"Parameter {name[:64]!r} is"
            raise Invalid(f"{what} not supported: a resource is checked against the base specification.", code="not-supported", expression=name[:64])
        mode = value
    return mode, resource


def _parts(body: bytes) -> list[dict[str, msgspec.Raw]] | None:
    """Return the parameters of a Parameters resource; None for every other body, which is judged as what is to be validated."""
    try:
        head = msgspec.json.decode(body, type=_Head)
        if head.type != "Parameters":
            return None
        parts = [msgspec.json.decode(each, type=dict[str, msgspec.Raw]) for each in head.parameter]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return parts if any("resource" in each or _text(each.get("name")) in ("mode", "profile") for each in parts) else None


def _text(value: msgspec.Raw | None) -> str:
    try:
        found = msgspec.json.decode(value) if value is not None else ""
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    return found if isinstance(found, str) else ""


def returned(name: str, type_: str, value: Any) -> bytes:
    """Render a Parameters resource with one value."""
    return msgspec.json.encode({"resourceType": "Parameters", "parameter": [{"name": name, f"value{type_}": value}]})
