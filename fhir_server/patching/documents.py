"""Which kind of patch a body or an entry is, by its media type.

Spec: https://hl7.org/fhir/R4/http.html#patch
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Final

from chartloop.kernel.errors import Invalid
from fhir_server.patching.application import Patch, unsupported
from fhir_server.patching.fhirpath_patch import fhirpath_patch
from fhir_server.patching.json_patch import json_patch
from fhir_server.validation.parsing import parse
from fhir_server.validation.resources import validate

JSON_PATCH: Final = "application/json-patch+json"
FHIRPATH_PATCH: Final = "application/fhir+json"
FORMATS: Final = (JSON_PATCH, FHIRPATH_PATCH, "application/fhir+xml")


def read_patch(body: bytes, media_type: str) -> Patch:
    """Read a patch of one of the two kinds.

    Raises:
        UnsupportedMedia: It is neither: a merge patch of plain JSON, say, which R4 does not have.
    """
    if media_type == JSON_PATCH:
        return json_patch(body)
    if media_type == FHIRPATH_PATCH and _is_resource(body):
        return fhirpath_patch(body)
    raise unsupported()


def _is_resource(body: bytes) -> bool:
    parsed = parse(body)
    return isinstance(parsed, dict) and "resourceType" in parsed


def entry_patch(resource: bytes, rewrite: Callable[[bytes], bytes] = bytes) -> Patch:
    """Read the patch in an entry of a Bundle: a Parameters resource, or a Binary that holds a JSON Patch.

    Args:
        resource: The resource of the entry.
        rewrite: Replaces references to other entries by what those will be.
    """
    parsed = parse(resource)
    if not isinstance(parsed, dict) or parsed.get("resourceType") != "Binary":
        return fhirpath_patch(rewrite(resource))
    validate(resource, type_="Binary")
    if str(parsed["contentType"]).partition(";")[0].strip().lower() != JSON_PATCH:
        raise unsupported()
    try:
        data = base64.b64decode("".join(str(parsed.get("data", "")).split()), validate=True)
    except (binascii.Error, ValueError):
        raise Invalid("The Binary's data is base64.", code="value", expression="resource") from None
    return json_patch(rewrite(data))
