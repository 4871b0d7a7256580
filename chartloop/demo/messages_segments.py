"""Segments of the demo's messages, with its own writer.

Spec: https://www.hl7.eu/HL7v2x/v251/std251/ch03.html (ADT), ch06 (DFT), ch09 (MDM)
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from chartloop.demo.population_directory import FACILITY, Practitioner
from chartloop.demo.population_people import MRN_SYSTEM, Person

if TYPE_CHECKING:
    from chartloop.demo.messages import Visit

OFFSET = "-0600"
_ESCAPES = str.maketrans({"|": "\\F\\", "^": "\\S\\", "~": "\\R\\", "&": "\\T\\", "\\": "\\E\\", "\n": "\\.br\\", "\r": ""})
_GENDER = {"female": "F", "male": "M", "other": "O"}
_LINES_PER_OBX = 8


def text(value: str) -> str:
    """A value with its separators escaped."""
    return value.translate(_ESCAPES)


def stamp(moment: datetime) -> str:
    """Time with its offset."""
    return f"{moment:%Y%m%d%H%M%S}{OFFSET}"


def header(kind: str, control_id: str, moment: datetime) -> str:
    """MSH and EVN."""
    return message_header(kind, control_id, moment) + _segment("EVN", kind.split("^")[1], stamp(moment))


def message_header(kind: str, control_id: str, moment: datetime) -> str:
    """MSH."""
    fields = [
        "MSH",
        "^~\\&",
        "DEMOEHR",
        FACILITY,
        "CHARTLOOP",
        "CHARTLOOP",
        stamp(moment),
        "",
        kind,
        control_id,
        "P",
        "2.5.1",
        "",
        "",
        "",
        "",
        "",
        "UNICODE UTF-8",
    ]
    return _segment(*fields)


def person_segment(person: Person, *, work_phone: str = "") -> str:
    """PID. Of a patient from elsewhere the assigning authority is the whole system of the record number, and phones stay unsaid."""
    own = person.mrn_system == MRN_SYSTEM
    authority = FACILITY if own else f"&{text(person.mrn_system)}&URI"
    name = "^".join((text(person.family), text(person.given[0]), text(" ".join(person.given[1:])), "", text(person.prefix), "", "L"))
    address = "^".join((text(person.line), "", text(person.city), text(person.state), text(person.postal_code), "US", "H"))
    fields = {
        1: "1",
        3: f"{text(person.mrn)}^^^{authority}^MR",
        5: name,
        7: person.birth_date.replace("-", ""),
        8: _GENDER.get(person.gender, "U"),
        11: address,
        13: f"{text(person.phone)}^PRN^PH" if own and person.phone else "",
        14: f"{text(work_phone)}^WPN^PH" if own and work_phone else "",
    }
    return numbered("PID", fields)


def visit_segment(visit: Visit, *, end: str = "", disposition: str = "") -> str:
    """PV1."""
    fields = {
        1: "1",
        2: "I" if visit.inpatient else "O",
        3: f"CLINIC^{visit.clinician.service}^^{FACILITY}",
        7: clinician(visit.clinician),
        10: visit.clinician.service,
        19: f"{visit.number}^^^{FACILITY}^VN",
        36: disposition,
        44: stamp(visit.start),
        45: end,
    }
    return numbered("PV1", fields)


def insurance(person: Person) -> str:
    """IN1."""
    payer = person.payer
    fields = {
        1: "1",
        2: f"{payer.id}-1^{text(payer.plan)}",
        3: payer.id,
        4: text(payer.name),
        8: person.group,
        12: "20260101",
        15: f"{payer.plan_type}^^claim-filing",
        16: f"{text(person.family)}^{text(person.given[0])}",
        17: "SEL",
        18: person.birth_date.replace("-", ""),
        36: person.member_id,
    }
    return numbered("IN1", fields)


def note_segments(visit: Visit) -> str:
    """TXA and OBX: the text in pieces, as interfaces send it."""
    written = visit.start + timedelta(minutes=18)
    author = clinician(visit.clinician)
    fields = {1: "1", 2: visit.note.type, 3: "TX", 4: stamp(visit.start), 5: author, 6: stamp(written), 9: author, 12: visit.document, 17: "AU", 19: "AV"}
    lines = visit.note.text.split("\n")
    pieces = [lines[start : start + _LINES_PER_OBX] for start in range(0, len(lines), _LINES_PER_OBX)]
    observations = [
        numbered("OBX", {1: str(number), 2: "TX", 5: "\\.br\\".join(text(line) for line in piece), 11: "F"}) for number, piece in enumerate(pieces, start=1)
    ]
    return numbered("TXA", fields) + "".join(observations)


def charge_segments(visit: Visit) -> str:
    """FT1 for each charge."""
    return "".join(
        numbered(
            "FT1",
            {
                1: str(number),
                2: f"{visit.number}-F{number}",
                4: f"{visit.start:%Y%m%d}",
                6: "CG",
                7: f"{charge.code}^{text(charge.display)}^HCPCS",
                10: str(charge.quantity),
                11: f"{charge.unit_price * charge.quantity}&USD",
                12: f"{charge.unit_price}&USD",
                20: clinician(visit.clinician),
                25: f"{charge.code}^{text(charge.display)}^HCPCS",
            },
        )
        for number, charge in enumerate(visit.charges, start=1)
    )


def discharge_segments(visit: Visit) -> str:
    """PV1 of the end of the visit."""
    return visit_segment(visit, end=stamp(visit.start + timedelta(minutes=30)), disposition="01")


def clinician(person: Practitioner) -> str:
    """XCN with the NPI."""
    return f"{person.npi}^{text(person.family)}^{text(person.given)}^^^Dr^^^NPI^L^^^NPI"


def numbered(name: str, fields: dict[int, str]) -> str:
    """A segment of the fields that it has, by their numbers."""
    return _segment(name, *(fields.get(number, "") for number in range(1, max(fields) + 1)))


def _segment(*fields: str) -> str:
    return "|".join(fields).rstrip("|") + "\r"
