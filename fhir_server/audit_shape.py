"""One kept record as an AuditEvent, in the shape of IHE's Basic Audit Log Patterns.

A record of REST over the network claims its profile when it holds all that the profile asks for. Data flow from the source to the
destination: the server is the source of what is read and the destination of a query and of what is written.
Spec: https://profiles.ihe.net/ITI/BALP/content.html, https://hl7.org/fhir/R4/auditevent.html
"""

from __future__ import annotations

import base64
from typing import Any, Final

from chartloop.kernel.audit.record import Kept
from chartloop.kernel.clock import iso
from fhir_server.audit_codes import DESTINATION, SOURCE, Coding, dicom, event_subtypes, event_type, is_restful

_ROLE: Final = "http://terminology.hl7.org/CodeSystem/object-role"
_ENTITY: Final = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
_PERSON, _SYSTEM_OBJECT = Coding(_ENTITY, "1", "Person"), Coding(_ENTITY, "2", "System Object")
_REQUEST_ID: Final = Coding("https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType", "XrequestId")
_REASON: Final = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
_RECIPIENT: Final = Coding("http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "IRCP", "information recipient")
_SERVER_TYPE: Final = Coding("http://terminology.hl7.org/CodeSystem/security-source-type", "4", "Application Server")
_PROFILE: Final = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit"
_PROFILES: Final = {"read": "Read", "vread": "Read", "create": "Create", "update": "Update", "patch": "Update", "delete": "Delete", "search": "Query"}
_OUT: Final = frozenset({"read", "vread", "history", "disclosure", "claim-sent", "export", "audit-export", "audit-read", "prediction-shown", "explorer"})
"""Words in which data leave the server."""
_IP, _URI = "2", "5"
_NOWHERE: Final = "urn:chartloop"


def audit_event(seq: int, kept: Kept, base: str = "") -> dict[str, Any]:
    """Turn a kept record into an AuditEvent.

    Args:
        seq: Its number in the log, which is the event's id.
        kept: The record.
        base: Address of this server's FHIR API.
    """
    profile = _profile(kept)
    return {
        "resourceType": "AuditEvent",
        "id": str(seq),
        **({"meta": {"profile": [profile]}} if profile else {}),
        "type": event_type(kept.interaction).json(),
        "subtype": [coding.json() for coding in event_subtypes(kept.interaction)],
        "action": kept.action,
        "recorded": iso(kept.recorded),
        "outcome": kept.outcome,
        **({"outcomeDesc": kept.reason} if kept.reason else {}),
        **({"purposeOfEvent": [_concept(Coding(_REASON, kept.subject.purpose))]} if kept.subject.purpose else {}),
        "agent": _agents(kept, base),
        "source": {"observer": _server(base), "type": [_SERVER_TYPE.json()]},
        **({"entity": entities} if (entities := _entities(kept)) else {}),
    }


def _profile(kept: Kept) -> str:
    """Name the profile that a record fulfils; PatientQuery and its like are for one patient."""
    name = _PROFILES.get(kept.interaction, "")
    data = [target for target in kept.targets if "/" in target]
    if not name or kept.outcome != "0" or not kept.origin or (name == "Query") != bool(kept.query) or (name != "Query" and len(data) != 1):
        return ""
    return f"{_PROFILE}.{'Patient' if len(kept.patients) == 1 else ''}{name}"


def _agents(kept: Kept, base: str) -> list[dict[str, Any]]:
    """The user first; then, of what came over the network, both ends of the connection."""
    agents = [_user(kept)]
    if not kept.origin:
        return agents
    out = kept.interaction in _OUT
    client = {"identifier": {"value": kept.subject.client or kept.origin}}
    return [
        *agents,
        _end(DESTINATION if out else SOURCE, client, kept.origin, _IP),
        _end(SOURCE if out else DESTINATION, _server(base), base or _NOWHERE, _URI),
    ]


def _user(kept: Kept) -> dict[str, Any]:
    who = kept.subject
    return {
        "type": _concept(_RECIPIENT),
        "who": {"reference": who.user} if who.user else {"identifier": {"value": who.id or "unknown"}},
        **({"role": [{"text": who.role}]} if who.role else {}),
        "requestor": True,
        **({"purposeOfUse": [_concept(Coding(_REASON, who.purpose))]} if who.purpose else {}),
    }


def _end(role: str, who: dict[str, Any], address: str, kind: str) -> dict[str, Any]:
    return {"type": _concept(dicom(role)), "who": who, "requestor": False, "network": {"address": address, "type": kind}}


def _server(base: str) -> dict[str, Any]:
    return {"identifier": {"value": base}, "display": "Chartloop"} if base else {"display": "Chartloop"}


def _entities(kept: Kept) -> list[dict[str, Any]]:
    restful = is_restful(kept.interaction)
    found: list[dict[str, Any]] = [
        {"what": {"reference": target} if _is_resource(target) else {"display": target}, "type": _SYSTEM_OBJECT.json(), "role": Coding(_ROLE, "4", "Domain Resource").json()}
        for target in kept.targets
        if "/" in target or not restful
    ]
    found += [{"what": {"reference": patient}, "type": _PERSON.json(), "role": Coding(_ROLE, "1", "Patient").json()} for patient in kept.patients]
    if kept.query:
        said = base64.b64encode(kept.query.encode("utf-8", "replace")).decode()
        found.append({"type": _SYSTEM_OBJECT.json(), "role": Coding(_ROLE, "24", "Query").json(), "query": said})
    if kept.request:
        found.append({"type": _REQUEST_ID.json(), "what": {"identifier": {"value": kept.request}}})
    return found


def _is_resource(target: str) -> bool:
    """Whether a target reads like Type/id: others are named in words."""
    head, slash, rest = target.partition("/")
    return bool(slash and rest) and head.isascii() and head.isalpha() and head[0].isupper() and " " not in target


def _concept(coding: Coding) -> dict[str, Any]:
    return {"coding": [coding.json()]}
