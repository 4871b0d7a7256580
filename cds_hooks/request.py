"""A call of the service: decoded, and every mistake named with its path.

Spec: https://cds-hooks.hl7.org/2.0/#calling-a-cds-service
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from cds_hooks.shape import Shape
from chartloop.kernel.errors import Invalid
from fhir_server.validation import parsing as validation_json

_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_ID: Final = re.compile(r"[A-Za-z0-9.\-]{1,64}")
_USER: Final = re.compile(r"(Practitioner|PractitionerRole|Patient|RelatedPerson)/[A-Za-z0-9.\-]{1,64}")
_ADDRESS: Final = re.compile(r"https?://[^\s/?#]+[^\s?#]*", re.IGNORECASE)


class Authorization(NamedTuple):
    """What the EHR lets the service do for this call; `patient` is the one that the token is restricted to, or ""."""

    access_token: str
    subject: str
    patient: str


class HookRequest(NamedTuple):
    """A call that can be answered; a prefetch key that is absent was not satisfied, one that is None had no data."""

    user: str
    patient: str
    fhir_server: str
    authorization: Authorization | None
    prefetch: Mapping[str, Any]


def json_object(body: bytes) -> dict[str, Any]:
    """Parse a body that is one JSON object.

    Raises:
        Invalid: It is not JSON in UTF-8, nests too deep, has a name twice, holds U+0000, or is not an object.
    """
    validation_json.check_text(body)
    found = validation_json.parse(body)
    if not isinstance(found, dict):
        raise Invalid("The body must be a JSON object.")
    return found


def decode(body: bytes, hook: str) -> HookRequest:
    """Decode a call of this hook; what is unknown is ignored.

    Raises:
        Invalid: With every mistake, each at its path.
    """
    shape, said = Shape(), json_object(body)
    if shape.take(said, "hook", str, required=True) not in (None, hook):
        shape.fault("hook", f"This service is for {hook}.")
    _matching(shape, said, "hookInstance", "", _UUID, "a UUID")
    context = shape.take(said, "context", dict, required=True) or {}
    user, patient = "", ""
    if context:
        user = _matching(shape, context, "userId", "context", _USER, "a reference such as Practitioner/1")
        patient = _matching(shape, context, "patientId", "context", _ID, "the id of a Patient")
        shape.take(context, "encounterId", str, "context")
    server = shape.take(said, "fhirServer", str) or ""
    if server and not _ADDRESS.fullmatch(server):
        shape.fault("fhirServer", "This must be an absolute URL.")
    authorization = _authorization(shape, said, server, patient)
    prefetch = shape.take(said, "prefetch", dict) or {}
    shape.refuse()
    return HookRequest(user, patient, server.rstrip("/"), authorization, prefetch)


def _matching(shape: Shape, holder: Mapping[str, Any], name: str, path: str, pattern: re.Pattern[str], what: str) -> str:
    text = shape.take(holder, name, str, path, required=True) or ""
    if text and not pattern.fullmatch(text):
        shape.fault(f"{path}.{name}" if path else name, f"This must be {what}.")
    return text


def _authorization(shape: Shape, said: Mapping[str, Any], server: str, patient: str) -> Authorization | None:
    given = shape.take(said, "fhirAuthorization", dict)
    if given is None:
        return None
    at = "fhirAuthorization"
    if not server:
        shape.fault("fhirServer", "This is required beside fhirAuthorization.")
    token, subject = (shape.take(given, name, str, at, required=True) or "" for name in ("access_token", "subject"))
    shape.take(given, "scope", str, at, required=True)
    if given.get("expires_in") is None:
        shape.fault(f"{at}.expires_in", "This is required.")
    shape.take(given, "expires_in", int, at)
    if shape.take(given, "token_type", str, at, required=True) not in (None, "Bearer"):
        shape.fault(f"{at}.token_type", "This must be Bearer.")
    restricted = (shape.take(given, "patient", str, at) or "").removeprefix("Patient/")
    if restricted and patient and restricted != patient:
        shape.fault(f"{at}.patient", "The token is restricted to another patient than context.patientId.")
    return Authorization(token, subject, restricted)
