"""Our compiled extraction finds the same values as a FHIRPath engine, for every parameter that the engine can run."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal

import pytest

from fhir_server.indexing import values as indexer_values
from fhir_server.indexing.compiler import EMITTERS, LISTS, compile_extractor
from fhir_server.indexing.expressions import branches
from fhir_server.search.params import for_type, leaves_of
from fhir_server.spec.definitions import r4
from tests.integration.fhir_spec.official_examples import official_examples

fhirpathpy = pytest.importorskip("fhirpathpy", reason="fhirpathpy is not installed")
models = pytest.importorskip("fhirpathpy.models").models
pytestmark = [pytest.mark.corpus, pytest.mark.long]


# The expression finds a value of a type that cannot be searched as this kind: a text as a date, an Attachment as a reference.
NOT_INDEXABLE = {("CarePlan", "activity-date"), ("Consent", "source-reference")}


def canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, default=lambda number: float(number) if isinstance(number, Decimal) else str(number))


def record(rows, *rest):
    """Record the last argument under the one before it: the marks beside tokens are not values."""
    rows.append((rest[-2], "", rest[-1]))


@pytest.fixture
def recording(monkeypatch):
    """Extraction whose rows hold the found values themselves."""
    for name in set(EMITTERS.values()) - {"token_code", "reference_value", "reference_entry"}:
        monkeypatch.setattr(indexer_values, name, record)
    monkeypatch.setattr(indexer_values, "reference_value", lambda rows, _tokens, param, value, _base: rows.append((param, "", value)))
    extractors = {}

    def found(resource):
        type_ = resource["resourceType"]
        extractor = extractors.setdefault(type_, compile_extractor(f"record_{type_}", leaves_of(type_)))
        rows = [[] for _ in LISTS]
        extractor(resource, *rows, "")
        values: dict[int, Counter[str]] = {}
        for row in (row for kind in rows for row in kind):
            values.setdefault(row[0], Counter())[canonical(row[-1])] += 1
        return values

    return found


def expression_of(type_: str, code: str) -> str:
    fact = next(fact for fact in r4().search_parameters if fact.code == code and type_ in fact.bases)
    return " | ".join(part for part in branches(fact.expression) if part.lstrip("(").startswith(f"{type_}."))


@pytest.mark.conformance("FHIR R4: search", "indexed values equal those of a FHIRPath engine over the official examples")
def test_values_equal_those_of_a_fhirpath_engine(corpus, recording):
    compared, valued, differences, unsupported = 0, 0, [], Counter()
    compiled = {}
    for name, body in official_examples(corpus):
        resource = json.loads(body)
        type_ = resource["resourceType"]
        ours = recording(resource)
        for code, param in for_type(type_).items():
            # Composites have tests of their own; the first resource of a Bundle depends on the Bundle's type.
            if param.components or type_ == "Bundle" or code.startswith("_") or "exists" in (expression := expression_of(type_, code)) or not expression:
                continue
            try:
                evaluate = compiled.setdefault(expression, fhirpathpy.compile(expression, models["r4"]))
                theirs = Counter(canonical(value) for value in evaluate(resource) if value is not None)
            except Exception as error:  # the engine's own limits: resolve(), `as` over lists
                unsupported[type(error).__name__] += 1
                continue
            compared += 1
            valued += bool(theirs)
            if set(theirs) != set(ours.get(param.id, ())):
                differences.append((name, code, sorted(theirs)[:2], sorted(ours.get(param.id, ()))[:2]))
    assert {(name.partition("-")[0], code) for name, code, _, _ in differences} == NOT_INDEXABLE
    assert compared > 6000
    assert valued > 3000
    assert unsupported.total() < 400
