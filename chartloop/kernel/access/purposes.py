"""Purposes of use, and the wider ones that each is a kind of: what was said of a purpose holds for its kinds.

Spec: https://terminology.hl7.org/ValueSet-v3-PurposeOfUse.html
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Final

SYSTEM: Final = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
EMERGENCY: Final = "BTG"
"""Break the glass: what the audit log says of an access that only an emergency opened."""

PAYMENT: Final = "HPAYMT"
RESEARCH: Final = "HRESCH"

_WIDER: Final[Mapping[str, str]] = {
    **dict.fromkeys(("BTG", "ETREAT", "CAREMGT", "CLINTRL", "POPHLTH", "DSRCH"), "TREAT"),
    **dict.fromkeys(("CLMATTCH", "COVAUTH", "COVERAGE", "ELIGDTRM", "ELIGVER", "ENROLLM", "REMITADV", "MEMBERSHIP"), "HPAYMT"),
    **dict.fromkeys(("BIORCH", "CLINTRCH", "CLINTRCHNPC", "CLINTRCHPC", "PRECLINTRCH", "DSRCHIN", "POARCH", "TRANSRCH"), "HRESCH"),
    **dict.fromkeys(
        ("CAREMGTOPS", "DONAT", "FRAUD", "GOV", "HACCRED", "HCOMPL", "HDECD", "HDIRECT", "HDM", "HLEGAL", "HOUTCOMS", "HPRGRP", "HQUALIMP", "HSYSADMIN"), "HOPERAT"
    ),
}
KNOWN: Final = frozenset(_WIDER) | frozenset(_WIDER.values()) | {"HMARKT", "PATRQT", "PUBHLTH", "PATADMIN", "FAMRQT", "PWATRNY", "SUPNWK"}
WIDEST: Final = 2
"""Most purposes that one purpose stands for, itself included."""


@cache
def kinds_of(purpose: str) -> tuple[str, str]:
    """Return a purpose and the wider one that it is a kind of, or itself twice."""
    return purpose, _WIDER.get(purpose, purpose)
