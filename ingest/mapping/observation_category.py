"""What kind of observation a code is: vital sign, laboratory, social history, imaging.

Spec: https://hl7.org/fhir/R4/valueset-observation-category.html, https://hl7.org/fhir/R4/observation-vitalsigns.html
"""

from __future__ import annotations

from typing import Any

from ingest.mapping import tables
from ingest.mapping.systems import THO

SYSTEM = f"{THO}/observation-category"
VITAL_SIGNS = "vital-signs"
_DISPLAYS = {
    VITAL_SIGNS: "Vital Signs", "laboratory": "Laboratory", "social-history": "Social History", "imaging": "Imaging", "procedure": "Procedure",
}  # fmt: skip
_VITAL_SIGNS = frozenset(
    {
        "85353-1", "85354-9", "8480-6", "8462-4", "8478-0", "8459-0", "8453-3", "8460-8", "8454-1", "8461-6", "8455-8", "55284-4", "35094-2",
        "8867-4", "40443-4", "8893-0", "9279-1", "2708-6", "59408-5", "3150-6", "3151-8", "8310-5", "8331-1", "8332-9", "8333-7", "8328-7",
        "8302-2", "8306-3", "3137-7", "3138-5", "9843-4", "8287-5", "29463-7", "3141-9", "3142-7", "8335-2", "39156-5", "59576-9", "77606-2",
        "8289-1", "8280-0", "56086-2", "56115-9", "3140-1", "72514-3",
    },
)  # fmt: skip
_SOCIAL_HISTORY = frozenset(
    {"72166-2", "11367-0", "8663-7", "8664-5", "63640-7", "74010-0", "74013-4", "11331-6", "11332-4", "76689-9", "82810-3", "11341-5", "63512-8"},
)
_LABORATORY = frozenset(
    {
        "2093-3", "2085-9", "2089-1", "13457-7", "18262-6", "2571-8", "43396-1", "9830-1", "2160-0", "38483-4", "14682-9", "33914-3", "48642-3", "48643-1",
        "62238-1", "88293-6", "98979-8", "77147-7", "2345-7", "2339-0", "1558-6", "14749-6", "15074-8", "4548-4", "17856-6", "59261-8", "14959-1", "9318-7",
        "718-7", "789-8", "26453-1", "6690-2", "26464-8", "777-3", "26515-7", "4544-3", "20570-8", "787-2", "785-6", "786-4", "788-0",
        "2951-2", "2823-3", "2075-0", "2028-9", "1963-8", "3094-0", "6299-2", "17861-6", "1742-6", "1920-8", "6768-6", "1975-2", "1968-7", "2885-2", "1751-7",
        "3016-3", "3024-7", "2276-4", "6301-6", "34714-6", "5902-2", "3173-2", "1988-5", "30522-7", "10839-9", "42637-9", "33762-6", "30934-4",
        "2857-1", "2132-9", "1989-3", "5792-7", "5799-2", "5804-0", "2888-6", "5811-5", "5803-2", "38961-9", "7917-8", "29893-5", "56888-1", "20447-9",
    },
)  # fmt: skip


def category(loinc: str, section: str, *, specimen: bool) -> str:
    """Category by LOINC; where the code is not known, by diagnostic section (OBR-24) or because a specimen was examined; else empty.

    Args:
        loinc: LOINC code, empty if there is none.
        section: OBR-24.
        specimen: Whether the order names a specimen.
    """
    for name, codes in ((VITAL_SIGNS, _VITAL_SIGNS), ("social-history", _SOCIAL_HISTORY), ("laboratory", _LABORATORY)):
        if loinc in codes:
            return name
    if section in tables.LABORATORY_SECTIONS:
        return "laboratory"
    if section in tables.IMAGING_SECTIONS:
        return "imaging"
    if section in tables.PROCEDURE_SECTIONS:
        return "procedure"
    return "laboratory" if specimen else ""


def category_concepts(name: str) -> list[dict[str, Any]]:
    """FHIR category of a name of `category`."""
    return [{"coding": [{"system": SYSTEM, "code": name, "display": _DISPLAYS[name]}]}] if name else []
