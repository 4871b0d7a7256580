"""OBX-5 by its type, OBX-2, to the value of an Observation; what no FHIR type can hold is kept as text.

Spec: https://build.fhir.org/ig/HL7/v2-to-fhir/ConceptMap-segment-obx-to-observation.html
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ingest.hl7v2.message import Repetition, Segment
from ingest.hl7v2.problem import DATA_TYPE, REQUIRED_FIELD, TABLE_VALUE
from ingest.hl7v2.timestamps import dtm_to_datetime, dtm_to_us
from ingest.mapping.context import MappingContext
from ingest.mapping.datatypes import clean, compact, cwe_to_codeable_concept, problem
from ingest.mapping.observation_quantity import numeric_value, range_value, structured_value, unit_of

ATTACHMENT = "https://hl7.org/fhir/5.0/StructureDefinition/extension-Observation.valueAttachment"
_STRINGS = frozenset({"ST", "TX", "FT"})
_CODED = frozenset({"CE", "CWE", "CNE", "CF", "IS", "ID"})
_TIME = re.compile(r"(\d{2})(\d{2})?(\d{2})?(?:\.\d{1,4})?(?:[+-]\d{4})?")
_CODE = re.compile(r"\S+(?: \S+)*")
_MEDIA = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]*/[a-z0-9][a-z0-9!#$&^_.+-]*")
_MAJOR = {"AP": "application", "AU": "audio", "IM": "image", "MP": "multipart", "NS": "application", "SD": "application", "TX": "text", "TEXT": "text"}

Value = dict[str, Any]


def observation_value(context: MappingContext, segment: Segment, continued: Sequence[Segment] = ()) -> list[Value]:
    """One value for each repetition of OBX-5 that holds something; text is one value, its repetitions are lines.

    A value is one `value[x]` element, or an `extension` for an embedded document. `continued` are segments with further lines.
    """
    fields = [field for field in segment.repetitions(5) if field and not field.is_null]
    if not fields and not continued:
        return []
    kind = _kind(context, segment)
    unit = unit_of(segment, context.problems)
    if kind in _STRINGS:
        text = lines([segment, *continued])
        return [{"valueString": f"{text} {unit['unit']}" if unit and text else text}] if text else []
    return [value for field in fields for value in [_one(context, segment, kind, field, unit)] if value]


def lines(segments: Iterable[Segment]) -> str:
    """OBX-5 as text: each segment begins a line, each repetition as well."""
    text = "\n".join("\n".join(field.text() for field in segment.repetitions(5)) for segment in segments)
    return clean(text.replace("\r\n", "\n").replace("\r", "\n"))


def plain_text(context: MappingContext, segment: Segment) -> str:
    """OBX-5 and OBX-6 of any type as people read them."""
    if clean(segment.value(2)).upper() in _STRINGS:
        return lines([segment])
    unit = unit_of(segment, context.problems)
    kept = [_kept(field, unit).get("valueString", "") for field in segment.repetitions(5) if field]
    return "\n".join(text for text in kept if text)


def as_codeable_concept(field: Repetition, system: str = "") -> dict[str, Any]:
    """CWE as it is; what FHIR would not take as a code becomes text."""
    if not field.raw:
        return {}
    concept = cwe_to_codeable_concept(field, system)
    codings = concept.get("coding", [])
    good = [coding for coding in codings if _CODE.fullmatch(coding["code"])]
    if len(good) == len(codings):
        return concept
    text = concept.get("text") or " ".join(next(coding["code"] for coding in codings if coding not in good).split())
    return compact({"coding": good, "text": text})


def _kind(context: MappingContext, segment: Segment) -> str:
    kind = clean(segment.value(2)).upper()
    if kind:
        return kind
    context.problems.append(problem(segment, 2, "OBX-2 does not say what type the value has", REQUIRED_FIELD))
    return "NM" if numeric_value(segment.value(5), {}) and len(segment.repetitions(5)) == 1 else "ST"


def _one(context: MappingContext, segment: Segment, kind: str, field: Repetition, unit: Value) -> Value:
    convert = _CONVERSIONS.get(kind)
    if kind in _CODED:
        return compact({"valueCodeableConcept": as_codeable_concept(field)}) or _kept(field, unit)
    if kind == "ED":
        return _embedded(context, segment, field)
    if kind == "RP":
        return _pointer(context, segment, field)
    if convert is None:
        if kind not in _TEXTUAL:
            context.problems.append(problem(segment, 2, "OBX-2 is a type that is not mapped: the value is kept as text", TABLE_VALUE))
        return _kept(field, unit)
    value = convert(field, unit, context.zone)
    if not value:
        context.problems.append(problem(segment, 5, f"OBX-5 is no {kind}: kept as text", DATA_TYPE))
        return _kept(field, unit)
    return value


def _kept(field: Repetition, unit: Value) -> Value:
    """Components in their order, with the unit, so that nothing is lost."""
    parts = [clean(part) for part in _parts(field)]
    text = " ".join(part for part in (*parts, unit.get("unit", "")) if part)
    return {"valueString": text} if text else {}


def _parts(field: Repetition) -> list[str]:
    parts = []
    number = 1
    while any(field.part(later) for later in range(number, number + 10)):
        parts.append(field.value(number))
        number += 1
    return parts


def _date_time(field: Repetition, _unit: Value, zone: str) -> Value:
    value = dtm_to_datetime(field.value(1), zone)
    return {"valueDateTime": value} if value else {}


def _time(field: Repetition, _unit: Value, _zone: str) -> Value:
    match = _TIME.fullmatch(field.value(1).strip())
    if match is None:
        return {}
    hour, minute, second = (int(part or 0) for part in match.groups())
    return {"valueTime": f"{hour:02d}:{minute:02d}:{second:02d}"} if hour < 24 and minute < 60 and second < 60 else {}


def _period(field: Repetition, _unit: Value, zone: str) -> Value:
    first, last = (dtm_to_us(field.value(number), zone) for number in (1, 2))
    if first is not None and last is not None and last < first:
        return {}
    period = compact({"start": dtm_to_datetime(field.value(1), zone), "end": dtm_to_datetime(field.value(2), zone)})
    return {"valuePeriod": period} if period else {}


_CONVERSIONS: dict[str, Callable[[Repetition, Value, str], Value]] = {
    "NM": lambda field, unit, _zone: numeric_value(field.value(1), unit),
    "SI": lambda field, unit, _zone: numeric_value(field.value(1), unit),
    "SN": lambda field, unit, _zone: structured_value(field, unit),
    "NR": lambda field, unit, _zone: range_value(field, unit),
    "DT": _date_time,
    "DTM": _date_time,
    "TS": _date_time,
    "TM": _time,
    "DR": _period,
}
#: Types whose text is all there is to keep: names, addresses, identifiers, number arrays.
_TEXTUAL = frozenset(
    {"VR", "AD", "CK", "CN", "CP", "CX", "DLN", "EI", "HD", "MA", "MO", "NA", "PL", "PN", "PPN", "TN", "TQ", "XAD", "XCN", "XON", "XPN", "XTN"}
)


def _embedded(context: MappingContext, segment: Segment, field: Repetition) -> Value:
    attachment = embedded_document(context, segment, field)
    return {"extension": [{"url": ATTACHMENT, "valueAttachment": attachment}]} if attachment else {}


def embedded_document(context: MappingContext, segment: Segment, field: Repetition) -> Value:
    """ED as an Attachment; what is not encoded as it says is kept as it came."""
    content, encoding = field.value(5), field.value(4).lower()
    if not content:
        context.problems.append(problem(segment, 5, "OBX-5 embeds an empty document", REQUIRED_FIELD))
        return {}
    data = content.encode()
    if encoding in ("base64", ""):
        try:
            data = base64.b64decode("".join(content.split()), validate=True)
        except (binascii.Error, ValueError):
            context.problems.append(problem(segment, 5, "OBX-5 is not base64: the document is kept as it came"))
    elif encoding == "hex":
        try:
            data = bytes.fromhex(content)
        except ValueError:
            context.problems.append(problem(segment, 5, "OBX-5 is not hexadecimal: the document is kept as it came"))
    return compact({"contentType": _media(field), "data": base64.b64encode(data).decode("ascii"), "size": len(data), "title": _title(segment)})


def _pointer(context: MappingContext, segment: Segment, field: Repetition) -> Value:
    """RP: where the document is, if that is a URL."""
    target = clean(field.value(1))
    if not target.startswith(("http://", "https://", "urn:")) or any(character.isspace() for character in target):
        context.problems.append(problem(segment, 5, "OBX-5 points to a document by something that is no URL: kept as text"))
        return _kept(field, {})
    attachment = {"contentType": _media(field, 3), "url": target, "title": _title(segment)}
    return {"extension": [{"url": ATTACHMENT, "valueAttachment": compact(attachment)}]}


def _title(segment: Segment) -> str:
    return clean(segment.value(3, 2)) or clean(segment.value(3))


def _media(field: Repetition, start: int = 2) -> str:
    """Media type of type and subtype (tables 0191 and 0291)."""
    kind, subtype = clean(field.value(start)), clean(field.value(start + 1)).lower()
    major = _MAJOR.get(kind.upper(), kind.lower())
    media = subtype if "/" in subtype else major if "/" in major else f"{major or 'application'}/{subtype or 'octet-stream'}"
    return media if _MEDIA.fullmatch(media) else "application/octet-stream"
