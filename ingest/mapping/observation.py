"""OBX, with the notes behind it, to an Observation that is not placed yet: its identity follows when the whole order is known.

Spec: https://build.fhir.org/ig/HL7/v2-to-fhir/ConceptMap-segment-obx-to-observation.html
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ingest.hl7v2.message import Segment
from ingest.hl7v2.problem import REQUIRED_FIELD, TABLE_VALUE
from ingest.hl7v2.timestamps import dtm_to_us
from ingest.mapping import tables
from ingest.mapping.context import MappingContext
from ingest.mapping.datatypes import clean, compact, problem
from ingest.mapping.observation_category import category, category_concepts
from ingest.mapping.observation_quantity import reference_ranges, unit_of
from ingest.mapping.observation_value import as_codeable_concept, observation_value
from ingest.mapping.order import Order, Result
from ingest.mapping.practitioner import xcn_to_reference
from ingest.mapping.systems import BASE, LOINC, THO, identifier_system
from ingest.mapping.tables import INTERPRETATION, INTERPRETATION_V2_ONLY

_SUB_ID = "http://hl7.org/fhir/StructureDefinition/observation-v2-subid"
_ANALYSIS = "http://hl7.org/fhir/StructureDefinition/observation-analysis-date-time"
_NATURE = "http://hl7.org/fhir/StructureDefinition/observation-nature-of-abnormal-test"
_INTERPRETATION = f"{THO}/v3-ObservationInterpretation"
_WITHOUT_CONTENT = frozenset({"U", "D", "W"})
_WITHDRAWN = frozenset({"D", "W"})


@dataclass(slots=True)
class Draft:
    """An Observation on its way.

    Attributes:
        segment: The OBX, the first one of text in several.
        code: What identifies the observation inside its order: LOINC if there is one, else the sender's code or name.
        loinc: LOINC code, empty if there is none.
        sub_id: OBX-4 as it was sent.
        category: As `category` names it.
        status: FHIR status.
        body: Elements, without identifier, status and subject.
        content: Whether the segment carries the result and not only a state (OBX-11 U, D, W).
        withdrawn: Whether the result is withdrawn (OBX-11 D, W).
    """

    segment: Segment
    code: str
    loinc: str
    sub_id: str
    category: str
    status: str
    body: dict[str, Any] = field(default_factory=dict)
    content: bool = True
    withdrawn: bool = False

    @property
    def time(self) -> str:
        """When it was observed, as FHIR writes it; empty if the message does not say."""
        return str(self.body.get("effectiveDateTime") or self.body.get("effectivePeriod", {}).get("start", ""))


def obx_to_draft(context: MappingContext, order: Order, result: Result) -> Draft | None:
    """Map one OBX; none if it does not say what was observed."""
    segment = result.obx
    code = as_codeable_concept(segment.first(3))
    if not code:
        return None
    codings: list[dict[str, Any]] = code.get("coding", [])
    loinc = next((coding["code"] for coding in codings if coding.get("system") == LOINC), "")
    kind = category(loinc, order.section, specimen=bool(order.specimens))
    sent = clean(segment.value(11)).upper()
    status = _status(context, order, segment, sent)
    body = {
        "category": category_concepts(kind),
        "code": code,
        **effective(context, segment, order),
        "issued": context.instant(order.request, 22) if order.request is not None else "",
        **_people(context, segment),
        **_values(context, result, sent),
        "interpretation": _interpretation(context, segment),
        "note": notes(context, result.notes),
        "bodySite": as_codeable_concept(segment.first(20)),
        "method": as_codeable_concept(segment.first(17)),
        "specimen": _specimen(context, order),
        "device": _device(segment),
    }
    name = loinc or (codings[0]["code"] if codings else code["text"])
    draft = Draft(segment, name, loinc, clean(segment.first(4).text()), kind, status, compact(body))
    draft.content, draft.withdrawn = sent not in _WITHOUT_CONTENT, sent in _WITHDRAWN
    return draft


def effective(context: MappingContext, obx: Segment | None, order: Order) -> dict[str, Any]:
    """OBX-14, else OBR-7, or the period of OBR-7 and OBR-8, else when the specimen was taken (SPM-17)."""
    own, request = context.datetime(obx, 14) if obx is not None else "", order.request
    if own:
        return {"effectiveDateTime": own}
    if request is None:
        return {}
    start, end = context.datetime(request, 7), context.datetime(request, 8)
    first, last = (dtm_to_us(request.value(number), context.zone) or 0 for number in (7, 8))
    if start and end and first < last:
        return {"effectivePeriod": {"start": start, "end": end}}
    taken = start or end or (context.datetime(order.specimens[0], 17) if len(order.specimens) == 1 else "")
    return {"effectiveDateTime": taken} if taken else {}


def notes(context: MappingContext, segments: list[Segment]) -> list[dict[str, Any]]:
    """NTE: one annotation each, its repetitions as lines, with author and time where they are given."""
    found = []
    for segment in segments:
        text = clean("\n".join(comment.text() for comment in segment.repetitions(3)))
        if text:
            author = xcn_to_reference(context, segment.first(5))
            found.append(compact({"authorReference": author, "time": context.datetime(segment, 6), "text": text}))
    return found


def instance_identifier(segment: Segment) -> list[dict[str, Any]]:
    """OBX-21."""
    if not segment.field(21):
        return []
    own = segment.first(21)
    number = clean(own.value(1))
    return [{"system": identifier_system("observation-instance", clean(own.value(2)), clean(own.value(3))), "value": number}] if number else []


def _status(context: MappingContext, order: Order, segment: Segment, sent: str) -> str:
    known = tables.RESULT_STATUS.get(sent)
    if known is not None:
        return known
    if sent:
        context.problems.append(problem(segment, 11, "OBX-11 is not in table 0085", TABLE_VALUE))
        return "unknown"
    context.problems.append(problem(segment, 11, "OBX-11 does not say the state of the result: that of the order is taken", REQUIRED_FIELD))
    of_order = tables.REPORT_STATUS.get(clean(order.request.value(25)).upper(), "unknown") if order.request is not None else "unknown"
    return "preliminary" if of_order == "partial" else of_order


def _values(context: MappingContext, result: Result, sent: str) -> dict[str, Any]:
    """Value, reference range and what else OBX-5 brings; several values are components under the code of the observation."""
    segment = result.obx
    values = observation_value(context, segment, result.continued)
    extensions = _extensions(context, segment)
    found: dict[str, Any] = {"referenceRange": reference_ranges(segment, unit_of(segment, [])) if segment.field(7) else []}
    for value in values:
        extensions += value.pop("extension", [])
    values = [value for value in values if value]
    if len(values) == 1:
        found |= values[0]
    elif values:
        code = as_codeable_concept(segment.first(3))
        found["component"] = [{"code": code, **value} for value in values]
    elif not any("valueAttachment" in extension for extension in extensions):
        found["dataAbsentReason"] = _absent(context, segment, sent)
    return {**found, "extension": extensions}


def _absent(context: MappingContext, segment: Segment, sent: str) -> dict[str, Any]:
    if sent not in tables.RESULT_ABSENT and sent not in _WITHOUT_CONTENT:
        context.problems.append(problem(segment, 5, "OBX-5 carries no value", REQUIRED_FIELD))
    return {"coding": [{"system": f"{THO}/data-absent-reason", "code": tables.RESULT_ABSENT.get(sent, "unknown")}]}


def _extensions(context: MappingContext, segment: Segment) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    sub_id, analysed = clean(segment.first(4).text()), context.datetime(segment, 19)
    natures = [{"coding": [{"system": f"{THO}/v2-0080", "code": code}]} for code in (clean(each.value(1)) for each in segment.repetitions(10)) if code]
    found += [{"url": _NATURE, "valueCodeableConcept": nature} for nature in natures]
    if sub_id:
        found.append({"url": _SUB_ID, "extension": [{"url": "original-sub-identifier", "valueString": sub_id}]})
    if analysed:
        found.append({"url": _ANALYSIS, "valueDateTime": analysed})
    return found


def _interpretation(context: MappingContext, segment: Segment) -> list[dict[str, Any]]:
    """OBX-8: codes of table 0078 by their v3 counterparts, others as they came."""
    found = []
    for flag in segment.repetitions(8):
        code = clean(flag.value(1)).upper()
        if code in INTERPRETATION:
            found.append({"coding": [{"system": _INTERPRETATION, "code": code, "display": INTERPRETATION[code]}]})
        elif code in INTERPRETATION_V2_ONLY:
            found.append({"coding": [{"system": f"{THO}/v2-0078", "code": code}]})
        elif flag:
            context.problems.append(problem(segment, 8, "OBX-8 is not in table 0078: kept as the sender wrote it", TABLE_VALUE))
            found.append(as_codeable_concept(flag))
    return [concept for concept in found if concept]


def _people(context: MappingContext, segment: Segment) -> dict[str, Any]:
    """OBX-16 who observed, OBX-15 and OBX-23 which laboratory."""
    people = [xcn_to_reference(context, person) for person in segment.repetitions(16) if person]
    if not segment.field(15) and not segment.field(23):
        return {"performer": [person for person in people if person]}
    performing, producer = segment.first(23), segment.first(15)
    name, number = clean(performing.value(1)), clean(performing.value(10)) or clean(performing.value(3))
    laboratory = _organization(identifier_system("organization", clean(performing.value(6)), clean(performing.value(6, 2))), number, name)
    if not laboratory:
        coding_name = clean(producer.value(3)) or context.facility
        laboratory = _organization(identifier_system("producer", coding_name), clean(producer.value(1)), clean(producer.value(2)))
    return {"performer": [performer for performer in (*people, laboratory) if performer]}


def _organization(system: str, number: str, name: str) -> dict[str, Any]:
    if not number and not name:
        return {}
    return compact({"type": "Organization", "identifier": {"system": system, "value": number} if number else {}, "display": name})


def _device(segment: Segment) -> dict[str, Any]:
    """OBX-18 as a logical reference."""
    if not segment.field(18):
        return {}
    equipment = segment.first(18)
    number = clean(equipment.value(1))
    if not number:
        return {}
    system = identifier_system("device", clean(equipment.value(2)), clean(equipment.value(3)))
    return {"type": "Device", "identifier": {"system": system, "value": number}}


def _specimen(context: MappingContext, order: Order) -> dict[str, Any]:
    """SPM, or OBR-15 of old senders, as a logical reference: number and kind of the specimen, where the order has just one."""
    if len(order.specimens) > 1:
        return {}
    if order.specimens:
        spm = order.specimens[0]
        filler = clean(spm.value(2, 2)) or clean(spm.value(2))
        kind = as_codeable_concept(spm.first(4))
    else:
        filler, kind = "", as_codeable_concept(order.request.first(15)) if order.request is not None else {}
    coding: dict[str, Any] = next(iter(kind.get("coding", [])), {})
    display = kind.get("text") or coding.get("display") or coding.get("code", "")
    if not filler and not display:
        return {}
    identifier = {"system": f"{BASE}/specimen/{context.facility_name}", "value": filler} if filler else {}
    return compact({"type": "Specimen", "identifier": identifier, "display": display})
