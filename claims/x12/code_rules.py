"""Rules on external codes (SNIP 5) that need no code list: check digits, forms, closed short lists.

Published examples and test files hold invented identifiers, so a reader reports these as warnings; a sender asks for errors.
Spec: https://x12.org/products/technical-reports (005010X222A1, appendix of external code sources)
"""

import re
from collections.abc import Iterator

from claims.x12.issue import Position, X12Issue
from claims.x12.npi import is_npi
from claims.x12.segment import Segment

STATES = frozenset({
    "AL", "AK", "AZ", "AR", "CA", "CO", "CT", "DE", "FL", "GA", "HI", "ID", "IL", "IN", "IA", "KS", "KY", "LA", "ME", "MD", "MA", "MI", "MN", "MS",
    "MO", "MT", "NE", "NV", "NH", "NJ", "NM", "NY", "NC", "ND", "OH", "OK", "OR", "PA", "RI", "SC", "SD", "TN", "TX", "UT", "VT", "VA", "WA", "WV",
    "WI", "WY", "DC", "AS", "GU", "MP", "PR", "VI", "UM", "FM", "MH", "PW", "AA", "AE", "AP", "AB", "BC", "MB", "NB", "NL", "NS", "NT", "NU", "ON",
    "PE", "QC", "SK", "YT",
})
PLACES = frozenset({
    "01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11", "12", "13", "14", "15", "16", "17", "18", "19", "20", "21", "22", "23", "24",
    "25", "26", "27", "31", "32", "33", "34", "41", "42", "49", "50", "51", "52", "53", "54", "55", "56", "57", "58", "60", "61", "62", "65", "66",
    "71", "72", "81", "99",
})
_TAXONOMY = re.compile(r"[1-4][0-9][0-9A-Z]{7}[XY]")
_ICD10 = re.compile(r"[A-Z][0-9][0-9A-Z][0-9A-Z]{0,4}")
_ICD9 = re.compile(r"[0-9VE][0-9]{2,4}")
_PROCEDURE = re.compile(r"[0-9]{4}[0-9FTUMA]|[A-Z][0-9]{4}")
_MODIFIER = re.compile(r"[0-9A-Z]{2}")
_REASON = re.compile(r"[1-9][0-9]?|[12][0-9]{2}|3[0-4][0-9]|A[0-9]|B[1-9]|B1[0-9]|B2[0-3]|[DPWYN][0-9]{1,2}")

_Found = tuple[str, int, int]


def check_codes(segments: list[Segment], interchange: int, severity: str) -> list[X12Issue]:
    """Check the coded values of one transaction set."""
    issues = []
    for segment in segments:
        check = _CHECKS.get(segment.elements[0])
        if check is not None:
            for text, element, component in check(segment):
                issues.append(X12Issue(severity, 5, "code", text, Position(interchange, segment.number, element, component), segment.id))
    return issues


def _name(segment: Segment) -> Iterator[_Found]:
    if segment.get(8) == "XX" and not is_npi(segment.get(9)):
        yield "not an NPI", 9, 0


def _organization(segment: Segment) -> Iterator[_Found]:
    if segment.get(3) == "XX" and not is_npi(segment.get(4)):
        yield "not an NPI", 4, 0


def _address(segment: Segment) -> Iterator[_Found]:
    if segment.get(4) not in ("", "US"):
        return
    if segment.get(2) and segment.get(2) not in STATES:
        yield "not a state or province", 2, 0
    if segment.get(3) and not re.fullmatch(r"(?!00000)\d{5}(\d{4})?|[A-Z]\d[A-Z] ?\d[A-Z]\d", segment.get(3)):
        yield "not a ZIP code", 3, 0


def _provider(segment: Segment) -> Iterator[_Found]:
    if segment.get(2) == "PXC" and not _TAXONOMY.fullmatch(segment.get(3)):
        yield "not a taxonomy code", 3, 0


def _diagnoses(segment: Segment) -> Iterator[_Found]:
    for element in range(1, len(segment.elements)):
        kind, code = segment.get(element, 1), segment.get(element, 2)
        form = {"ABK": _ICD10, "ABF": _ICD10, "BK": _ICD9, "BF": _ICD9}.get(kind)
        if form is not None and code and not form.fullmatch(code):
            yield "not in the form of a diagnosis code", element, 2


def _service(segment: Segment) -> Iterator[_Found]:
    yield from _procedure(segment, 1)
    if segment.id == "SV1" and segment.get(5) and segment.get(5) not in PLACES:
        yield "not a place of service", 5, 0


def _procedure(segment: Segment, element: int) -> Iterator[_Found]:
    if segment.get(element, 1) != "HC":
        return
    if not _PROCEDURE.fullmatch(segment.get(element, 2)):
        yield "not in the form of a procedure code", element, 2
    for component in range(3, 7):
        if segment.get(element, component) and not _MODIFIER.fullmatch(segment.get(element, component)):
            yield "not in the form of a modifier", element, component


def _claim(segment: Segment) -> Iterator[_Found]:
    if segment.get(5, 1) and segment.get(5, 1) not in PLACES:
        yield "not a place of service", 5, 1


def _adjustment(segment: Segment) -> Iterator[_Found]:
    for element in range(2, len(segment.elements), 3):
        if segment.get(element) and not _REASON.fullmatch(segment.get(element)):
            yield "not a claim adjustment reason code", element, 0


_CHECKS = {
    "NM1": _name, "N1": _organization, "N4": _address, "PRV": _provider, "HI": _diagnoses, "SV1": _service, "SVC": _service,
    "CLM": _claim, "CAS": _adjustment,
}
