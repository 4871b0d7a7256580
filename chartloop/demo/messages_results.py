"""Results of a visit as an ORU^R01: vital signs, lipids, creatinine, smoking status; the same visit always gives the same bytes.

Spec: https://www.hl7.eu/HL7v2x/v251/std251/ch07.html (ORU)
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from chartloop.demo.messages import Message, Visit
from chartloop.demo.messages_segments import clinician, message_header, numbered, person_segment, stamp, text, visit_segment

_KIND = "ORU^R01^ORU_R01"
_MINUTES = 16
_HYPERTENSION, _HYPERLIPIDEMIA, _KIDNEY_DISEASE = "I10", "E78.5", "N18.30"
_SMOKING = (
    ("266919005", "Never smoked tobacco", 60),
    ("8517006", "Ex-smoker", 25),
    ("449868002", "Smokes tobacco daily", 15),
)


@dataclass(frozen=True, slots=True)
class Measurements:
    """What was measured at one visit: mm[Hg], mg/dL, kg, cm, and a SNOMED CT code of smoking."""

    systolic: int
    diastolic: int
    cholesterol: int
    hdl: int
    creatinine: Decimal
    weight: Decimal
    height: int
    smoking: tuple[str, str]

    @property
    def body_mass_index(self) -> Decimal:
        """kg/m2, to one digit."""
        return (self.weight / (Decimal(self.height) / 100) ** 2).quantize(Decimal("0.1"))


def results_message(visit: Visit, seed: int) -> Message:
    """The ORU^R01 of one visit: four orders with eight results, sent before the patient leaves."""
    control_id = f"{visit.number}-R"
    measured, moment = measurements(visit, seed), visit.start + timedelta(minutes=_MINUTES)
    head = message_header(_KIND, control_id, moment) + person_segment(visit.person) + visit_segment(visit)
    return Message(
        _KIND, control_id, head + _vital_signs(visit, measured) + _lipids(visit, measured) + _creatinine(visit, measured) + _smoking(visit, measured)
    )


def measurements(visit: Visit, seed: int) -> Measurements:
    """Plausible values that fit what the note of the visit says about pressure, lipids and kidneys."""
    dice = random.Random(f"{seed}/results/{visit.number}")
    codes = set(visit.note.codes)
    male = visit.person.gender == "male"
    height = dice.randint(166, 188) if male else dice.randint(153, 174)
    index = Decimal(dice.randint(205, 355)) / 10
    code, display, _ = dice.choices(_SMOKING, [weight for *_, weight in _SMOKING])[0]
    pressure = (146, 88) if _HYPERTENSION in codes else (dice.randint(108, 138), dice.randint(66, 86))
    return Measurements(
        systolic=pressure[0],
        diastolic=pressure[1],
        cholesterol=dice.randint(205, 262) if _HYPERLIPIDEMIA in codes else dice.randint(142, 215),
        hdl=dice.randint(36, 58) if male else dice.randint(42, 72),
        creatinine=Decimal(dice.randint(135, 165) if _KIDNEY_DISEASE in codes else dice.randint(62, 112)) / 100,
        weight=(index * (Decimal(height) / 100) ** 2).quantize(Decimal("0.1")),
        height=height,
        smoking=(code, display),
    )


def _vital_signs(visit: Visit, measured: Measurements) -> str:
    results = [
        ("8480-6", "Systolic blood pressure", str(measured.systolic), "mm[Hg]", ""),
        ("8462-4", "Diastolic blood pressure", str(measured.diastolic), "mm[Hg]", ""),
        ("29463-7", "Body weight", str(measured.weight), "kg", ""),
        ("8302-2", "Body height", str(measured.height), "cm", ""),
        ("39156-5", "Body mass index (BMI) [Ratio]", str(measured.body_mass_index), "kg/m2", ""),
    ]
    return _order(visit, 1, "VS", "85353-1^Vital signs panel^LN", "", results)


def _lipids(visit: Visit, measured: Measurements) -> str:
    results = [
        ("2093-3", "Cholesterol [Mass/volume] in Serum or Plasma", str(measured.cholesterol), "mg/dL", "<200"),
        ("2085-9", "Cholesterol in HDL [Mass/volume] in Serum or Plasma", str(measured.hdl), "mg/dL", ">=40"),
    ]
    return _order(visit, 2, "LP", "24331-1^Lipid 1996 panel - Serum or Plasma^LN", "CH", results)


def _creatinine(visit: Visit, measured: Measurements) -> str:
    results = [("2160-0", "Creatinine [Mass/volume] in Serum or Plasma", str(measured.creatinine), "mg/dL", "0.60-1.20")]
    return _order(visit, 3, "CR", "2160-0^Creatinine [Mass/volume] in Serum or Plasma^LN", "CH", results)


def _smoking(visit: Visit, measured: Measurements) -> str:
    code, display = measured.smoking
    return _request(visit, 4, "SH", "72166-2^Tobacco smoking status^LN", "") + numbered(
        "OBX",
        {1: "1", 2: "CWE", 3: "72166-2^Tobacco smoking status^LN", 5: f"{code}^{text(display)}^SCT", 11: "F", 14: stamp(_taken(visit))},
    )


def _order(visit: Visit, number: int, name: str, code: str, section: str, results: list[tuple[str, str, str, str, str]]) -> str:
    lines = [
        numbered(
            "OBX",
            {
                1: str(line),
                2: "NM",
                3: f"{loinc}^{text(display)}^LN",
                5: value,
                6: f"{unit}^^UCUM",
                7: normal,
                8: _flag(Decimal(value), normal),
                11: "F",
                14: stamp(_taken(visit)),
            },
        )
        for line, (loinc, display, value, unit, normal) in enumerate(results, start=1)
    ]
    return _request(visit, number, name, code, section) + "".join(lines)


def _request(visit: Visit, number: int, name: str, code: str, section: str) -> str:
    fields = {
        1: str(number),
        3: f"{visit.number}-{name}",
        4: code,
        7: stamp(_taken(visit)),
        16: clinician(visit.clinician),
        22: stamp(visit.start + timedelta(minutes=_MINUTES)),
        24: section,
        25: "F",
    }
    return numbered("OBR", fields)


def _taken(visit: Visit) -> datetime:
    return visit.start + timedelta(minutes=5)


def _flag(value: Decimal, normal: str) -> str:
    """OBX-8 by the range of OBX-7."""
    if normal.startswith("<"):
        return "H" if value >= Decimal(normal[1:]) else ""
    if normal.startswith(">="):
        return "L" if value < Decimal(normal[2:]) else ""
    low, _, high = normal.partition("-")
    if not high:
        return ""
    return "L" if value < Decimal(low) else "H" if value > Decimal(high) else ""
