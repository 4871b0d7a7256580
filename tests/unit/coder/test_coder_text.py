"""Clauses, context cues, synonyms and sections of a note."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictions.coder_text import ASSESSMENT, COMPLAINT, FAMILY, HYPOTHETICAL, NEGATED, clauses, sections, stem


def flags(text: str, word: str) -> int:
    return next(t.flags for c in clauses(text) for t in c.tokens if text[t.start : t.end].lower() == word and not t.added)


@pytest.mark.conformance("Coding", "negation, family history and hypothesis are marked and end with their clause")
@pytest.mark.parametrize(
    ("text", "word", "flag"),
    [
        ("No history of nephrolithiasis, hematuria or infections.", "hematuria", NEGATED),
        ("Patient denies chest pain.", "pain", NEGATED),
        ("Pulmonary embolism was ruled out.", "embolism", NEGATED),
        ("Her mother was diagnosed with asthma.", "asthma", FAMILY),
        ("Return if fever develops.", "fever", HYPOTHETICAL),
        ("Family history: father with gout.", "gout", FAMILY),
    ],
)
def test_a_cue_marks_what_it_governs(text: str, word: str, flag: int) -> None:
    assert flags(text, word) & flag


@pytest.mark.conformance("Coding", "negation, family history and hypothesis are marked and end with their clause")
@pytest.mark.parametrize(
    ("text", "word"),
    [("No fever but cough persists.", "cough"), ("She has asthma. No fever.", "asthma"), ("Mother lives nearby. The patient has gout.", "gout")],
)
def test_a_cue_does_not_reach_past_its_clause(text: str, word: str) -> None:
    assert not flags(text, word) & (NEGATED | FAMILY)


def test_a_synonym_stands_where_the_note_says_it() -> None:
    (clause,) = clauses("Treated for HTN")
    added = [t for t in clause.tokens if t.added]
    assert {stem("hypertension"), stem("essential")} <= {t.stem for t in added}
    assert {(t.start, t.end) for t in added} == {(12, 15)}


def test_sections_follow_their_headings() -> None:
    note = "Chief complaint: knee pain.\nFollow-up.\nAssessment and plan:\n1. Gout.\n"
    assert [(note[a:b].split(":", maxsplit=1)[0], kind) for a, b, kind in sections(note)] == [
        ("Chief complaint", COMPLAINT),
        ("Assessment and plan", ASSESSMENT),
    ]
    assert [c.section for c in clauses(note)][-1] == ASSESSMENT


@pytest.mark.parametrize(("a", "b"), [("kidneys", "kidney"), ("anaemia", "anemia"), ("Oedema", "edema"), ("fractures", "fracture"), ("ulcers", "ulcer")])
def test_two_spellings_share_a_stem(a: str, b: str) -> None:
    assert stem(a) == stem(b)


@given(st.text(max_size=300))
def test_any_text_is_cut_and_every_offset_is_inside_it(text: str) -> None:
    for clause in clauses(text):
        for token in clause.tokens:
            assert 0 <= token.start < token.end <= len(text)


@pytest.mark.conformance("Coding", "offsets of evidence are code points behind any text")
@given(st.text(alphabet=st.sampled_from("é漢😀 \n"), max_size=20))
def test_offsets_are_code_points_behind_any_text(prefix: str) -> None:
    text = f"{prefix}\nAcute gout."
    token = next(t for c in clauses(text) for t in c.tokens if t.stem == "gout")
    assert text[token.start : token.end] == "gout"
