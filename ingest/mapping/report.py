"""OBR to DiagnosticReport: one for each order, with its results and what the message says in plain text.

Spec: https://build.fhir.org/ig/HL7/v2-to-fhir/ConceptMap-segment-obr-to-diagnosticreport.html
"""

from __future__ import annotations

import base64
from typing import Any

from ingest.hl7v2.message import Repetition, Segment
from ingest.hl7v2.problem import REQUIRED_FIELD, TABLE_VALUE
from ingest.mapping import tables
from ingest.mapping.change import Change, Key, reference
from ingest.mapping.context import MappingContext
from ingest.mapping.datatypes import clean, compact, problem
from ingest.mapping.observation import effective, notes
from ingest.mapping.observation_value import as_codeable_concept, embedded_document, plain_text
from ingest.mapping.order import Order, Result
from ingest.mapping.practitioner import xcn_to_reference
from ingest.mapping.result_identity import OrderIdentity
from ingest.mapping.result_state import FINAL, Statement
from ingest.mapping.systems import THO, identifier_system

_NOTE = "http://hl7.org/fhir/5.0/StructureDefinition/extension-DiagnosticReport.note"
_FUNCTION = "http://hl7.org/fhir/StructureDefinition/event-performerFunction"
_KINDS = {"PLAC": "placer-order", "FILL": "filler-order"}


def obr_to_diagnostic_report(
    context: MappingContext, order: Order, segment: Segment, identity: OrderIdentity, subject: dict[str, Any], results: list[Key]
) -> None:
    """Add the report of one order. `subject` are its patient and its visit; `results` the observations that it lists."""
    placer, filler = _identifier(identity.placer, "PLAC"), _identifier(identity.filler, "FILL")
    if not identity.number:
        context.problems.append(problem(segment, 3, "OBR-3 and OBR-2 carry no order number: patient, service and time stand for it", REQUIRED_FIELD))
    key = _unused(context, identity.report())
    status, stated = _status(context, segment, order)
    resource = {
        "resourceType": "DiagnosticReport",
        "identifier": [each for each in (key.identifier, filler, placer) if each],
        "basedOn": [{"type": "ServiceRequest", "identifier": placer}] if placer else [],
        "status": status,
        "category": _category(segment),
        "code": _code(context, segment),
        **subject,
        **effective(context, None, order),
        "issued": context.instant(segment, 22),
        "performer": _performers(context, segment),
        "resultsInterpreter": _people(context, segment, 32),
        "result": [reference(result) for result in results],
        "presentedForm": _presented(context, [result for result in order.results if not as_codeable_concept(result.obx.first(3))]),
        "extension": [{"url": _NOTE, "valueAnnotation": note} for note in notes(context, order.notes)],
    }
    statement = Statement(status, content=True, segment="OBR", occurrence=segment.occurrence, field=25 if stated else 0)
    context.add(Change(key, compact(resource), statement=statement))


def _unused(context: MappingContext, key: Key) -> Key:
    """The same order and service twice in one message are two reports."""
    number, found = 1, key
    while context.holds(found):
        number += 1
        found = Key(key.type, key.system, f"{key.value}#{number}")
    return found


def _identifier(number: Repetition | None, kind: str) -> dict[str, Any]:
    if number is None:
        return {}
    system = identifier_system(_KINDS[kind], clean(number.value(2)), clean(number.value(3)))
    return {"type": {"coding": [{"system": f"{THO}/v2-0203", "code": kind}]}, "system": system, "value": clean(number.value(1))}


def _status(context: MappingContext, segment: Segment, order: Order) -> tuple[str, bool]:
    """OBR-25; without one, what the states of the results say."""
    sent = clean(segment.value(25)).upper()
    known = tables.REPORT_STATUS.get(sent)
    if known is not None:
        return known, True
    if sent:
        context.problems.append(problem(segment, 25, "OBR-25 is not in table 0123", TABLE_VALUE))
    states = {tables.RESULT_STATUS.get(clean(result.obx.value(11)).upper(), "unknown") for result in order.results}
    if not states or "unknown" in states:
        return "unknown", False
    return (FINAL if states <= {FINAL, "amended", "corrected", "cancelled"} else "partial"), False


def _category(segment: Segment) -> list[dict[str, Any]]:
    section = clean(segment.value(24)).upper()
    return [{"coding": [{"system": f"{THO}/v2-0074", "code": section}]}] if section and " " not in section else []


def _code(context: MappingContext, segment: Segment) -> dict[str, Any]:
    code = as_codeable_concept(segment.first(4))
    if code:
        return code
    context.problems.append(problem(segment, 4, "OBR-4 does not say what was ordered", REQUIRED_FIELD))
    return {"coding": [{"system": f"{THO}/data-absent-reason", "code": "unknown"}]}


def _performers(context: MappingContext, segment: Segment) -> list[dict[str, Any]]:
    """OBR-34, the technician, and OBR-35, who wrote it down."""
    found = []
    for number, code in ((34, "SPRF"), (35, "TRANS")):
        function = {"url": _FUNCTION, "valueCodeableConcept": {"coding": [{"system": f"{THO}/v3-ParticipationType", "code": code}]}}
        found += [{"extension": [function], **person} for person in _people(context, segment, number)]
    return found


def _people(context: MappingContext, segment: Segment, number: int) -> list[dict[str, Any]]:
    """NDL: the person is in the subcomponents of its first component, or is the whole field."""
    found = []
    for field in segment.repetitions(number):
        subcomponent, component = context.message.separators.subcomponent, context.message.separators.component
        name = field.part(1)
        person = Repetition(name.replace(subcomponent, component), context.message.separators) if subcomponent in name else field
        found.append(xcn_to_reference(context, person))
    return [person for person in found if person]


def _presented(context: MappingContext, results: list[Result]) -> list[dict[str, Any]]:
    """What results without a code hold: text that belongs to the report as a whole, and documents."""
    texts: list[str] = []
    forms: list[dict[str, Any]] = []
    for result in results:
        context.problems.append(problem(result.obx, 3, "OBX-3 does not say what was observed: the value is kept as text of the report", REQUIRED_FIELD))
        for segment in (result.obx, *result.continued):
            if clean(segment.value(2)).upper() == "ED":
                forms += [form for field in segment.repetitions(5) for form in [embedded_document(context, segment, field)] if form]
            else:
                texts.append(plain_text(context, segment))
        texts += [note["text"] for note in notes(context, result.notes)]
    text = "\n".join(texts)
    if text.strip():
        data = text.encode()
        forms.insert(0, {"contentType": "text/plain; charset=utf-8", "data": base64.b64encode(data).decode("ascii"), "size": len(data)})
    return forms
