"""Every row of the list of a hundred attacks names its tests, or says why it cannot apply."""

from __future__ import annotations

import pytest

from tests.conformance.requirement_rows import misshapen, requirements, unshown

ROWS = requirements("attacks")


@pytest.mark.conformance("Conformance", "each of a hundred attacks is a test with its number, or is listed with the reason why it cannot apply")
def test_each_of_a_hundred_attacks_is_tested_or_says_why_not() -> None:
    assert list(misshapen(ROWS, "statement")) == []
    assert [row["id"] for row in ROWS] == list(range(1, 101))


def test_every_named_test_exists_and_carries_the_number_of_its_row() -> None:
    assert list(unshown(ROWS, r"'Attacks', ['\"](?:\d+, )*{id:02d}(?:, \d+)*: ")) == []
