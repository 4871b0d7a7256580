"""What a code without a concept looks like: OMOP keeps the code of a source, and not the system it is from. Pure.

Spec: https://loinc.org/kb/faq/structure/ (check digit mod 10), https://confluence.ihtsdotools.org/display/DOCRELFMT (Verhoeff)
"""

from __future__ import annotations

import re

_LOINC = re.compile(r"(\d{1,7})-(\d)")
_ICD10CM = re.compile(r"[A-TV-Z]\d[0-9A-Z](?:\.?[0-9A-Z]{1,4})?")
_HCPCS = re.compile(r"[A-V]\d{4}")
_CPT = re.compile(r"\d{4}[0-9FTU]")
_SCTID_LENGTH = range(6, 19)
_LONGEST_RXCUI = 7
_LONGEST_CVX = 3
_D5 = ("0123456789", "1234067895", "2340178956", "3401289567", "4012395678", "5987604321", "6598710432", "7659821043", "8765932104", "9876543210")
_P8 = ("0123456789", "1576283094", "5803796142", "8916043527", "9453126870", "4286573901", "2793806415", "7046913258")


def likely_vocabulary(field: str, code: str) -> str:
    """Say what a code of a concept field looks like: LOINC, SNOMED, RxNorm, CVX or RxNorm, ICD10CM, HCPCS, CPT4, UCUM, CDCREC, or "" for none of these."""
    if field.startswith("unit"):
        return "UCUM"
    if field.startswith(("race", "ethnicity")):
        return "CDCREC"
    if _is_loinc(code):
        return "LOINC"
    if code.isascii() and code.isdigit():
        return _of_digits(field, code)
    if field.startswith(("procedure", "device", "drug")) and _HCPCS.fullmatch(code):
        return "HCPCS"
    return "ICD10CM" if _ICD10CM.fullmatch(code) else ""


def _of_digits(field: str, code: str) -> str:
    if field.startswith("drug"):
        return "CVX or RxNorm" if len(code) <= _LONGEST_CVX else "RxNorm" if len(code) <= _LONGEST_RXCUI else ""
    if len(code) in _SCTID_LENGTH and is_sctid(code):
        return "SNOMED"
    return "CPT4" if field.startswith("procedure") and _CPT.fullmatch(code) else ""


def _is_loinc(code: str) -> bool:
    """Whether the digit after the hyphen is the check digit of those before it."""
    found = _LOINC.fullmatch(code)
    if not found:
        return False
    total = 0
    for place, digit in enumerate(reversed(found[1])):
        value = int(digit) * (2 if place % 2 == 0 else 1)
        total += value - 9 if value > 9 else value
    return (10 - total % 10) % 10 == int(found[2])


def is_sctid(code: str) -> bool:
    """Whether the last digit of a SNOMED CT identifier is its Verhoeff check digit."""
    check = 0
    for place, digit in enumerate(reversed(code)):
        check = int(_D5[check][int(_P8[place % 8][int(digit)])])
    return check == 0
