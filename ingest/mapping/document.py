"""TXA and its OBX to DocumentReference, with the text that coders read.

Spec: https://build.fhir.org/ig/HL7/v2-to-fhir/ConceptMap-segment-txa-to-documentreference.html
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from ingest.hl7v2.message import Segment
from ingest.hl7v2.problem import REQUIRED_FIELD, TABLE_VALUE
from ingest.hl7v2.timestamps import dtm_to_instant
from ingest.mapping import tables
from ingest.mapping.change import MERGE, TOUCH, Change, Key, reference
from ingest.mapping.context import MappingContext
from ingest.mapping.datatypes import clean, compact, cwe_to_codeable_concept, practice_setting, problem
from ingest.mapping.practitioner import xcn_to_reference
from ingest.mapping.systems import BASE, LOINC, THO

_TEXT = frozenset({"TX", "FT", "ST", ""})
_CATEGORY = "http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category"
_STATUS_EVENTS = frozenset({"T04", "T11"})


def txa_to_document_reference(context: MappingContext, patient: Key, encounter: Key | None, segment: Segment) -> None:
    """Add the document of the message: T02 a new one, T08 an edit, T10 a replacement, T04 a new status, T11 a cancellation."""
    key = _key(context, segment.value(12))
    if key is None:
        context.error("TXA-12 carries no document number", "TXA", segment.occurrence, 12, REQUIRED_FIELD)
        return
    trigger = context.message.trigger
    parent = _key(context, segment.value(13)) if trigger == "T10" else None
    resource = {
        "resourceType": "DocumentReference",
        "masterIdentifier": key.identifier,
        "identifier": [key.identifier],
        "status": "entered-in-error" if trigger == "T11" else _status(segment),
        "docStatus": _doc_status(context, segment),
        "subject": reference(patient),
        **_description(context, segment),
        "context": _context(context, segment, encounter),
        "relatesTo": [{"code": "replaces", "target": {"type": "DocumentReference", "identifier": parent.identifier}}] if parent else [],
        "content": _content(context, segment),
    }
    if trigger in _STATUS_EVENTS and not context.message.all("OBX"):
        resource = {name: resource[name] for name in ("resourceType", "status", "docStatus")}
        context.add(Change(key, compact(resource), TOUCH, guard="skip"))
        return
    context.add(Change(key, compact(resource), MERGE, guard="skip"))
    if parent:
        context.add(Change(parent, {"resourceType": "DocumentReference", "status": "superseded"}, TOUCH))


def _key(context: MappingContext, number: str) -> Key | None:
    return Key("DocumentReference", f"{BASE}/document/{context.facility_name}", clean(number)) if clean(number) else None


def _status(segment: Segment) -> str:
    return tables.AVAILABILITY.get(segment.value(19), "current")


def _doc_status(context: MappingContext, segment: Segment) -> str:
    code = clean(segment.value(17))
    if code and code not in tables.DOC_STATUS:
        context.problems.append(problem(segment, 17, "TXA-17 is not in table 0271", TABLE_VALUE))
    return tables.DOC_STATUS.get(code, "")


def _description(context: MappingContext, segment: Segment) -> dict[str, Any]:
    author = next((person for number in (9, 5) for person in segment.repetitions(number) if person), None)
    authenticator = next((person for person in segment.repetitions(22) if person), None)
    confidentiality = tables.CONFIDENTIALITY.get(segment.value(18), "")
    return {
        "type": _type(segment),
        "category": [{"coding": [{"system": _CATEGORY, "code": "clinical-note", "display": "Clinical Note"}]}],
        "date": _date(context, segment),
        "author": [xcn_to_reference(context, author)] if author else [],
        "authenticator": xcn_to_reference(context, authenticator) if authenticator else {},
        "description": clean(segment.value(25)),
        "securityLabel": [{"coding": [{"system": f"{THO}/v3-Confidentiality", "code": confidentiality}]}] if confidentiality else [],
    }


def _type(segment: Segment) -> dict[str, Any]:
    """TXA-2: a code of table 0270 with its LOINC, or what the sender codes itself."""
    concept = cwe_to_codeable_concept(segment.first(2), f"{THO}/v2-0270")
    known = tables.DOCUMENT_TYPE.get(clean(segment.value(2)).upper())
    if known and not any(coding.get("system") == LOINC for coding in concept.get("coding", [])):
        concept["coding"] = [{"system": LOINC, "code": known[0], "display": known[1]}, *concept["coding"]]
    return concept


def _date(context: MappingContext, segment: Segment) -> str:
    for position in (6, 4):
        value = context.instant(segment, position)
        if value:
            return value
    return dtm_to_instant(context.message.header.value(7), context.zone)


def _context(context: MappingContext, segment: Segment, encounter: Key | None) -> dict[str, Any]:
    visit = context.message.first("PV1")
    start = context.datetime(segment, 4)
    return compact(
        {
            "encounter": [reference(encounter)] if encounter else [],
            "period": {"start": start} if start else {},
            "practiceSetting": practice_setting(visit.first(10)) if visit is not None else {},
        },
    )


def _content(context: MappingContext, segment: Segment) -> list[dict[str, Any]]:
    title = clean(segment.value(25)) or _title(segment)
    created = context.datetime(segment, 6) or context.datetime(segment, 4)
    observations = list(context.message.after(segment, frozenset({"OBX"}), frozenset({"TXA"})))
    lines = [line.text() for obx in observations if obx.value(2) in _TEXT for line in obx.repetitions(5)]
    embedded = [attachment for obx in observations if obx.value(2) == "ED" for attachment in [_embedded(context, obx)] if attachment]
    attachments = [_plain("\n".join(lines))] if any(lines) else []
    if not attachments and not embedded:
        context.problems.append(problem(segment, 12, "no OBX-5 carries text: the document has no content", REQUIRED_FIELD))
        attachments = [{"contentType": "text/plain; charset=utf-8"}]
    return [{"attachment": compact({**attachment, "title": title, "creation": created})} for attachment in attachments + embedded]


def _title(segment: Segment) -> str:
    known = tables.DOCUMENT_TYPE.get(clean(segment.value(2)).upper())
    return known[1] if known else clean(segment.value(2, 2))


def _plain(text: str) -> dict[str, Any]:
    data = text.replace("\r\n", "\n").replace("\r", "\n").encode()
    return {"contentType": "text/plain; charset=utf-8", "data": base64.b64encode(data).decode("ascii"), "size": len(data)}


def _embedded(context: MappingContext, obx: Segment) -> dict[str, Any]:
    """OBX-5 of type ED: what it holds, if it is base64."""
    data = obx.first(5)
    kind, subtype, encoding, content = data.value(2).lower(), data.value(3).lower(), data.value(4), data.value(5)
    if not content:
        return {}
    try:
        decoded = base64.b64decode("".join(content.split()), validate=True) if encoding.lower() == "base64" else content.encode()
    except binascii.Error:
        context.problems.append(problem(obx, 5, "OBX-5 is not base64: left out"))
        return {}
    media = subtype if "/" in subtype else f"{kind or 'application'}/{subtype or 'octet-stream'}"
    return {"contentType": media, "data": base64.b64encode(decoded).decode("ascii"), "size": len(decoded)}
