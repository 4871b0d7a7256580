"""What is known of R4's published invariants: those whose expression is wrong, and what an empty answer means.

Spec: https://hl7.org/fhir/R4/conformance-rules.html#constraints, corrections as in R4B and R5
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final, NamedTuple


class Correction(NamedTuple):
    """What is evaluated instead of a published expression, and why."""

    expression: str
    reason: str


CORRECTIONS: Final = MappingProxyType(
    {
        "con-3": Correction(
            "clinicalStatus.exists()"
            " or verificationStatus.coding.where(system = 'http://terminology.hl7.org/CodeSystem/condition-ver-status' and code = 'entered-in-error').exists()"
            " or category.coding.where(code = 'problem-list-item').empty()",
            "it compares a CodeableConcept with a text: no category at all would satisfy it",
        ),
        "tim-9": Correction(
            "offset.empty() or (when.exists() and when.all(($this in ('C' | 'CM' | 'CD' | 'CV')).not()))",
            "`in` takes one item, and a timing may have several `when`",
        ),
    }
)
"""Invariants whose published expression is wrong."""

REMARKS: Final = MappingProxyType(
    {
        "que-7": "`answer is Boolean` means FHIR's boolean: published expressions are read so",
        "dom-3": "`as` is applied to lists: published expressions filter with it",
        "ppc-2": "asks for the code system `something`: it never breaks",
        "ppc-3": "asks for the code system `something`: it never breaks",
        "ppc-4": "asks for the code system `something`: it never breaks",
        "ppc-5": "asks for the code system `something`: it never breaks",
        "per-1": "a start and an end of which one is known less exactly cannot be ordered: said as information (R5 compares their boundaries)",
        "rng-2": "two quantities whose units do not convert cannot be ordered: said as information",
        "eld-19": "`matches` meant all of a text when R4 was published: published expressions are read so",
    }
)
"""Invariants that are evaluated as published, and how."""

_NAMES: Final = (
    "adf cpb cid csd cpd cmd ees evd evi evv esc gdf ig lib mea msd opd pdf que rsd red rvs spd sdf smp tcp tst vsd"
)
HOLD_WHEN_EMPTY: Final = frozenset({f"{prefix}-0" for prefix in _NAMES.split()} | {"bdl-8", "md-1", "ras-2", "ref-1"})
"""Invariants that say nothing where the element they are about is absent; for all others an empty answer is not true."""
