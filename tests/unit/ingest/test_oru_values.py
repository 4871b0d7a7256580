"""OBX-5 and OBX-6 to value[x]: every kind of value, and what is not of its kind."""

import base64
from decimal import Decimal

import pytest

from tests.unit.ingest.mapped_oru import mapped, observation, observations, value
from tests.unit.ingest.messages_oru import obr, obx, oru

S = "https://chartloop.example/fhir"
UCUM = "http://unitsofmeasure.org"
QUANTITY = {"unit": "mg/dL", "system": UCUM, "code": "mg/dL"}


@pytest.mark.conformance("HL7 v2", "OBX-5 of NM, SN, CE/CWE, TX and their kin becomes value[x]; decimals keep their digits")
@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("NM", "7.30", {"valueQuantity": {"value": Decimal("7.30"), **QUANTITY}}),
        ("NM", "+0.5", {"valueQuantity": {"value": Decimal("0.5"), **QUANTITY}}),
        ("NM", "1,234.5", {"valueQuantity": {"value": Decimal("1234.5"), **QUANTITY}}),
        ("NM", "<5", {"valueQuantity": {"comparator": "<", "value": Decimal(5), **QUANTITY}}),
        ("SN", "<^5", {"valueQuantity": {"comparator": "<", "value": Decimal(5), **QUANTITY}}),
        ("SN", ">=^100.0", {"valueQuantity": {"comparator": ">=", "value": Decimal("100.0"), **QUANTITY}}),
        ("SN", "=^7", {"valueQuantity": {"value": Decimal(7), **QUANTITY}}),
        ("SN", "^7", {"valueQuantity": {"value": Decimal(7), **QUANTITY}}),
        ("SN", "<0.2", {"valueQuantity": {"comparator": "<", "value": Decimal("0.2"), **QUANTITY}}),
        ("SN", "^1^-^2", {"valueRange": {"low": {"value": Decimal(1), **QUANTITY}, "high": {"value": Decimal(2), **QUANTITY}}}),
        ("SN", "^1^:^128", {"valueRatio": {"numerator": {"value": Decimal(1), **QUANTITY}, "denominator": {"value": Decimal(128), **QUANTITY}}}),
        ("SN", "^1^/^2", {"valueRatio": {"numerator": {"value": Decimal(1), **QUANTITY}, "denominator": {"value": Decimal(2), **QUANTITY}}}),
        ("NR", "1^2", {"valueRange": {"low": {"value": Decimal(1), **QUANTITY}, "high": {"value": Decimal(2), **QUANTITY}}}),
        ("DT", "20261101", {"valueDateTime": "2026-11-01"}),
        ("TS", "20261101083000", {"valueDateTime": "2026-11-01T08:30:00-05:00"}),
        ("DTM", "20261101083000+0100", {"valueDateTime": "2026-11-01T08:30:00+01:00"}),
        ("TM", "1430", {"valueTime": "14:30:00"}),
        ("DR", "20261101^20261102", {"valuePeriod": {"start": "2026-11-01", "end": "2026-11-02"}}),
        (
            "CWE",
            "260385009^Negative^SCT^NEG^NEGATIVE^L",
            {
                "valueCodeableConcept": {
                    "coding": [
                        {"system": "http://snomed.info/sct", "code": "260385009", "display": "Negative"},
                        {"system": f"{S}/CodeSystem/L", "code": "NEG", "display": "NEGATIVE"},
                    ]
                }
            },
        ),
        ("CE", "^two  words", {"valueCodeableConcept": {"text": "two  words"}}),
        ("CE", "two  words", {"valueCodeableConcept": {"text": "two words"}}),
        ("IS", "X", {"valueCodeableConcept": {"coding": [{"code": "X"}]}}),
    ],
)  # fmt: skip
def test_a_value_becomes_the_fhir_type_of_its_kind(kind, text, expected):
    assert value(text, kind) == (expected, [])


@pytest.mark.parametrize(
    ("kind", "text", "expected", "position"),
    [
        ("NM", "5,4", "5,4 mg/dL", "OBX^1^5"),
        ("NM", "clotted", "clotted mg/dL", "OBX^1^5"),
        ("SN", "<>^1", "<> 1 mg/dL", "OBX^1^5"),
        ("SN", "^100^+", "100 + mg/dL", "OBX^1^5"),
        ("SN", ">^1^-^2", "> 1 - 2 mg/dL", "OBX^1^5"),
        ("TM", "2561", "2561 mg/dL", "OBX^1^5"),
        ("DT", "11/01/2026", "11/01/2026 mg/dL", "OBX^1^5"),
        ("ZZ", "a^b", "a b mg/dL", "OBX^1^2"),
    ],
)
def test_a_value_that_is_not_of_its_type_is_kept_as_text_with_a_warning(kind, text, expected, position):
    assert value(text, kind) == ({"valueString": expected}, [("W", position)])


def test_text_is_joined_over_repetitions_and_segments_of_one_observation():
    finding = "18748-4^Study report^LN"
    (found, other), problems = observations(
        obx(finding, "First ^ line~second", kind="TX", unit=""), obx(finding, "", kind="TX", unit=""),
        obx(finding, "third", kind="FT", unit=""), obx(finding, "addendum", kind="TX", unit="", sub="2"),
    )  # fmt: skip
    assert found["valueString"] == "First ^ line\nsecond\n\nthird"
    assert other["valueString"] == "addendum"
    assert problems == []


def test_several_coded_values_are_components():
    found, _ = observation(obx(value="A^a^L~B^b^L", kind="CWE", unit=""))
    assert [component["valueCodeableConcept"]["coding"][0]["code"] for component in found["component"]] == ["A", "B"]
    assert {component["code"]["coding"][0]["code"] for component in found["component"]} == {"2093-3"}


@pytest.mark.conformance("HL7 v2", "An embedded document of an ORU is never lost")
def test_an_embedded_document_is_kept_with_its_type():
    document = base64.b64encode(b"%PDF-1.7").decode()
    found, problems = observation(obx("60568-3^Pathology report^LN", f"LIS^AP^PDF^Base64^{document}", kind="ED", unit=""))
    (extension,) = found["extension"]
    assert extension["valueAttachment"] == {"contentType": "application/pdf", "data": document, "size": 8, "title": "Pathology report"}
    assert problems == []
    found, problems = observation(obx("60568-3^Pathology report^LN", "LIS^AP^PDF^Base64^not base64!", kind="ED", unit=""))
    assert base64.b64decode(found["extension"][0]["valueAttachment"]["data"]) == b"not base64!"
    assert problems == [("W", "OBX^1^5")]


@pytest.mark.conformance("HL7 v2", "A result without OBX-3 is kept as text of the report and reported with its position")
def test_what_has_no_code_is_kept_as_text_of_the_report():
    found, problems = mapped(
        oru(obr(), obx("", "Impression:~clear", kind="TX", unit=""), obx("", "next", kind="TX", unit=""), obx("", "7.1", unit="g/dL"), obx())
    )
    assert problems == [("W", "OBX^1^3"), ("W", "OBX^3^3")]
    (form,) = found["DiagnosticReport"][0].resource["presentedForm"]
    assert base64.b64decode(form["data"]).decode() == "Impression:\nclear\nnext\n7.1 g/dL"
    assert len(found["Observation"]) == 1


@pytest.mark.parametrize(
    ("unit", "expected", "warned"),
    [
        ("mmHg", {"unit": "mmHg", "system": UCUM, "code": "mm[Hg]"}, False),
        ("mg/dl", {"unit": "mg/dl", "system": UCUM, "code": "mg/dL"}, False),
        ("K/uL", {"unit": "K/uL", "system": UCUM, "code": "10*3/uL"}, False),
        ("10^3/uL", {"unit": "10^3/uL", "system": UCUM, "code": "10*3/uL"}, False),
        ("{cells}/uL^cells per microliter^UCUM", {"unit": "cells per microliter", "system": UCUM, "code": "{cells}/uL"}, False),
        ("XY^own unit^L^mmol/L^^UCUM", {"unit": "mmol/L", "system": UCUM, "code": "mmol/L"}, False),
        ("blobs^^UCUM", {"unit": "blobs"}, True),
        ("G/L", {"unit": "G/L"}, True),
        ("", {}, False),
    ],
)
def test_a_unit_has_a_ucum_code_only_if_it_is_sure(unit, expected, warned):
    found, problems = observation(obx(value="1", unit=unit))
    assert found["valueQuantity"] == {"value": Decimal(1), **expected}
    assert problems == ([("W", "OBX^1^6")] if warned else [])


@pytest.mark.parametrize(("sent", "reason"), [("I", "temp-unknown"), ("X", "not-performed"), ("N", "not-asked")])
def test_a_result_without_a_value_says_why(sent, reason):
    found, problems = observation(obx(value="", status=sent))
    assert found["dataAbsentReason"]["coding"][0]["code"] == reason
    assert problems == []


def test_a_final_result_without_a_value_is_reported():
    assert observation(obx(value=""))[1] == observation(obx(value='""'))[1] == [("W", "OBX^1^5")]


@pytest.mark.parametrize(
    ("sent", "unit", "code"),
    [("kg/m^2", "kg/m^2", "kg/m2"), ("kg/(m^2)", "kg/(m^2)", "kg/m2"), ("mL/min/1.73m^2", "mL/min/1.73m^2", "mL/min/{1.73_m2}"), ("cm^2", "cm^2", "cm2"), ("kg/m^3 things^L", "kg/m", "kg/m")],
)
def test_an_exponent_that_nobody_escaped_is_no_second_component(sent, unit, code):
    found, _ = observation(obx(value="27", unit=sent))
    assert found["valueQuantity"]["code"] == code
    assert sent.endswith("^L") or found["valueQuantity"]["unit"] == unit


@pytest.mark.parametrize("text", ["5.1 mg/dL", "5.1mg/dl"])
def test_a_number_with_its_own_unit_is_a_number(text):
    assert value(text, "NM") == ({"valueQuantity": {"value": Decimal("5.1"), **QUANTITY}}, [])
    assert value(text.replace("/d", "/m"), "NM")[0] == {"valueString": f"{text.replace('/d', '/m')} mg/dL"}


def test_a_code_keeps_its_version_and_its_third_coding():
    found, _ = observation(obx(value="260373001^Detected^SCT^D^Det.^L^2026-09^7^^LA11882-0^Detected^LN^2.78", kind="CWE", unit=""))
    assert found["valueCodeableConcept"]["coding"] == [
        {"system": "http://snomed.info/sct", "version": "2026-09", "code": "260373001", "display": "Detected"},
        {"system": f"{S}/CodeSystem/L", "version": "7", "code": "D", "display": "Det."},
        {"system": "http://loinc.org", "version": "2.78", "code": "LA11882-0", "display": "Detected"},
    ]
