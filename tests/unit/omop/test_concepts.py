"""The shipped concepts, and how they are found.

Spec: https://ohdsi.github.io/CommonDataModel/vocabulary.html
"""

import json

import pytest
import zstandard

from omop_bridge import concepts as c
from omop_bridge.concepts import Concept, Concepts, shipped
from omop_bridge.generate_concepts import make_facts
from omop_bridge.generate_schema import read_archive

LOINC = "http://loinc.org"


@pytest.mark.conformance("OMOP", "A shipped seed of public concept ids: visits, gender, race, units, common vitals and labs")
@pytest.mark.parametrize(
    ("code", "concept_id", "name"),
    [
        ("8480-6", 3004249, "Systolic blood pressure"),
        ("8462-4", 3012888, "Diastolic blood pressure"),
        ("8867-4", 3027018, "Heart rate"),
        ("29463-7", 3025315, "Body weight"),
        ("8310-5", 3020891, "Body temperature"),
        ("59408-5", 40762499, "Oxygen saturation in Arterial blood by Pulse oximetry"),
        ("2345-7", 3004501, "Glucose [Mass/volume] in Serum or Plasma"),
        ("4548-4", 3004410, "Hemoglobin A1c/Hemoglobin.total in Blood"),
    ],
)
def test_a_common_vital_or_lab_has_its_concept(code, concept_id, name):
    found = shipped().lookup(LOINC, code)
    assert (found.concept_id, found.concept_name, found.domain_id, found.standard) == (concept_id, name, "Measurement", "S")


@pytest.mark.conformance("OMOP", "A concept is found by its code system and code, never by the code alone (f2o-030)")
def test_a_code_of_another_system_is_not_taken_for_it():
    assert shipped().lookup("http://hl7.org/fhir/sid/cvx", "140").vocabulary_id == "CVX"
    assert shipped().lookup(LOINC, "140") is None
    assert shipped().lookup("http://example.org/local", "8480-6") is None
    assert shipped().lookup("http://snomed.info/sct", "<") is None


@pytest.mark.conformance("OMOP", "Only standard concepts: another gives way to what it maps to (f2o-031)")
def test_a_standard_concept_stands_for_itself_and_another_for_what_it_maps_to():
    source = Concept(1, "Hypertension", "Condition", "ICD10CM", "3-char billing code", "", "I10")
    target = Concept(2, "Essential hypertension", "Condition", "SNOMED", "Disorder", "S", "59621000")
    other = Concept(3, "Kidney disease", "Condition", "SNOMED", "Disorder", "S", "90708001")
    known = Concepts("test", [source, target, other], {1: [2, 3, 99]})
    assert known.standard(target) == [target]
    assert known.standard(known.lookup("http://hl7.org/fhir/sid/icd-10-cm", "I10")) == [target, other]
    assert Concepts("test", [source]).standard(source) == []


@pytest.mark.parametrize(
    ("code", "concept_id"),
    [
        ("mg/dL", 8840),
        ("mm[Hg]", 8876),
        ("Cel", 586323),
        ("U/L", 8645),
        ("mL/min/{1.73_m2}", 720870),
        ("/min", 8541),
        ("{score}", 44777566),
        ("mmHg", 0),
        ("MG/DL", 0),
    ],
)
def test_a_unit_is_found_by_its_ucum_code_and_nothing_else(code, concept_id):
    assert shipped().unit(code) == concept_id


def test_persons_and_visits_have_their_concepts_and_what_omop_has_no_word_for_is_0():
    known = shipped()
    assert [known.gender(code) for code in ("male", "female", "other", "unknown", "")] == [8507, 8532, 0, 0, 0]
    assert [known.race(code) for code in ("2106-3", "2054-5", "2028-9", "1002-5", "2076-8", "2131-1")] == [8527, 8516, 8515, 8657, 8557, 0]
    assert [known.ethnicity(code) for code in ("2135-2", "2186-5", "UNK")] == [38003563, 38003564, 0]
    assert [known.visit(code) for code in ("IMP", "AMB", "EMER", "OBSENC", "HH", "VR", "FLD")] == [9201, 9202, 9203, 262, 581476, 5083, 0]


def test_every_concept_that_the_code_names_is_shipped_in_the_domain_it_is_used_for():
    known = shipped().by_id
    types = [value for name, value in vars(c).items() if name.startswith("TYPE_")]
    for ids, domain in (
        (types, "Type Concept"),
        (c.GENDERS.values(), "Gender"),
        (c.RACES.values(), "Race"),
        (c.ETHNICITIES.values(), "Ethnicity"),
        (c.VISITS.values(), "Visit"),
        (c.OPERATORS.values(), "Meas Value Operator"),
    ):
        assert {known[concept_id].domain_id for concept_id in ids} == {domain}


def test_nothing_under_a_national_or_commercial_licence_is_shipped():
    with_codes = {concept.vocabulary_id for concept in shipped().by_id.values() if concept.concept_code}
    assert with_codes <= {
        "CDM",
        "CMS Place of Service",
        "CVX",
        "Ethnicity",
        "Gender",
        "HCPCS",
        "LOINC",
        "None",
        "Race",
        "RxNorm",
        "Type Concept",
        "UCUM",
        "Visit",
    }


@pytest.mark.corpus
def test_the_committed_seed_is_what_the_generator_makes(corpus):
    made = make_facts((corpus / "omop" / "seed_concepts.csv").read_text(encoding="utf-8"), read_archive(corpus / "omop" / "cdm54-ddl-dqd-ig.tar.xz"))
    assert json.loads(zstandard.decompress(c.FACTS.read_bytes())) == made
