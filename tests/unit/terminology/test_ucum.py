"""Units: vendors' words, exact conversions."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terminology.ucum import GLUCOSE_G_PER_MOL, Incommensurable, convert, molar_mass, ucum_code


@pytest.mark.parametrize(
    ("text", "code"),
    [("mmHg", "mm[Hg]"), ("count/min", "/min"), ("bpm", "/min"), ("lb", "[lb_av]"), ("degF", "[degF]"), ("degC", "Cel"), ("mL/min·kg", "mL/kg/min"),
     ("mmol<180.1558800000541>/L", "mmol/L"), ("kg", "kg"), ("mm[Hg]", "mm[Hg]"), (" kg ", "kg"), ("furlong", None), ("count", None), ("", None), ("KG", None)],
)  # fmt: skip
def test_a_vendors_unit_has_a_ucum_code_or_none(text, code):
    assert ucum_code(text) == code


@pytest.mark.parametrize(
    ("value", "source", "target", "expected"),
    [("98.6", "[degF]", "Cel", "37"), ("37", "Cel", "[degF]", "98.6"), ("0", "Cel", "K", "273.15"), ("165.3", "[lb_av]", "kg", "74.978818761"), ("72.50", "kg", "kg", "72.50"),
     ("0.96", "1", "%", "96"), ("1", "[mi_i]", "m", "1609.344"), ("1", "[stone_av]", "kg", "6.35029318"), ("2", "h", "min", "120"), ("1", "kcal", "kJ", "4.184"), ("5", "[ft_i]", "cm", "152.4")],
)  # fmt: skip
def test_a_value_converts_exactly(value, source, target, expected):
    found = convert(Decimal(value), source, target)
    assert found == Decimal(expected)
    if source == target:
        assert str(found) == expected


def test_a_concentration_of_substance_needs_the_molar_mass():
    assert convert(Decimal("5.5"), "mmol/L", "mg/dL", GLUCOSE_G_PER_MOL) == Decimal("99.0858")
    assert convert(Decimal("99.0858"), "mg/dL", "mmol/L", GLUCOSE_G_PER_MOL) == Decimal("5.5")
    assert molar_mass("mmol<180.1558800000541>/L") == Decimal("180.1558800000541")
    with pytest.raises(Incommensurable):
        convert(Decimal(1), "mmol/L", "mg/dL")


@pytest.mark.parametrize(("source", "target"), [("kg", "m"), ("kg", "parsec"), ("{steps}", "/min")])
def test_what_measures_something_else_does_not_convert(source, target):
    with pytest.raises(Incommensurable):
        convert(Decimal(1), source, target)


@given(st.decimals(min_value=-500, max_value=500, places=3), st.sampled_from([("kg", "[lb_av]"), ("Cel", "[degF]"), ("m", "[ft_i]"), ("mm[Hg]", "kPa"), ("h", "ms")]))
def test_there_and_back_is_the_same_value(value, units):
    one, other = units
    assert round(convert(convert(value, one, other), other, one), 12) == value
