"""HCPCS level II charges of a visit (no CPT: it is licensed)."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Charge:
    """One line of the charge master."""

    code: str
    display: str
    quantity: int
    unit_price: Decimal


CHARGE_MASTER = {
    charge.code: charge
    for charge in (
        Charge("G0463", "Hospital outpatient clinic visit for assessment and management of a patient", 1, Decimal("142.50")),
        Charge("G0444", "Annual depression screening, 15 minutes", 1, Decimal("24.00")),
        Charge("H0004", "Behavioral health counseling and therapy, per 15 minutes", 3, Decimal("38.25")),
        Charge("J0696", "Injection, ceftriaxone sodium, per 250 mg", 4, Decimal("1.85")),
        Charge("J1885", "Injection, ketorolac tromethamine, per 15 mg", 2, Decimal("4.50")),
        Charge("J3301", "Injection, triamcinolone acetonide, not otherwise specified, 10 mg", 4, Decimal("3.10")),
    )
}
VISIT = "G0463"


def charges_of(codes: tuple[str, ...]) -> list[Charge]:
    """The visit itself and what was given, each once."""
    return [CHARGE_MASTER[code] for code in dict.fromkeys((VISIT, *codes))]
