"""Check the text of Reference.reference: its syntax, and that its type is one the element may point at.

Spec: https://hl7.org/fhir/R4/references.html#literal
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from fhir_server.spec.definitions import r4
from fhir_server.validation.primitives import ID

_UUID = r"urn:uuid:[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_RELATIVE = re.compile(rf"(?P<type>[A-Za-z]+)/{ID}(?:/_history/{ID})?\Z")
_CONDITIONAL = re.compile(r"(?P<type>[A-Za-z]+)\?\S+\Z")
_LOCAL = re.compile(rf"#(?:{ID})?\Z")
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:\S+\Z")
_RESTFUL = re.compile(rf"https?://\S+/(?P<type>[A-Z][A-Za-z]+)/{ID}(?:/_history/{ID})?(?:#\S*)?\Z")


def reference_pattern(targets: Iterable[str]) -> str:
    """A pattern of the references that are certainly right; others go to `reference_problem`."""
    types = "|".join(sorted(targets) or r4().resource_types)
    relative = rf"(?:{types})/{ID}(?:/_history/{ID})?"
    return rf"^(?:(?:https?://[^\s?#]+/)?{relative}|{_UUID}|#{ID}|(?:{types})\?\S+)\Z"


def reference_problem(text: str, targets: tuple[str, ...]) -> str:
    """What is wrong with a reference, in words that do not repeat it; empty when nothing is."""
    if _LOCAL.match(text):
        return ""
    found = _RELATIVE.match(text) or _CONDITIONAL.match(text)
    if found is None:
        if not _ABSOLUTE.match(text):
            return "must be Type/id, an absolute URL, a URN or # and the id of a contained resource"
        found = _RESTFUL.match(text)
        if found is None or not r4().is_resource(found["type"]):
            return ""
    elif not r4().is_resource(found["type"]):
        return "must point at a resource type of R4"
    if targets and found["type"] not in targets:
        return f"must point at {' or '.join(targets)}"
    return ""
