"""Balance of an 835: line, claim and payment (SNIP 3).

Spec: https://x12.org/products/technical-reports (005010X221A1, section 1.10.2.1, balancing)
"""

from decimal import Decimal

from claims.x12.issue import ERROR, Position, X12Issue
from claims.x12.money import text_to_decimal
from claims.x12.segment import Segment
from claims.x12.walker import Loop

_PREDETERMINATION = "25"


def check_remittance(root: Loop, interchange: int) -> list[X12Issue]:
    """Check that every line, every claim and the payment balance."""
    issues: list[X12Issue] = []
    paid = Decimal(0)
    for claim in [c for header in root.inner("2000") for c in header.inner("2100")]:
        head = claim.first("CLP")
        if head is None:
            continue
        if head.get(2) != _PREDETERMINATION:
            paid += text_to_decimal(head.get(4))
        issues += _claim(claim, head, interchange)
    payment = root.first("BPR")
    if payment is not None:
        provider = sum((_pairs(segment) for segment in root.all("PLB")), Decimal(0))
        stated = text_to_decimal(payment.get(2)) * (-1 if payment.get(3) == "D" else 1)
        if stated != paid - provider:
            issues.append(_issue("BPR02 is not the claim payments less the provider adjustments", payment, 2, "HEADER", interchange))
    return issues


def _claim(claim: Loop, head: Segment, interchange: int) -> list[X12Issue]:
    issues = []
    lines = claim.inner("2110")
    adjusted = _adjusted(claim) + sum((_adjusted(line) for line in lines), Decimal(0))
    if text_to_decimal(head.get(3)) - text_to_decimal(head.get(4)) != adjusted:
        issues.append(_issue("CLP03 less CLP04 is not the sum of the adjustments", head, 4, "2100", interchange))
    for line in lines:
        service = line.segments[0]
        if text_to_decimal(service.get(2)) - text_to_decimal(service.get(3)) != _adjusted(line):
            issues.append(_issue("SVC02 less SVC03 is not the sum of the line's adjustments", service, 3, "2110", interchange))
    return issues


def _adjusted(loop: Loop) -> Decimal:
    return sum((text_to_decimal(s.get(n)) for s in loop.all("CAS") for n in range(3, len(s.elements), 3)), Decimal(0))


def _pairs(segment: Segment) -> Decimal:
    return sum((text_to_decimal(segment.get(n)) for n in range(4, len(segment.elements), 2)), Decimal(0))


def _issue(text: str, segment: Segment, element: int, loop: str, interchange: int) -> X12Issue:
    return X12Issue(ERROR, 3, "balance", text, Position(interchange, segment.number, element), segment.id, loop)
