"""Sensitivity labels and the small integers that stand for them in the label tables.

Spec: https://terminology.hl7.org/ValueSet-v3-InformationSensitivityPolicy.html
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

SYSTEM: Final = "http://terminology.hl7.org/CodeSystem/v3-ActCode"

#: Code -> number. Numbers are stored: append, never renumber.
LABELS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "PSY": 1,  # psychiatry disorder
        "PSYTHPN": 2,  # psychotherapy note
        "ETH": 3,  # substance abuse (the older code, still in use)
        "HIV": 4,
        "SDV": 5,  # sexual assault, abuse or domestic violence
        "SEX": 6,  # sexuality and reproductive health
        "SUD": 7,  # substance use disorder
        "BH": 8,  # behavioral health
        "MH": 9,  # mental health
        "ETHUD": 10,  # alcohol use disorder
        "OPIOIDUD": 11,  # opioid use disorder
        "STD": 12,  # sexually transmitted disease
        "GDIS": 13,  # genetic disease
        "SCA": 14,  # sickle cell anemia
        "TBOO": 15,  # taboo
        "VIO": 16,  # violence
        "IDS": 17,  # intellectual disability
        "COGN": 18,  # cognitive disability
        "DVD": 19,  # developmental disability
        "EMOTDIS": 20,  # emotional disturbance
        "MST": 21,  # military sexual trauma
        "SPI": 22,  # specially protected information
        "SICKLE": 23,  # sickle cell
    }
)

CODES: Final[Mapping[int, str]] = MappingProxyType({number: code for code, number in LABELS.items()})
