"""The audit log as AuditEvents: read through its own permission, written by nobody.

Thin: the newest records first, filtered by patient and entity; a page looks at a bounded stretch of the log.
Spec: https://hl7.org/fhir/R4/auditevent.html, https://profiles.ihe.net/ITI/BALP/
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

import msgspec

from chartloop.kernel.access.engine import Access
from chartloop.kernel.access.rows import RowAttributes
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.audit.journal import Audit, audit_directory
from chartloop.kernel.audit.reading import SealedRecord, sealed_records
from chartloop.kernel.audit.record import AuditRecord
from chartloop.kernel.clock import iso
from chartloop.kernel.db import Database
from chartloop.kernel.errors import Forbidden, Invalid, NotFound
from fhir_server.store import Page, Stored

TYPE: Final = "AuditEvent"
STRETCH: Final = 2_000
"""Records that one page looks at."""

_PARAMETERS: Final = frozenset({"patient", "entity", "_count", "_before", "_format", "_pretty"})
_ROLE: Final = "http://terminology.hl7.org/CodeSystem/object-role"
_MOST: Final = 200


class AuditEvents:
    """Readers' view of the audit log."""

    def __init__(self, database: Database, access: Access, audit: Audit, data: Path) -> None:
        """Take where the log is, who may read it, and where this reading is recorded."""
        self._database = database
        self._access = access
        self._audit = audit
        self._directory = audit_directory(data)

    def read(self, scope: Scope, id_: str) -> Stored:
        """Return one event; its id is its number in the log."""
        self._require(scope, id_)
        number = int(id_) if id_.isascii() and id_.isdigit() and len(id_) < len(str(2**62)) else 0
        with self._database.read() as session:
            found = sealed_records(session, self._directory, number + 1, 1)
        if not found or found[0].seq != number:
            raise NotFound
        self._audit.access(_record(scope, f"{TYPE}/{id_}", ""))
        return _stored(found[0])

    def search(self, scope: Scope, query: str) -> Page:
        """Return one page, the newest first."""
        self._require(scope, query)
        asked = _parameters(query)
        count = min(int(asked["_count"]), _MOST) if asked.get("_count", "").isdecimal() else 50
        before = int(asked["_before"]) if asked.get("_before", "").isdecimal() else None
        with self._database.read(snapshot=True) as session:
            looked = sealed_records(session, self._directory, before, STRETCH)
        matching = [record for record in looked if _matches(msgspec.json.decode(record.body), asked)]
        page = matching[:count]
        self._audit.access(_record(scope, TYPE, query))
        last = page[-1].seq if len(matching) > count else looked[-1].seq if len(looked) == STRETCH else None
        said = [(name, value) for name, value in asked.items() if name != "_before"]
        following = urlencode([*said, ("_before", str(last))]) if last else None
        return Page(tuple(map(_stored, page)), (), None, following, urlencode(said))

    def _require(self, scope: Scope, query: str) -> None:
        reading = Scope(scope.subject, "audit-read", scope.request)
        if not self._access.decides(reading, RowAttributes(TYPE, frozenset(), "", "", "")):
            self._audit.access(_record(scope, TYPE, query, "forbidden"))
            raise Forbidden


def audit_event(seq: int, kept: Mapping[str, Any]) -> dict[str, Any]:
    """Turn a kept record into an AuditEvent."""
    who = kept["subject"]
    entities: list[dict[str, Any]] = [{"what": {"reference": target}} for target in kept["targets"] if "/" in target]
    entities += [{"what": {"reference": patient}, "role": _coding(_ROLE, "1")} for patient in kept["patients"]]
    if kept["query"]:
        entities.append({"role": _coding(_ROLE, "24"), "description": "query"})
    return {
        "resourceType": TYPE,
        "id": str(seq),
        "type": _coding("http://terminology.hl7.org/CodeSystem/audit-event-type", "rest"),
        "subtype": [_coding("http://hl7.org/fhir/restful-interaction", kept["interaction"])],
        "action": kept["action"],
        "recorded": iso(kept["recorded"]),
        "outcome": kept["outcome"],
        **({"outcomeDesc": kept["reason"]} if kept["reason"] else {}),
        "purposeOfEvent": [{"coding": [_coding("http://terminology.hl7.org/CodeSystem/v3-ActReason", who["purpose"])]}],
        "agent": [_agent(who)],
        "source": {"observer": {"display": "Chartloop"}},
        **({"entity": entities} if entities else {}),
    }


def _agent(who: Mapping[str, Any]) -> dict[str, Any]:
    reference = {"reference": who["user"]} if who["user"] else {"identifier": {"value": who["id"]}}
    return {"who": reference, "requestor": True, **({"role": [{"text": who["role"]}]} if who["role"] else {})}


def _coding(system: str, code: str) -> dict[str, str]:
    return {"system": system, "code": code}


def _stored(record: SealedRecord) -> Stored:
    kept = msgspec.json.decode(record.body)
    body = msgspec.json.encode(audit_event(record.seq, kept))
    return Stored(TYPE, str(record.seq), 1, int(kept["recorded"]), body, redacted=False, deleted=False, method="POST")


def _parameters(query: str) -> dict[str, str]:
    asked = dict(parse_qsl(query, keep_blank_values=True, max_num_fields=20))
    unknown = sorted(set(asked) - _PARAMETERS)
    if unknown:
        raise Invalid(f"Parameter {unknown[0][:64]!r} is not supported for {TYPE}.", code="not-supported")
    return asked


def _matches(kept: Mapping[str, Any], asked: Mapping[str, str]) -> bool:
    patient, entity = asked.get("patient", ""), asked.get("entity", "")
    if patient and patient.removeprefix("Patient/") not in {each.removeprefix("Patient/") for each in kept["patients"]}:
        return False
    return not entity or any(target == entity or target.startswith(f"{entity}/") for target in kept["targets"])


def _record(scope: Scope, target: str, query: str, reason: str = "") -> AuditRecord:
    return AuditRecord("E" if query else "R", "audit-read", "4" if reason else "0", scope.subject, (target,), (), query, scope.request, reason)
