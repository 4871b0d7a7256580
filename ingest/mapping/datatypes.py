"""HL7 v2 data types to FHIR data types.

Spec: https://build.fhir.org/ig/HL7/v2-to-fhir/datatype_maps.html
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from ingest.hl7v2.message import Repetition, Segment
from ingest.hl7v2.problem import DATA_TYPE, TABLE_VALUE, Problem
from ingest.hl7v2.timestamps import dtm_to_date
from ingest.mapping import tables
from ingest.mapping.systems import SNOMED, THO, coding_system, identifier_system

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?|[+-]?\.\d+")
_UNDOTTED_ICD_10 = re.compile(r"[A-Z]\d[0-9A-Z][0-9A-Z]{1,4}")
ICD_10_CM = coding_system("I10C")


def clean(text: str) -> str:
    """Text that a FHIR string may hold: no control characters, no blanks around it."""
    return text.strip() if text.isprintable() else _CONTROL.sub("", text).strip()


def compact(values: dict[str, Any]) -> dict[str, Any]:
    """The entries that have a value."""
    return {name: value for name, value in values.items() if value not in ("", None, [], {})}


def problem(segment: Segment, field: int, text: str, code: str = DATA_TYPE) -> Problem:
    """A warning about one field: what it holds is left out, the rest is mapped."""
    return Problem(code, text, segment.name, segment.occurrence, field, severity="W")


def xpn_to_human_name(name: Repetition) -> dict[str, Any]:
    """Person name."""
    given = [clean(name.value(2)), *clean(name.value(3)).split()]
    return compact(
        {
            "use": tables.NAME_USE.get(name.value(7), ""),
            "family": clean(name.value(1)),
            "given": [part for part in given if part],
            "prefix": [prefix for prefix in (clean(name.value(5)),) if prefix],
            "suffix": [suffix for suffix in (clean(name.value(4)), clean(name.value(6))) if suffix],
        },
    )


def xad_to_address(address: Repetition) -> dict[str, Any]:
    """Postal address."""
    kind = address.value(7)
    return compact(
        {
            "use": tables.ADDRESS_USE.get(kind, ""),
            "type": tables.ADDRESS_TYPE.get(kind, ""),
            "line": [line for line in (clean(address.value(1)), clean(address.value(2))) if line],
            "city": clean(address.value(3)),
            "state": clean(address.value(4)),
            "postalCode": clean(address.value(5)),
            "country": clean(address.value(6)),
            "district": clean(address.value(9)),
        },
    )


def xtn_to_contact_point(number: Repetition, use: str = "") -> dict[str, Any]:
    """Telephone number or mail address."""
    system = tables.TELECOM_SYSTEM.get(number.value(3), "phone")
    parts = [f"+{number.value(5)}" if number.value(5) else "", number.value(6), number.value(7)]
    extension = f" ext. {number.value(8)}" if number.value(8) else ""
    dialled = "-".join(part for part in parts if part) + extension
    value = number.value(4) if system == "email" and number.value(4) else number.value(12) or dialled or number.value(1)
    if number.value(1) and not dialled:
        value = number.value(4) if system == "email" and number.value(4) else number.value(1)
    mobile = number.value(3) == "CP"
    spoken_for = "mobile" if mobile and not number.value(2) else tables.TELECOM_USE.get(number.value(2), use)
    return compact({"system": system, "value": clean(value), "use": spoken_for}) if clean(value) else {}


def cx_to_identifier(identifier: Repetition, kind: str, type_code: str = "") -> dict[str, Any]:
    """Identifier with check digit; its system comes from the assigning authority."""
    code = identifier.value(5) or type_code
    return compact(
        {
            "type": {"coding": [{"system": f"{THO}/v2-0203", "code": clean(code)}]} if clean(code) else {},
            "system": identifier_system(kind, clean(identifier.value(4)), clean(identifier.value(4, 2))),
            "value": clean(identifier.value(1)),
        },
    )


def cwe_to_codeable_concept(code: Repetition, system: str = "") -> dict[str, Any]:
    """Coded element with its alternates and their versions; `system` is used where the message names none."""
    codings = [
        coding(code.value(start), code.value(start + 1), coding_system(clean(code.value(start + 2))) or (system if start == 1 else ""), code.value(version))
        for start, version in ((1, 7), (4, 8), (10, 13))
        if clean(code.value(start))
    ]
    text = clean(code.value(9)) or (clean(code.value(2)) if not codings else "")
    return compact({"coding": codings, "text": text})


def coding(code: str, display: str, system: str, version: str = "") -> dict[str, Any]:
    """FHIR Coding; an ICD-10-CM code gets its dot."""
    code = clean(code)
    if system == ICD_10_CM and _UNDOTTED_ICD_10.fullmatch(code):
        code = f"{code[:3]}.{code[3:]}"
    return compact({"system": system, "version": clean(version), "code": code, "display": clean(display)})


def number(segment: Segment, field: int, problems: list[Problem], component: int = 1) -> Decimal | None:
    """Exact value of a numeric position, none if empty or not a number."""
    text = segment.value(field, component).strip().replace(",", "")
    if not text:
        return None
    if _NUMBER.fullmatch(text):
        return Decimal(text)
    problems.append(problem(segment, field, f"{segment.name}-{field} is no number"))
    return None


def date(segment: Segment, field: int, problems: list[Problem]) -> str:
    """Date at a position, empty if there is none."""
    text = segment.value(field)
    value = dtm_to_date(text)
    if text and not value:
        problems.append(problem(segment, field, f"{segment.name}-{field} is no date"))
    return value


def gender(segment: Segment, field: int, problems: list[Problem]) -> str:
    """Administrative gender by table 0001."""
    code = segment.value(field).strip()
    if code and code not in tables.GENDER:
        problems.append(problem(segment, field, f"{segment.name}-{field} is not in table 0001", TABLE_VALUE))
    return tables.GENDER.get(code, "unknown" if code else "")


def practice_setting(service: Repetition) -> dict[str, Any]:
    """Hospital service (PV1-10) as a practice setting: the sender's code, and SNOMED CT where it is known."""
    concept = cwe_to_codeable_concept(service, f"{THO}/v2-0069")
    known = tables.PRACTICE_SETTING.get(clean(service.value(1)).upper())
    if known and concept:
        concept["coding"] = [{"system": SNOMED, "code": known[0], "display": known[1]}, *concept.get("coding", [])]
    return concept
