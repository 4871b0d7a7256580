"""Rules across the segments of an 837P: balance (SNIP 3) and situations (SNIP 4).

Spec: https://x12.org/products/technical-reports (005010X222A1)
"""

import re
from collections.abc import Iterator
from decimal import Decimal

from claims.x12.issue import ERROR, WARNING, Position, X12Issue
from claims.x12.money import text_to_decimal
from claims.x12.segment import Segment
from claims.x12.walker import Loop

_PO_BOX = re.compile(r"\bP\.?\s*O\.?\s*BOX\b", re.IGNORECASE)
_Found = tuple[str, int, str, Segment, int]


def check_professional(root: Loop, interchange: int) -> list[X12Issue]:
    """Check one 837P."""
    issues: list[X12Issue] = []
    created = root.value("BHT", 4)
    seen: set[str] = set()
    for billing in root.inner("2000A"):
        issues += [_issue(found, "2010AA", interchange) for found in _billing(billing)]
        for subscriber in billing.inner("2000B"):
            issues += [_issue(found, "2000B", interchange) for found in _subscriber(subscriber, created)]
            patients = subscriber.inner("2000C")
            for claim in [c for level in (subscriber, *patients) for c in level.inner("2300")]:
                issues += [_issue(found, "2300", interchange) for found in _claim(claim, created, seen)]
    return issues


def _issue(found: _Found, loop: str, interchange: int) -> X12Issue:
    severity, snip, text, segment, element = found
    code = "balance" if snip == 3 else "situational"
    return X12Issue(severity, snip, code, text, Position(interchange, segment.number, element), segment.id, loop)


def _billing(level: Loop) -> Iterator[_Found]:
    for provider in level.inner("2010AA"):
        street, city, name = provider.first("N3"), provider.first("N4"), provider.first("NM1")
        if street is not None and _PO_BOX.search(street.get(1)):
            yield WARNING, 4, "the billing provider's address is a post office box", street, 1
        if city is not None and city.get(4) in ("", "US") and not re.fullmatch(r"\d{9}", city.get(3)):
            yield WARNING, 4, "the billing provider's ZIP code has no nine digits", city, 3
        if name is not None and not name.get(9) and not any(s.get(1) == "G2" for s in provider.all("REF")):
            yield ERROR, 2, "the billing provider has no identifier", name, 9


def _subscriber(level: Loop, created: str) -> Iterator[_Found]:
    head = level.first("SBR")
    patients = level.inner("2000C")
    if head is not None:
        demographics = any(loop.first("DMG") for loop in level.inner("2010BA"))
        if head.get(2) == "18" and not demographics:
            yield ERROR, 4, "the subscriber is the patient and has no DMG", head, 2
        if not head.get(2) and not patients:
            yield ERROR, 4, "SBR02 is empty and no patient level follows", head, 2
        if head.get(2) == "18" and patients:
            yield ERROR, 4, "SBR02 says the subscriber is the patient, yet a patient level follows", head, 2
    people = level.inner("2010BA") + [loop for patient in patients for loop in patient.inner("2010CA")]
    for person in people:
        birth = person.first("DMG")
        if birth is not None and created and birth.get(2) > created and birth.get(1) == "D8":
            yield ERROR, 4, "born after the transaction was made", birth, 2


def _claim(claim: Loop, created: str, seen: set[str]) -> Iterator[_Found]:
    head = claim.first("CLM")
    if head is None:
        return
    lines = claim.inner("2400")
    if head.get(1) in seen:
        yield ERROR, 4, "CLM01 is used twice", head, 1
    seen.add(head.get(1))
    total = sum((text_to_decimal(line.value("SV1", 2)) for line in lines), Decimal(0))
    if lines and text_to_decimal(head.get(2)) != total:
        yield ERROR, 3, "CLM02 is not the sum of the service lines", head, 2
    yield from _claim_situations(claim, head)
    for loop in claim.inner("2320"):
        if not loop.inner("2330B"):
            yield ERROR, 4, "another payer without its name (2330B)", loop.segments[0], 1
    numbers: set[str] = set()
    codes = sum(1 for s in claim.all("HI") if s.get(1, 1) in ("ABK", "BK") for n in range(1, 13) if s.get(n))
    for line in lines:
        yield from _line(line, codes, created, numbers)


def _claim_situations(claim: Loop, head: Segment) -> Iterator[_Found]:
    if head.get(5, 3) in ("7", "8") and claim.first("REF", "F8") is None:
        yield ERROR, 4, "a replacement or void needs the payer's claim number (REF*F8)", head, 5
    causes = {head.get(11, n) for n in (1, 2)}
    if "AA" in causes and not head.get(11, 4):
        yield ERROR, 4, "an auto accident needs its state", head, 11
    if causes & {"AA", "EM", "OA"} and claim.first("DTP", "439") is None:
        severity = ERROR if "AA" in causes else WARNING
        yield severity, 4, "an accident needs its date (DTP*439)", head, 11
    if head.get(5, 1) in ("21", "51", "61") and claim.first("DTP", "435") is None:
        yield ERROR, 4, "inpatient care needs its admission date (DTP*435)", head, 5


def _line(line: Loop, codes: int, created: str, numbers: set[str]) -> Iterator[_Found]:
    head, service = line.first("LX"), line.first("SV1")
    if head is not None:
        if head.get(1) in numbers:
            yield ERROR, 4, "LX01 is used twice in one claim", head, 1
        numbers.add(head.get(1))
    if service is not None:
        pointers = [p for p in service.parts(7) if p]
        if not pointers:
            yield ERROR, 4, "a professional service line points to no diagnosis", service, 7
        if codes and any(not (p.isascii() and p.isdigit() and len(p) < 3 and 1 <= int(p) <= codes) for p in pointers):
            yield ERROR, 4, "a diagnosis pointer points to no diagnosis", service, 7
    when = line.first("DTP", "472")
    if when is not None and created and when.get(3)[:8] > created and when.get(2) in ("D8", "RD8"):
        yield ERROR, 4, "service after the transaction was made", when, 3
