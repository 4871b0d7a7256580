"""ICD-10-CM facts: lookup, search, billable leaves, seventh characters, Excludes1.

Spec: https://www.cdc.gov/nchs/icd/icd-10-cm/files.html
"""

from __future__ import annotations

import pytest

from terminology.icd10cm import Concept, Icd10cm, cited_ranges, load, normalize


@pytest.fixture(scope="module")
def icd() -> Icd10cm:
    return load()


@pytest.mark.conformance("Coding", "ICD-10-CM facts: lookup, display, billable leaves, seventh characters, Excludes1")
@pytest.mark.parametrize(
    ("written", "code", "display", "billable"),
    [
        ("e11.9", "E11.9", "Type 2 diabetes mellitus without complications", True),
        ("E119", "E11.9", "Type 2 diabetes mellitus without complications", True),
        ("E11", "E11", "Type 2 diabetes mellitus", False),
        ("i10", "I10", "Essential (primary) hypertension", True),
        ("S72.001", "S72.001", "Fracture of unspecified part of neck of right femur", False),
        ("s72001a", "S72.001A", "Fracture of unspecified part of neck of right femur, initial encounter for closed fracture", True),
        ("T782XXA", "T78.2XXA", "Anaphylactic shock, unspecified, initial encounter", True),
    ],
)
def test_a_code_is_found_however_it_is_written(icd: Icd10cm, written: str, code: str, display: str, billable: bool) -> None:
    assert icd.lookup(written) == Concept(code, display, billable)


@pytest.mark.parametrize("code", ["", "zzz", "E11.99", "S72.001Z", "T78.2A", "T78.2XA", "E11.9XXA", "S06.1X7D"])
def test_a_code_that_the_release_does_not_have_is_unknown_and_not_billable(icd: Icd10cm, code: str) -> None:
    assert icd.lookup(code) is None
    assert not icd.billable(code)


@pytest.mark.conformance("Coding", "ICD-10-CM facts: lookup, display, billable leaves, seventh characters, Excludes1")
def test_parents_and_children_walk_the_tree_and_the_seventh_characters(icd: Icd10cm) -> None:
    assert list(icd.ancestors("S72.001A")) == ["S72.001A", "S72.001", "S72.00", "S72.0", "S72"]
    assert icd.children("E11.0") == ["E11.00", "E11.01"]
    assert icd.children("T78.2") == ["T78.2XXA", "T78.2XXD", "T78.2XXS"]
    assert icd.children("E11.9") == []
    assert icd.parent("E11") == ""


@pytest.mark.conformance("Coding", "ICD-10-CM facts: lookup, display, billable leaves, seventh characters, Excludes1")
def test_an_excludes1_note_forbids_the_pair_in_either_direction(icd: Icd10cm) -> None:
    assert icd.excludes1("E11.9", "E10.9")
    assert icd.excludes1("E10.9", "E11.9")
    assert not icd.excludes1("E11.9", "I10")
    assert not icd.excludes1("E11.9", "E11.9")


def test_codes_in_notes_are_read_as_ranges() -> None:
    assert cited_ranges("gestational diabetes (O24.4-)") == [("O24.4", "O24.4~")]
    assert cited_ranges("influenza (J09-J11)") == [("J09", "J11~")]
    assert cited_ranges("type 1 (E10.-), or that (A00.0, B20)") == [("E10", "E10~"), ("A00.0", "A00.0~"), ("B20", "B20~")]
    assert cited_ranges("no code here (see above)") == []


def test_the_chapter_of_a_code_comes_from_its_block(icd: Icd10cm) -> None:
    assert icd.chapter("F32.1") == "5"
    assert icd.chapter("C7A.1") == "2"
    assert icd.chapter("??") == ""


def test_search_takes_words_or_a_code(icd: Icd10cm) -> None:
    assert "E11.9" in [c.code for c in icd.search("type 2 diab without compl")]
    assert [c.code for c in icd.search("E11.0")] == ["E11.0", "E11.00", "E11.01"]
    assert icd.search("") == []
    assert len(icd.search("fracture", limit=5)) == 5


def test_normalizing_twice_changes_nothing(icd: Icd10cm) -> None:
    assert all(normalize(c) == c and normalize(c.replace(".", "").lower()) == c for c in icd.codes[::97])


def test_every_billable_parent_is_refused(icd: Icd10cm) -> None:
    assert not any(icd.billable(icd.parent(c)) for c in icd.codes[::53] if icd.parent(c))
