"""JSON Patch and FHIRPath Patch, without a store: literal bodies in, literal bodies out."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chartloop.kernel.errors import ChartloopError, Invalid, Unprocessable
from fhir_server.json_tree import canonical, equal, read_tree, write_tree
from fhir_server.patching.application import patched_body
from fhir_server.patching.fhirpath_patch import fhirpath_patch
from fhir_server.patching.json_patch import json_patch

BODY = b'{"resourceType":"Observation","valueQuantity":{"value":72.50},"component":[{"valueInteger":1},{"valueQuantity":{"value":1e2}}]}'
PATIENT = b'{"resourceType":"Patient","name":[{"given":["Ann","Bo"],"_given":[null,{"id":"b"}]}],"deceasedBoolean":false}'


def json_patched(body: bytes, *operations: dict[str, Any]) -> bytes:
    return patched_body(body, json_patch(json.dumps(operations).encode()))


def fhirpath_operation(type_: str, path: str, **parts: Any) -> dict[str, Any]:
    """One operation; `value` is a part, numbers are integers, texts are strings."""
    listed: list[dict[str, Any]] = [{"name": "type", "valueCode": type_}, {"name": "path", "valueString": path}]
    for name, said in parts.items():
        listed.append({"name": name, **(said if isinstance(said, dict) else {"valueInteger" if isinstance(said, int) else "valueString": said})})
    return {"name": "operation", "part": listed}


def parameters(*operations: dict[str, Any]) -> bytes:
    return json.dumps({"resourceType": "Parameters", "parameter": list(operations)}).encode()


def fhirpath_patched(body: bytes, *operations: dict[str, Any]) -> bytes:
    return patched_body(body, fhirpath_patch(parameters(*operations)))


@pytest.mark.conformance("FHIR R4: patch", "numbers keep the digits they were written with, wherever the patch is")
def test_numbers_that_the_patch_does_not_name_keep_their_digits() -> None:
    assert json_patched(BODY, {"op": "add", "path": "/status", "value": "final"}) == BODY[:-1] + b',"status":"final"}'
    moved = json_patched(BODY, {"op": "move", "from": "/component/1", "path": "/component/0"})
    assert moved == b'{"resourceType":"Observation","valueQuantity":{"value":72.50},"component":[{"valueQuantity":{"value":1e2}},{"valueInteger":1}]}'
    patch = json_patch(b'[{"op":"replace","path":"/valueQuantity/value","value":7.10},{"op":"test","path":"/valueQuantity/value","value":7.1}]')
    assert b'"valueQuantity":{"value":7.10}' in patched_body(BODY, patch)
    value = parameters(fhirpath_operation("replace", "Observation.value.value", value={"valueDecimal": 7.5})).replace(b"7.5", b"7.100")
    assert b'"valueQuantity":{"value":7.100}' in patched_body(BODY, fhirpath_patch(value))


def test_a_patch_that_changes_nothing_gives_the_very_same_bytes() -> None:
    body = b'{"resourceType":"Patient","name":[{"family":"M\\u00fcller"}],"id":"1"}'
    assert json_patched(body) == body
    assert json_patched(body, {"op": "add", "path": "/active", "value": True}, {"op": "remove", "path": "/active"}) == body


@pytest.mark.conformance("FHIR R4: patch", "a failing operation of a JSON Patch is named by its index")
@pytest.mark.parametrize(
    ("operation", "why"),
    [
        ({"op": "remove", "path": "/telecom"}, "Operation 1 (remove): the path leads to nothing"),
        ({"op": "remove", "path": ""}, "Operation 1 (remove): the resource as a whole stays"),
        ({"op": "replace", "path": "/telecom", "value": 1}, "Operation 1 (replace): the path leads to nothing"),
        ({"op": "add", "path": "/a/b", "value": 1}, "Operation 1 (add): the path leads to nothing"),
        ({"op": "add", "path": "/name/2", "value": 1}, "Operation 1 (add): the path leads to nothing"),
        ({"op": "add", "path": "/name/01", "value": 1}, "Operation 1 (add): a place in an array is a number without leading zeros"),
        ({"op": "remove", "path": "/name/-"}, "Operation 1 (remove): a place in an array is a number without leading zeros"),
        ({"op": "add", "path": "/deceasedBoolean/x", "value": 1}, "Operation 1 (add): the path leads to nothing"),
        ({"op": "move", "from": "/name", "path": "/name/0"}, "Operation 1 (move): a value cannot be moved into itself"),
        ({"op": "copy", "from": "/nobody", "path": "/name/0"}, "Operation 1 (copy): the path leads to nothing"),
        ({"op": "test", "path": "/deceasedBoolean", "value": 0}, "Operation 1 (test): the value is another one"),
        ({"op": "test", "path": "/name/0/given", "value": ["Ann"]}, "Operation 1 (test): the value is another one"),
    ],
)
def test_an_operation_that_fails_is_named(operation: dict[str, Any], why: str) -> None:
    with pytest.raises(Unprocessable) as caught:
        json_patched(PATIENT, {"op": "test", "path": "/resourceType", "value": "Patient"}, operation)
    assert caught.value.issues[0].text == why


@pytest.mark.parametrize(
    "document",
    [
        b"{}", b"[", b"[1]", b'[{"path":"/a"}]', b'[{"op":"spam","path":"/a"}]', b'[{"op":"add","path":"/a"}]', b'[{"op":"test","path":"/a"}]',
        b'[{"op":"remove"}]', b'[{"op":"remove","path":"a"}]', b'[{"op":"remove","path":"/~2"}]', b'[{"op":"move","path":"/a"}]',
        b'[{"op":"add","path":"/a","value":1,"value":2}]', b'[{"op":"add","path":"/a","value":NaN}]', b'[{"op":["add"],"path":"/a"}]',
        b'[{"op":"add","path":"/a","value":1e99999999999999999999}]', b'[{"op":"add","path":"/a","value":' + b"[" * 70 + b"]" * 70 + b"}]", b"\xff",
    ],
)  # fmt: skip
def test_what_is_no_json_patch_is_refused(document: bytes) -> None:
    with pytest.raises(Invalid):
        json_patch(document)


def test_escapes_in_pointers_and_null_values() -> None:
    body = b'{"a/b":{"m~n":1,"":2}}'
    assert json_patched(body, {"op": "replace", "path": "/a~1b/m~0n", "value": None}, {"op": "copy", "from": "/a~1b/", "path": "/c"}) == (
        b'{"a/b":{"m~n":null,"":2},"c":2}'
    )


@pytest.mark.conformance("FHIR R4: patch", "a patch that copies itself large, nests without end or has thousands of operations is refused")
def test_a_patch_that_asks_for_too_much_is_refused() -> None:
    doubling = [{"op": "add", "path": "/a", "value": ["x" * 100]}, *[{"op": "copy", "from": "/a", "path": "/a/-"}] * 40]
    deep = [{"op": "add", "path": "/x" * step, "value": {}} for step in range(1, 100)]
    for operations in (doubling, deep, [{"op": "test", "path": "", "value": 1}] * 2001):
        with pytest.raises(Unprocessable) as caught:
            json_patched(b"{}", *operations)
        assert caught.value.issues[0].code == "too-costly"
    many = json.dumps({"resourceType": "Patient", "identifier": [{"value": "1"}] * 20_000}).encode()
    with pytest.raises(Unprocessable, match="too much work"):
        fhirpath_patched(many, *[fhirpath_operation("delete", "Patient.identifier.where(value = '2')")] * 200)


TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=3)
values = st.recursive(st.none() | st.booleans() | st.integers(-9, 9) | TEXTS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3), max_leaves=8)


@given(values, values)
def test_adding_and_removing_is_doing_nothing(document: Any, value: Any) -> None:
    body = json.dumps({"document": document}).encode()
    assert json_patched(body, {"op": "add", "path": "/new", "value": value}, {"op": "test", "path": "/new", "value": value}, {"op": "remove", "path": "/new"}) == body


@given(values)
def test_a_tree_is_read_and_written_alike(document: Any) -> None:
    tree = read_tree(json.dumps(document).encode())
    assert json.loads(write_tree(tree)) == json.loads(canonical(tree)) == document
    assert equal(tree, copy.deepcopy(tree))


NAME = {"given": ["Ann", "Bo"], "_given": [None, {"id": "b"}]}
ALIVE = {"name": [NAME], "deceasedBoolean": False}


@pytest.mark.conformance("FHIR R4: patch", "FHIRPath Patch: choices, repeating primitives and their extensions")
@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (fhirpath_operation("replace", "Patient.deceased", value={"valueDateTime": "2020"}), {"name": [NAME], "deceasedDateTime": "2020"}),
        (fhirpath_operation("delete", "Patient.deceased"), {"name": [NAME]}),
        (fhirpath_operation("delete", "Patient.name.given[0]"), {**ALIVE, "name": [{"given": ["Bo"], "_given": [{"id": "b"}]}]}),
        (fhirpath_operation("delete", "Patient.name.given.last()"), {**ALIVE, "name": [{"given": ["Ann"]}]}),
        (fhirpath_operation("replace", "Patient.name.given[1]", value={"valueString": "Cy"}), {**ALIVE, "name": [{"given": ["Ann", "Cy"]}]}),
        (fhirpath_operation("insert", "Patient.name.given", index=1, value={"valueString": "Cy"}),
         {**ALIVE, "name": [{"given": ["Ann", "Cy", "Bo"], "_given": [None, None, {"id": "b"}]}]}),
        (fhirpath_operation("move", "Patient.name.given", source=1, destination=0), {**ALIVE, "name": [{"given": ["Bo", "Ann"], "_given": [{"id": "b"}, None]}]}),
        (fhirpath_operation("add", "Patient.name", name="given", value={"valueString": "Cy"}),
         {**ALIVE, "name": [{"given": ["Ann", "Bo", "Cy"], "_given": [None, {"id": "b"}, None]}]}),
        (fhirpath_operation("insert", "Patient.telecom", index=0, value={"valueContactPoint": {"system": "phone", "value": "1"}}), {**ALIVE, "telecom": [{"system": "phone", "value": "1"}]}),
        (fhirpath_operation("add", "Patient.deceased", name="id", value={"valueString": "d"}), {**ALIVE, "_deceasedBoolean": {"id": "d"}}),
        (fhirpath_operation("add", "Patient", name="extension", value={"part": [{"name": "url", "valueUri": "urn:x"}, {"name": "value", "valueCode": "c"}]}),
         {**ALIVE, "extension": [{"url": "urn:x", "valueCode": "c"}]}),
        (fhirpath_operation("add", "Patient", name="contained", value={"resource": {"resourceType": "Basic", "id": "b", "code": {"text": "x"}}}),
         {**ALIVE, "contained": [{"resourceType": "Basic", "id": "b", "code": {"text": "x"}}]}),
    ],
)  # fmt: skip
def test_fhirpath_operations_know_the_json_of_elements(operation: dict[str, Any], expected: dict[str, Any]) -> None:
    assert json.loads(fhirpath_patched(PATIENT, operation)) == {"resourceType": "Patient", **expected}


@pytest.mark.conformance("FHIR R4: patch", "a failing operation of a FHIRPath Patch is named by its index and its expression")
@pytest.mark.parametrize(
    ("operation", "why"),
    [
        (fhirpath_operation("replace", "Patient.birthDate", value={"valueDate": "2020-01-01"}), "the path leads to nothing"),
        (fhirpath_operation("delete", "Patient.name.given"), "the path leads to more than one element"),
        (fhirpath_operation("delete", "Patient"), "the resource as a whole stays"),
        (fhirpath_operation("delete", "Patient.colour"), "the type has no element of this name"),
        (fhirpath_operation("add", "Patient", name="deceased", value={"valueBoolean": True}), "the element is there already and does not repeat"),
        (fhirpath_operation("add", "Patient", name="multipleBirth", value={"valueString": "x"}), "the element does not take this type"),
        (fhirpath_operation("add", "Patient.deceased", name="value", value={"valueString": "x"}), "a primitive has no element of this name"),
        (fhirpath_operation("insert", "Patient.name", index=2, value={"valueHumanName": {"text": "x"}}), "the index is behind the end of the list"),
        (fhirpath_operation("insert", "Patient.name[0]", index=0, value={"valueHumanName": {"text": "x"}}), "the path names a list, by the name of its elements"),
        (fhirpath_operation("insert", "Patient.gender", index=0, value={"valueCode": "male"}), "the element does not repeat"),
        (fhirpath_operation("move", "Patient.name", source=0, destination=1), "source or destination is behind the end of the list"),
    ],
)  # fmt: skip
def test_a_fhirpath_operation_that_fails_is_named(operation: dict[str, Any], why: str) -> None:
    with pytest.raises(Unprocessable) as caught:
        fhirpath_patched(PATIENT, fhirpath_operation("delete", "Patient.photo"), operation)
    issue = caught.value.issues[0]
    type_ = operation["part"][0]["valueCode"]
    assert (issue.text, issue.expression) == (f"Operation 1 ({type_}): {why}", "Parameters.parameter[1]")


@pytest.mark.parametrize(
    "operation",
    [
        {"name": "other"}, {"name": "operation"}, fhirpath_operation("spam", "Patient"), fhirpath_operation("replace", "Patient.gender"),
        fhirpath_operation("move", "Patient.name", source=-1, destination=0), fhirpath_operation("move", "Patient.name", source="0", destination=0),
        *(fhirpath_operation("delete", path) for path in (
            "Patient.", "Patient..name", "Patient.name[", "Patient.name[x]", "Patient.name.where(", "Patient.name.where(use)", "Patient | Group",
            "Patient.name.all(true)", "Patient.name[99999999999]", "%resource", "'", "Patient" + ".a" * 2000, "where(a.where(" * 300,
            "Patient.name.where(use = official)", "$this",
        )),
    ],
)  # fmt: skip
def test_what_is_no_fhirpath_patch_is_refused_and_named(operation: dict[str, Any]) -> None:
    with pytest.raises(ChartloopError) as caught:
        fhirpath_patch(parameters(operation))
    assert caught.value.issues[0].expression.startswith("Parameters.parameter[0]")


@pytest.mark.parametrize(
    ("path", "left"),
    [
        ("Patient.identifier.where(system = 'a' and value = '2')", ["1", "3"]),
        ("Patient.identifier.where(period.start = @2020-01-01)", ["1", "2"]),
        ("Patient.identifier.where(period.exists())", ["1", "2"]),
        ("Patient.identifier.where(extension('urn:x').exists())", ["1", "2"]),
        ("Patient.identifier.first()", ["2", "3"]),
        ("identifier[1]", ["1", "3"]),
        ("Patient.identifier.ofType(Identifier).last()", ["1", "2"]),
        ("Patient.identifier.where(value = 2)", ["1", "2", "3"]),
    ],
)
def test_paths_of_the_subset_find_their_places(path: str, left: list[str]) -> None:
    identifiers = [{"system": "a", "value": "1"}, {"system": "a", "value": "2"}, {"value": "3", "period": {"start": "2020-01-01"}, "extension": [{"url": "urn:x", "valueCode": "c"}]}]
    body = json.dumps({"resourceType": "Patient", "identifier": identifiers}).encode()
    after = json.loads(fhirpath_patched(body, fhirpath_operation("delete", path)))
    assert [identifier["value"] for identifier in after["identifier"]] == left
