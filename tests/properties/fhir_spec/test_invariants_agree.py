"""What decides quickly agrees with the expressions themselves: generated conditions, whole checks, the Bundle's outline."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.fhirpath.parts import Part
from fhir_server.spec.definitions import Constraint, r4
from fhir_server.validation.bundle_outline import bundle_errors
from fhir_server.validation.errors import resource_errors
from fhir_server.validation.holding import each, holds, ordered, present
from fhir_server.validation.invariants import Invariant, expression_of, invariant_errors, is_broken
from fhir_server.validation.parsing import parse
from fhir_server.validation.published import CORRECTIONS
from fhir_server.validation.sufficient import NEVER, sufficient
from tests.integration.fhir_spec.official_examples import official_examples

CONDITIONS = [
    (path, constraint, condition)
    for path in sorted(r4().constrained_paths)
    for constraint in r4().constraints(path)
    if constraint.severity == "error" and path in r4().nodes()
    for condition in [sufficient(CORRECTIONS[constraint.key].expression if constraint.key in CORRECTIONS else constraint.expression, path)]
    if condition.source != NEVER
]
TEXTS = ["a", "C", "display", "group", "exists", "instance", "capability", "resolved", "entered-in-error", "home", "%", "1", "http://unitsofmeasure.org", "batch", "history"]
MOMENTS = ["2020", "2020-01", "2020-01-02", "2020-01-01", "2020-01-01T00:00:00Z", "2020-01-01T00:30:00+01:00", "2020-01-02T00:00:00.5Z"]
LEAVES = {"boolean": st.booleans(), "decimal": st.integers(-2, 3), "integer": st.integers(-2, 3), "positiveInt": st.integers(1, 3), "unsignedInt": st.integers(0, 3)}


def words_of(constraint: Constraint) -> list[str]:
    """The constants of an expression, so that comparisons come out both ways."""
    return TEXTS + [part for index, part in enumerate(constraint.expression.split("'")) if index % 2 and part]


def values(node: str, words: list[str], depth: int) -> st.SearchStrategy[dict[str, Any]]:
    """Objects of a type: some of its elements, those of others below."""
    fields: dict[str, st.SearchStrategy[Any]] = {}
    for element in r4().elements(node):
        if element.name in ("id", "extension", "modifierExtension", "contained") or "Resource" in element.types:
            continue
        for key, type_ in list(element.json_types().items())[:3]:
            one = value(element.node or type_, words, depth)
            if one is not None:
                fields[key] = st.lists(one, min_size=1, max_size=2) if element.many else one
                if type_ in r4().primitive_types and not element.many:
                    fields[f"_{key}"] = st.just({"extension": [{"url": "urn:a", "valueCode": "b"}]})
    return st.fixed_dictionaries({}, optional=fields)


def value(type_: str, words: list[str], depth: int) -> st.SearchStrategy[Any] | None:
    if type_ in ("date", "dateTime", "instant"):
        return st.sampled_from(MOMENTS)
    if type_ in r4().primitive_types:
        return LEAVES.get(type_, st.sampled_from(words))
    return values(type_, words, depth - 1) if depth else None


@pytest.mark.long
@pytest.mark.conformance("FHIR R4: validation", "conditions generated for speed hold only where the published invariant holds")
@pytest.mark.parametrize("case", CONDITIONS, ids=[f"{path} {constraint.key}" for path, constraint, _ in CONDITIONS])
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_where_a_condition_suffices_the_invariant_holds(case: Any, data: st.DataObject) -> None:
    path, constraint, condition = case
    drawn = data.draw(values(path, words_of(constraint), 2))
    known = {**condition.constants, "present": present, "each": each, "ordered": ordered, "d": drawn}
    if eval(condition.source, known):
        part = Part(path, drawn)
        assert not is_broken(Invariant(constraint, expression_of(constraint)), part, part, part)


def test_most_invariants_have_a_condition() -> None:
    assert len(CONDITIONS) > 140


KINDS = ("batch", "transaction", "history", "searchset", "collection", "document", "batch-response", "transaction-response", "message")
ENTRIES = st.fixed_dictionaries(
    {},
    optional={
        "fullUrl": st.sampled_from(["http://x/Patient/1", "http://x/Patient/1/_history/2", "urn:uuid:3d0e2b5e-6a3f-4f0e-8d3c-1f6f0a1b2c3d"]),
        "resource": st.just({"resourceType": "Patient"}),
        "request": st.just({"method": "GET", "url": "x"}),
        "response": st.just({"status": "200"}),
        "search": st.just({"mode": "match"}),
    },
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(KINDS), st.lists(ENTRIES, max_size=3), st.booleans())
def test_the_outline_of_a_bundle_breaks_what_the_bundle_breaks(kind: str, entries: list[dict[str, Any]], total: bool) -> None:
    bundle = {"resourceType": "Bundle", "type": kind, **({"entry": entries} if entries else {}), **({"total": 1} if total else {})}
    by_hand = {issue.text.partition(":")[0] for issue in bundle_errors(bundle)}
    published = {issue.text.partition(":")[0] for issue in invariant_errors(bundle)}
    assert by_hand == published - {"bdl-7", "bdl-9", "bdl-10", "bdl-11", "bdl-12", "ele-1"}


def mutated(resource: dict[str, Any], dice: random.Random) -> dict[str, Any]:
    """The resource with something taken away, doubled or moved."""
    changed = copy.deepcopy(resource)
    places: list[tuple[Any, Any]] = []
    waiting: list[Any] = [changed]
    while waiting:
        item = waiting.pop()
        keys = list(item) if isinstance(item, dict) else range(len(item)) if isinstance(item, list) else ()
        places += [(item, key) for key in keys if key != "resourceType"]
        waiting += [item[key] for key in keys]
    for _ in range(dice.randint(1, 4)):
        container, key = dice.choice(places)
        if isinstance(container, list):
            container.append(container[0])
        elif key in container:
            if dice.random() < 0.7:
                del container[key]
            else:
                container[key] = copy.deepcopy(next((other[name] for other, name in dice.sample(places, min(40, len(places))) if name == key and isinstance(other, dict) and name in other), container[key]))
    return changed


@pytest.mark.corpus
@pytest.mark.conformance("FHIR R4: validation", "on mutated official examples the quick check of the invariants accepts only what their expressions accept")
def test_the_quick_check_agrees_on_mutated_examples(corpus) -> None:
    dice, tried, broken, disagreed = random.Random(4), 0, set(), []
    for name, body in official_examples(corpus):
        if len(body) > 10_000:
            continue
        original = json.loads(body)
        for _ in range(4):
            sent = json.dumps(mutated(original, dice)).encode()
            resource = parse(sent)
            if next(resource_errors(resource), None) is not None:
                continue
            tried += 1
            keys = {issue.text.partition(":")[0] for issue in invariant_errors(resource)}
            broken |= keys
            if keys and holds(resource, sent):
                disagreed.append((name, keys))
    assert disagreed == []
    assert tried > 600
    assert len(broken) > 20, sorted(broken)
