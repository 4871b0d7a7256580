"""Pure pieces of the coding workflow: diagnoses on a claim, the ledger of examples, Task inputs."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claims.coding.diagnosis import Diagnosis, claim_codes, coded_notes, with_coded_notes, with_diagnoses
from claims.coding.examples import Example, ExampleLedger, read_examples
from claims.coding.task import Offered, input_to_offered, offered_to_input

CLAIM: dict[str, Any] = {"resourceType": "Claim", "item": [{"sequence": 1, "diagnosisSequence": [2, 1]}, {"sequence": 2}]}


def put(claim: dict[str, Any], *pairs: tuple[str, str]) -> dict[str, Any]:
    return with_diagnoses(claim, put=[("", Diagnosis(code, code, suggestion)) for code, suggestion in pairs])


def test_diagnoses_are_appended_once_and_numbered() -> None:
    claim = put(CLAIM, ("I10", "s1"), ("E11.9", "s2"), ("I10", "s3"))
    assert [(d["sequence"], d["diagnosisCodeableConcept"]["coding"][0]["code"]) for d in claim["diagnosis"]] == [(1, "I10"), (2, "E11.9")]


def test_a_replacement_takes_the_place_and_items_follow_their_codes() -> None:
    claim = put(CLAIM, ("I10", "s1"), ("E11.9", "s2"), ("J45.909", "s3"))
    claim["item"][0]["diagnosisSequence"] = [3, 1]
    changed = with_diagnoses(claim, put=[("s1", Diagnosis("I11.9", "x", "s1"))], taken_off=["s2"])
    assert claim_codes(changed) == ["I11.9", "J45.909"]
    assert changed["item"][0]["diagnosisSequence"] == [2, 1]


def test_a_code_that_no_suggestion_brought_is_never_taken_off() -> None:
    claim = put(CLAIM, ("I10", ""))
    assert claim_codes(with_diagnoses(claim, taken_off=["", "s1"])) == ["I10"]


@given(st.lists(st.tuples(st.sampled_from(["I10", "E11.9", "N39.0"]), st.sampled_from(["", "s1", "s2"])), max_size=8))
def test_putting_diagnoses_on_twice_is_putting_them_on_once(pairs: list[tuple[str, str]]) -> None:
    once = put(CLAIM, *pairs)
    assert put(once, *pairs) == once
    assert len(set(claim_codes(once))) == len(claim_codes(once))


def test_coded_notes_keep_the_version_and_other_extensions() -> None:
    claim = with_coded_notes({"extension": [{"url": "other", "valueString": "x"}]}, {"DocumentReference/1": 3})
    assert coded_notes(claim) == {"DocumentReference/1": 3}
    assert claim["extension"][0] == {"url": "other", "valueString": "x"}
    assert with_coded_notes(claim, {"DocumentReference/1": 3}) == claim


def test_a_suggestion_survives_the_task() -> None:
    offered = Offered("s-1", "I10", "Hypertension", Decimal("0.8125"), "DocumentReference/1", 3, 9, "m1", "review", ("below-threshold", "negated"))
    assert input_to_offered(offered_to_input(offered)) == offered
    assert input_to_offered({"type": {}}) is None


def example(id_: str) -> Example:
    return Example(id_, "key", 1, 0, 4, "I10", "I10", "accept", "reviewed", chart_complete=True, model="m", reason="", time="2026-11-22T08:00:00.000Z")


@pytest.mark.conformance("Coding", "a training example is appended once, by two processes and after a crash too")
def test_an_example_is_appended_once_even_by_another_process(tmp_path: Path) -> None:
    path = tmp_path / "training" / "examples.jsonl"
    first, second = ExampleLedger(path), ExampleLedger(path)
    assert first.append([example("a"), example("b"), example("a")]) == 2
    assert second.append([example("b"), example("c")]) == 1
    assert first.append([example("c"), example("a")]) == 0
    assert [e["id"] for e in read_examples(path)] == ["a", "b", "c"]
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.conformance("Coding", "a training example is appended once, by two processes and after a crash too")
def test_a_line_that_a_crash_cut_off_is_written_again(tmp_path: Path) -> None:
    path = tmp_path / "examples.jsonl"
    ExampleLedger(path).append([example("a"), example("b")])
    path.write_bytes(path.read_bytes()[:-20])
    assert ExampleLedger(path).append([example("b")]) == 1
    assert [e["id"] for e in read_examples(path)] == ["a", "b"]
