"""835 claim payment and advice as typed data, with its reader.

Spec: https://x12.org/products/technical-reports (005010X221A1)
"""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from claims.x12.money import text_to_decimal
from claims.x12.walker import Loop


@dataclass(frozen=True, slots=True)
class Adjustment:
    """One CAS triple: group CO/CR/OA/PI/PR, reason code (CARC), amount."""

    group: str
    reason: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class RemittedLine:
    """SVC: one service line as paid."""

    code: str
    modifiers: tuple[str, ...]
    charge: Decimal
    paid: Decimal
    units: Decimal
    date: str
    control: str
    adjustments: tuple[Adjustment, ...]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RemittedClaim:
    """CLP: one claim as paid, denied or reversed."""

    control: str
    status: str
    charge: Decimal
    paid: Decimal
    patient_responsibility: Decimal
    payer_control: str
    member: str
    adjustments: tuple[Adjustment, ...]
    lines: tuple[RemittedLine, ...]
    remarks: tuple[str, ...] = ()

    @property
    def reversal(self) -> bool:
        """Return whether this takes an earlier payment back."""
        return self.status == "22"

    @property
    def denied(self) -> bool:
        """Return whether nothing was paid by decision of the payer."""
        return self.status == "4"


@dataclass(frozen=True, slots=True)
class ProviderAdjustment:
    """PLB: money that belongs to no claim."""

    reason: str
    reference: str
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Remittance:
    """One 835: a payment and what it is for."""

    amount: Decimal
    method: str
    date: str
    trace: str
    originator: str
    payer_name: str
    payer_id: str
    payee_name: str
    payee_id: str
    claims: tuple[RemittedClaim, ...]
    provider_adjustments: tuple[ProviderAdjustment, ...]


def loop_to_remittance(root: Loop) -> Remittance:
    """Read an 835."""
    payer, payee = root.inner("1000A"), root.inner("1000B")
    sign = -1 if root.value("BPR", 3) == "D" else 1
    payer_id = (payer[0].value("REF", 2, "2U") or payer[0].value("N1", 4)) if payer else ""
    return Remittance(
        amount=text_to_decimal(root.value("BPR", 2)) * sign,
        method=root.value("BPR", 4),
        date=root.value("BPR", 16),
        trace=root.value("TRN", 2),
        originator=root.value("TRN", 3),
        payer_name=payer[0].value("N1", 2) if payer else "",
        payer_id=payer_id,
        payee_name=payee[0].value("N1", 2) if payee else "",
        payee_id=payee[0].value("N1", 4) if payee else "",
        claims=tuple(_claim(loop) for header in root.inner("2000") for loop in header.inner("2100")),
        provider_adjustments=tuple(_provider_adjustments(root)),
    )


def _provider_adjustments(root: Loop) -> Iterator[ProviderAdjustment]:
    for segment in root.all("PLB"):
        for element in range(3, len(segment.elements), 2):
            if segment.get(element):
                amount = text_to_decimal(segment.get(element + 1))
                yield ProviderAdjustment(segment.get(element, 1), segment.get(element, 2), amount)


def _claim(loop: Loop) -> RemittedClaim:
    head = loop.segments[0]
    outpatient, inpatient = loop.first("MOA"), loop.first("MIA")
    remarks = [c for c in outpatient.elements[3:8] if c] if outpatient else []
    remarks += [c for c in (inpatient.get(5), *inpatient.elements[20:24]) if c] if inpatient else []
    patient = loop.first("NM1", "QC")
    insured = loop.first("NM1", "IL")
    member = (insured.get(9) if insured else "") or (patient.get(9) if patient else "")
    return RemittedClaim(
        control=head.get(1),
        status=head.get(2),
        charge=text_to_decimal(head.get(3)),
        paid=text_to_decimal(head.get(4)),
        patient_responsibility=text_to_decimal(head.get(5)),
        payer_control=head.get(7),
        member=member,
        adjustments=_adjustments(loop),
        lines=tuple(_line(line) for line in loop.inner("2110")),
        remarks=tuple(remarks),
    )


def _line(loop: Loop) -> RemittedLine:
    head = loop.segments[0]
    units = text_to_decimal(head.get(5)) if head.get(5) else Decimal(1)
    return RemittedLine(
        code=head.get(1, 2),
        modifiers=tuple(m for m in head.parts(1)[2:6] if m),
        charge=text_to_decimal(head.get(2)),
        paid=text_to_decimal(head.get(3)),
        units=units,
        date=loop.value("DTM", 2, "472", "150"),
        control=loop.value("REF", 2, "6R"),
        adjustments=_adjustments(loop),
        remarks=tuple(s.get(2) for s in loop.all("LQ")),
    )


def _adjustments(loop: Loop) -> tuple[Adjustment, ...]:
    return tuple(
        Adjustment(s.get(1), s.get(n), text_to_decimal(s.get(n + 1)))
        for s in loop.all("CAS")
        for n in range(2, len(s.elements), 3)
        if s.get(n)
    )
