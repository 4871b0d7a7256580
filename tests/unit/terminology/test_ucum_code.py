"""Any UCUM code to its canonical form, exactly, or to none."""

from __future__ import annotations

import json
import tarfile
import xml.etree.ElementTree as ET
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from terminology import generate_ucum
from terminology.ucum import _UNITS
from terminology.ucum_code import TABLE, Canonical, canonical, converted

_LISTED = json.loads(TABLE.read_text(encoding="ascii"))
_METRIC = sorted(code for code, (metric, *_) in _LISTED["units"].items() if metric)


@pytest.mark.conformance("FHIR R4: search", "UCUM: every unit atom but logarithms and the like has an exact canonical form; annotations say nothing")
@pytest.mark.parametrize(
    ("code", "dimension", "scale"),
    [
        ("g", "g", "1"), ("kg", "g", "1000"), ("mg{creat}", "g", "1/1000"), ("10*-3.g", "g", "1/1000"), ("1", "1", "1"), ("{score}", "1", "1"), ("%", "1", "1/100"),
        ("{beats}/min", "s-1", "1/60"), ("/min", "s-1", "1/60"), ("Hz", "s-1", "1"), ("10*9/L", "m-3", "1000000000000"), ("10*3/uL", "m-3", "1000000000000"),
        ("mm[Hg]", "g.m-1.s-2", "133322"), ("mmol/L", "m-3.mol", "1"), ("meq/L", "m-3.mol", "1"), ("U/L", "m-3.mol.s-1", "1/60000"), ("[lb_av]", "g", "453.59237"),
        ("[in_i]", "m", "0.0254"), ("kg/m2", "g.m-2", "1000"), ("m[IU]/mL", "[iU].m-3", "1000"), ("g/m/s2", "g.m-1.s-2", "1"), ("g/(m.s2)", "g.m-1.s-2", "1"),
        ("U/(10.g){feces}", "g-1.mol.s-1", "1/600000000"), ("m/m", "1", "1"), ("dar", "m2", "10"), ("daar", "m2", "1000"), ("cal_[15]", "g.m2.s-2", "4185.8"), ("10^6", "1", "1000000"),
    ],
)  # fmt: skip
def test_a_code_has_a_dimension_and_an_exact_scale(code: str, dimension: str, scale: str) -> None:
    assert canonical(code) == Canonical(dimension, Fraction(scale))


@pytest.mark.conformance("FHIR R4: search", "UCUM: what is no valid code, and units on scales of their own, have no canonical form")
@pytest.mark.parametrize(
    "code",
    ["", " ", "mmHg", "[pH]", "dB", "B[SPL]", "[p'diop]", "mCel", "Cel/s", "Cel2", "2mg", "mg2mg", "g/", "g//m", "(g", "g)", "()", "k[lb_av]", "kkg", "0", "0.g", "m0", "m100", "g m",
     "10*400", "10*99.10*99.10*99.10*99.10*99", "m" * 101, "µg", "g{", "g}", "9" * 101, "-1", "(" * 50 + "g" + ")" * 49],
)  # fmt: skip
def test_what_is_no_ratio_unit_has_no_canonical_form(code: str) -> None:
    assert canonical(code) is None


@pytest.mark.conformance("FHIR R4: search", "UCUM: Celsius, Fahrenheit, Réaumur and kelvin convert exactly")
def test_temperatures_convert_with_their_offsets() -> None:
    forms = {code: canonical(code) for code in ("Cel", "[degF]", "[degRe]", "K")}
    values = {"Cel": "37", "[degF]": "98.6", "[degRe]": "29.6", "K": "310.15"}
    for have, one in forms.items():
        for want, other in forms.items():
            assert one is not None
            assert other is not None
            assert converted(Fraction(values[have]), one, other) == Fraction(values[want])


def test_the_units_of_vendors_agree() -> None:
    for have, one in _UNITS.items():
        for want, other in _UNITS.items():
            ours, theirs = canonical(have), canonical(want)
            if one.dimension == other.dimension and ours is not None and theirs is not None:
                assert converted(Fraction(7), ours, theirs) == (Fraction(7) * one.factor + one.offset - other.offset) / other.factor, (have, want)


_UNIT = st.tuples(st.sampled_from(["", *_LISTED["prefixes"]]), st.sampled_from(_METRIC), st.sampled_from(("", "2", "-1", "3", "-2"))).map("".join)


@given(_UNIT, _UNIT)
def test_a_product_is_the_product_of_its_parts(one: str, other: str) -> None:
    first, second, product, quotient = canonical(one), canonical(other), canonical(f"{one}.{other}"), canonical(f"{one}/({other})")
    assert first is not None
    assert second is not None
    if product is not None and quotient is not None:  # else beyond the size of any number
        assert product.scale == first.scale * second.scale
        assert quotient.scale * second.scale == first.scale
        assert canonical(f"({one}){{note}}/{one}") in (Canonical("1", Fraction(1)), None)


@given(st.text(alphabet="mgL1025*^./(){}[]%HgUi'_-+ k", max_size=30))
def test_any_text_is_a_code_or_none(text: str) -> None:
    form = canonical(text)
    assert form is None or (form.scale > 0 and form.dimension)


@pytest.mark.corpus
@pytest.mark.conformance("FHIR R4: search", "UCUM: the committed table is what the generator makes of the essence; the common codes of R4 are understood")
def test_the_table_is_what_the_generator_makes(corpus) -> None:
    with tarfile.open(corpus / "fhir" / "fhir-test-cases-patch-fhirpath-sof-ucum.tar.xz") as tar:
        stream = tar.extractfile("ucum/ucum-essence.xml")
        assert stream is not None
        assert generate_ucum.table(ET.parse(stream).getroot()) == _LISTED
    with tarfile.open(corpus / "fhir" / "r4-core-4.0.1.tar.xz") as tar:
        name = next(name for name in tar.getnames() if name.endswith("ValueSet-ucum-common.json"))
        stream = tar.extractfile(name)
        assert stream is not None
        [include] = json.load(stream)["compose"]["include"]
    unknown = [concept["code"] for concept in include["concept"] if canonical(concept["code"]) is None]
    assert len(include["concept"]) > 1300
    assert len(unknown) < 30
    assert all(" " in code or code in {"[pH]", "dB", "B", "bit_s", "Np", "%[slope]", "[p'diop]"} or code.startswith("B[") for code in unknown), unknown
