"""Whatever is sent: the two passes agree, only our own errors escape, and what is accepted can be indexed and rewritten."""

from __future__ import annotations

import copy
import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chartloop.kernel.errors import Invalid, Unprocessable
from fhir_server.compartments import patient_of
from fhir_server.indexing.extraction import extract
from fhir_server.references import rewrite_bytes, rewrite_resource
from fhir_server.validation.bundles import validate_bundle
from fhir_server.validation.errors import resource_errors
from fhir_server.validation.parsing import nests_deeper
from fhir_server.validation.resources import validate
from fhir_server.validation.unchecked import unchecked_codes

UUID = "urn:uuid:3d0e2b5e-6a3f-4f0e-8d3c-1f6f0a1b2c3d"
DIV = '<div xmlns="http://www.w3.org/1999/xhtml"><p>a</p></div>'
SEEDS = [
    {
        "resourceType": "Patient",
        "id": "p",
        "text": {"status": "generated", "div": DIV},
        "contained": [{"resourceType": "Organization", "id": "o", "name": "x"}],
        "extension": [{"url": "http://x", "extension": [{"url": "y", "valueCode": "z"}]}],
        "identifier": [{"use": "usual", "system": "http://mrn", "value": "1", "assigner": {"reference": "Organization/1"}}],
        "active": True,
        "name": [{"family": "A", "given": ["B", "C"], "_given": [None, {"id": "g"}], "period": {"start": "2000", "end": "2001-02"}}],
        "birthDate": "2000-02-29",
        "_birthDate": {"extension": [{"url": "http://t", "valueDateTime": "2000-02-29T01:02:03Z"}]},
        "deceasedBoolean": False,
        "photo": [{"contentType": "image/png", "data": "YWJj"}],
        "managingOrganization": {"reference": "#o"},
        "link": [{"other": {"reference": UUID}, "type": "seealso"}],
    },
    {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "1"}]},
        "subject": {"reference": "Patient/1"},
        "effectivePeriod": {"start": "2020-01-01T00:00:00Z"},
        "valueQuantity": {"value": 7.5, "comparator": "<", "unit": "kg"},
        "component": [{"code": {"text": "x"}, "valueRange": {"low": {"value": 1}, "high": {"value": 2}}}],
    },
    {
        "resourceType": "Condition",
        "subject": {"reference": "Patient?identifier=1"},
        "clinicalStatus": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]},
        "onsetAge": {"value": 3, "unit": "a"},
    },
    {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {"fullUrl": UUID, "resource": {"resourceType": "Patient", "gender": "male"}, "request": {"method": "POST", "url": "Patient"}},
            {"request": {"method": "DELETE", "url": "Patient/1"}},
        ],
    },
    {"resourceType": "Parameters", "parameter": [{"name": "a", "part": [{"name": "b", "resource": {"resourceType": "Patient"}}]}]},
    {
        "resourceType": "Task",
        "status": "ready",
        "intent": "order",
        "for": {"reference": "Patient/1"},
        "input": [{"type": {"text": "x"}, "valueInstant": "2020-01-01T00:00:00Z"}],
    },
]
JUNK = st.sampled_from(
    [
        None,
        True,
        0,
        -1,
        1.5,
        2**40,
        "",
        " ",
        "x",
        "a b",
        "2020-02-30",
        "1990",
        "final",
        "Patient/1",
        "Foo/1",
        "#z",
        UUID,
        [],
        {},
        [None],
        [[]],
        {"x": 1},
        {"id": "a"},
        ["a"],
        DIV,
    ]
) | st.text(max_size=5)


def places(value: object) -> list[tuple[dict | list, object]]:
    """Every (container, key) below a JSON value."""
    found = []
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict | list):
            for key in item if isinstance(item, dict) else range(len(item)):
                found.append((item, key))
                pending.append(item[key])
    return found


@st.composite
def mutants(draw: st.DrawFn) -> dict:
    resource = copy.deepcopy(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(0, 3))):
        container, key = draw(st.sampled_from(places(resource)))
        match draw(st.sampled_from(["replace", "remove", "rename", "wrap", "add"])):
            case "replace":
                container[key] = copy.deepcopy(draw(JUNK))
            case "remove":
                del container[key]
            case "wrap":
                container[key] = [container[key]]
            case "rename" if isinstance(container, dict):
                container[draw(st.sampled_from(["x", f"_{key}", "value", "valueString", "id", "reference", "resourceType"]))] = container.pop(key)
            case "add" if isinstance(container, dict):
                container[draw(st.sampled_from(["id", "extension", "_id", "contained", "valueString", "status", "_status", "given"]))] = copy.deepcopy(
                    draw(JUNK)
                )
        if not places(resource):
            break
    return resource


@pytest.mark.conformance("FHIR R4: validation", "on mutated resources the fast validation accepts only what the thorough one accepts")
@settings(max_examples=400, deadline=None)
@given(mutants())
def test_the_fast_pass_accepts_only_what_the_thorough_pass_accepts(resource):
    body = json.dumps(resource).encode()
    type_ = resource.get("resourceType")
    try:
        validated = validate(body, conditional=True)
    except (Invalid, Unprocessable):
        return
    assert list(resource_errors(validated.resource)) == []
    assert validated.type == type_
    extract(validated.type, validated.resource)
    patient_of(validated.type, validated.resource)
    list(unchecked_codes(validated.resource))


@settings(max_examples=200, deadline=None)
@given(mutants())
def test_only_our_own_errors_escape_from_bundles(resource):
    with suppress(Invalid, Unprocessable):
        validate_bundle(
            json.dumps({"resourceType": "Bundle", "type": "batch", "entry": [{"resource": resource, "request": {"method": "POST", "url": "x"}}]}).encode()
        )


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80) | st.text(alphabet='{}[]",:\\ae1u0 ', max_size=60).map(str.encode))
def test_no_bytes_break_the_reader(body):
    with suppress(Invalid, Unprocessable):
        validate(body)


JSON = st.recursive(
    st.none() | st.booleans() | st.text(max_size=4) | st.just(UUID) | st.just('[{"\\'),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["reference", "url", "value", "div", "a", '"', "{"]), inner, max_size=3),
    max_leaves=12,
)


def depth(value: object) -> int:
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)
    return 0


@settings(max_examples=200, deadline=None)
@given(JSON, st.booleans())
def test_depth_counts_brackets_outside_strings(value, ascii_only):
    body = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert not nests_deeper(body, depth(value))
    assert nests_deeper(body, depth(value) - 1) == (depth(value) > 0)


@settings(max_examples=200, deadline=None)
@given(JSON, st.booleans())
def test_bytes_and_values_are_rewritten_alike(value, ascii_only):
    links = {UUID: "Patient/new"}
    body = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8")
    assert json.loads(rewrite_bytes(body, links)) == rewrite_resource(value, links)
    assert rewrite_bytes(body, {}) == body
