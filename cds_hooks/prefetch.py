"""What came along with the call: used where it is whole, refused where it belongs to another patient.

Spec: https://cds-hooks.hl7.org/2.0/#providing-fhir-resources-to-a-cds-service
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from cds_hooks.discovery import PATIENT, RISK
from cds_hooks.request import HookRequest
from cds_hooks.shape import Shape

Assessment = tuple[str, dict[str, Any]]
"""A RiskAssessment and its path in the request."""


class Prefetched(NamedTuple):
    """What the call brought.

    Attributes:
        assessments: RiskAssessments of the patient in context.
        whole: Nothing more is to be asked: a whole Bundle, or null, which says that there is no data.
        deceased: The Patient that came along has died.
    """

    assessments: tuple[Assessment, ...]
    whole: bool
    deceased: bool


def read_prefetch(request: HookRequest) -> Prefetched:
    """Look at what came along.

    Raises:
        Invalid: It has the wrong shape, or belongs to another patient than context.patientId.
    """
    shape = Shape()
    deceased = _deceased(shape, request)
    assessments, whole = _risk(shape, request)
    shape.refuse()
    return Prefetched(tuple(assessments), whole, deceased)


def _deceased(shape: Shape, request: HookRequest) -> bool:
    at = f"prefetch.{PATIENT}"
    patient = shape.take(request.prefetch, PATIENT, dict, "prefetch") or {}
    if not patient or patient.get("resourceType") == "OperationOutcome":
        return False
    if patient.get("resourceType") != "Patient":
        shape.fault(f"{at}.resourceType", "This must be a Patient.")
    elif patient.get("id") != request.patient:
        shape.fault(f"{at}.id", "This is another patient than context.patientId.")
    return patient.get("deceasedBoolean") is True or bool(patient.get("deceasedDateTime"))


def _risk(shape: Shape, request: HookRequest) -> tuple[list[Assessment], bool]:
    at = f"prefetch.{RISK}"
    if RISK in request.prefetch and request.prefetch[RISK] is None:
        return [], True
    bundle = shape.take(request.prefetch, RISK, dict, "prefetch") or {}
    if not bundle or bundle.get("resourceType") == "OperationOutcome":
        return [], False
    if bundle.get("resourceType") != "Bundle":
        shape.fault(f"{at}.resourceType", "This must be a Bundle.")
        return [], True
    found, whole = [], True
    for path, entry in shape.objects(bundle, "entry", at):
        resource, where = shape.take(entry, "resource", dict, path) or {}, f"{path}.resource"
        if resource.get("resourceType") == "OperationOutcome":
            whole = whole and not _failed(resource)
        elif resource.get("resourceType") == "RiskAssessment" and _of_patient(shape, _servers(request, entry, resource), request.patient, resource, where):
            found.append((where, resource))
    following = any(link.get("relation") == "next" for _, link in shape.objects(bundle, "link", at))
    return found, whole and not following


def _failed(outcome: Mapping[str, Any]) -> bool:
    issues = outcome.get("issue")
    return isinstance(issues, list) and any(isinstance(issue, dict) and issue.get("severity") in ("error", "fatal") for issue in issues)


def _servers(request: HookRequest, entry: Mapping[str, Any], resource: Mapping[str, Any]) -> list[str]:
    """Where context.patientId belongs: fhirServer; where none is named, the server that the entry's fullUrl is of."""
    if request.fhir_server:
        return [request.fhir_server]
    own = f"/RiskAssessment/{resource.get('id', '')}"
    address = entry.get("fullUrl")
    return [address.removesuffix(own)] if isinstance(address, str) and address.startswith("http") and address.endswith(own) else []


def _of_patient(shape: Shape, servers: list[str], patient: str, resource: Mapping[str, Any], path: str) -> bool:
    subject = shape.take(resource, "subject", dict, path, required=True) or {}
    reference = shape.take(subject, "reference", str, f"{path}.subject", required=True) or ""
    local = next((reference.removeprefix(f"{server}/") for server in servers if reference.startswith(f"{server}/")), reference)
    if reference and local.partition("/_history/")[0] != f"Patient/{patient}":
        shape.fault(f"{path}.subject.reference", "This is another patient than context.patientId.")
        return False
    return bool(reference)
