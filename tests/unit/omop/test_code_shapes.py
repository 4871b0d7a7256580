"""What a code looks like when nothing else is known of it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omop_bridge.code_shapes import likely_vocabulary


@pytest.mark.parametrize(
    ("field", "code", "vocabulary"),
    [
        ("measurement_concept_id", "8867-4", "LOINC"),
        ("measurement_concept_id", "8867-5", ""),
        ("measurement_concept_id", "59408-5", "LOINC"),
        ("condition_concept_id", "44054006", "SNOMED"),
        ("condition_concept_id", "44054007", ""),
        ("condition_concept_id", "10509002", "SNOMED"),
        ("condition_concept_id", "E11.9", "ICD10CM"),
        ("drug_concept_id", "314076", "RxNorm"),
        ("drug_concept_id", "140", "CVX or RxNorm"),
        ("procedure_concept_id", "430193006", "SNOMED"),
        ("procedure_concept_id", "99213", "CPT4"),
        ("device_concept_id", "E0607", "HCPCS"),
        ("unit_concept_id", "{score}", "UCUM"),
        ("race_concept_id", "2131-1", "CDCREC"),
        ("visit_concept_id", "FLD", ""),
    ],
)
def test_a_code_is_taken_for_what_its_shape_and_check_digit_say(field, code, vocabulary):
    assert likely_vocabulary(field, code) == vocabulary


@given(st.text(max_size=30), st.sampled_from(["drug_concept_id", "condition_concept_id", "unit_concept_id"]))
def test_any_text_has_an_answer(code, field):
    assert isinstance(likely_vocabulary(field, code), str)


@pytest.mark.corpus
def test_the_codes_of_the_samples_are_taken_for_what_they_are(corpus):
    import csv

    domains = {"Condition": "condition", "Procedure": "procedure", "Measurement": "measurement", "Observation": "observation", "Drug": "drug"}
    wrong = []
    with (corpus / "omop" / "seed_concepts.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if (
                row["vocabulary_id"] in {"LOINC", "SNOMED", "RxNorm", "CVX"} and row["domain_id"] in domains and "E+" not in row["concept_code"]
            ):  # a spreadsheet has rounded those
                field = f"{domains[row['domain_id']]}_concept_id"
                if likely_vocabulary(field, row["concept_code"]) not in {row["vocabulary_id"], "CVX or RxNorm"}:
                    wrong.append((field, row["vocabulary_id"], row["concept_code"]))
    assert wrong == [], json.dumps(wrong[:5])
