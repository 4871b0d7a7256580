"""ICD-10-CM as a terminology: what lies below and above a code."""

from __future__ import annotations

import pytest

from terminology.icd10cm import SYSTEM
from terminology.icd10cm_codes import Icd10cmCodes

CODES = Icd10cmCodes()


def test_below_a_category_lie_its_codes_and_seventh_characters() -> None:
    below = CODES.below(SYSTEM, "S72.00")
    assert below is not None
    assert {"S72.00", "S72.001", "S72.001A", "S72.009S"} <= below
    assert all(code.startswith("S72.00") for code in below)
    assert CODES.below(SYSTEM, "E11.9") == {"E11.9"}


def test_above_a_code_lies_its_category() -> None:
    assert CODES.above(SYSTEM, "E11.65") == {"E11.65", "E11.6", "E11"}


@pytest.mark.parametrize(("system", "code"), [(SYSTEM, "E11.999"), (SYSTEM, ""), ("urn:other", "E11")])
def test_what_the_release_does_not_have_is_not_answered(system: str, code: str) -> None:
    assert CODES.below(system, code) is None
    assert CODES.above(system, code) is None


def test_only_the_value_set_of_all_its_codes_is_known() -> None:
    assert CODES.expand(f"{SYSTEM}?fhir_vs") == {SYSTEM: None}
    assert CODES.expand("http://a.example") is None
