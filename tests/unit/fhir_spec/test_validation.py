"""A resource is stored only when it is right; else every error is named with its place."""

from __future__ import annotations

from decimal import Decimal

import pytest

from chartloop.kernel.errors import Invalid, Unprocessable
from fhir_server.validation.fast import passes
from fhir_server.validation.resources import validate
from tests.unit.fhir_spec.invalid_literals import INVALID, OBS


@pytest.mark.conformance("FHIR R4: validation", "unknown elements are refused and named")
@pytest.mark.conformance("FHIR R4: validation", "wrong types and wrong primitive formats are refused and named")
@pytest.mark.conformance("FHIR R4: validation", "cardinality: missing elements, and lists where one is meant, are refused and named")
@pytest.mark.conformance("FHIR R4: validation", "required bindings are enforced and named")
@pytest.mark.conformance("FHIR R4: validation", "choice elements: one value, of an allowed type")
@pytest.mark.conformance("FHIR R4: validation", "references: form, target type, contained targets")
@pytest.mark.conformance("FHIR R4: validation", "narrative is well-formed XHTML without scripts and handlers")
@pytest.mark.conformance("What must be real underneath", "FHIR: unknown, missing and wrongly typed elements and required bindings: refused, the element named")
@pytest.mark.conformance("Attacks", "97: narrative with a script or an event handler is refused")
@pytest.mark.conformance("Attacks", "91: narrative with an entity declaration is refused")
@pytest.mark.parametrize(("body", "expression"), [pytest.param(body, expression, id=name) for name, body, expression in INVALID])
def test_an_invalid_resource_is_refused_and_the_place_is_named(body, expression):
    with pytest.raises(Unprocessable) as refused:
        validate(body.encode())
    assert expression in [issue.expression for issue in refused.value.issues]


VALID = {
    "a patient with nothing but its type": '{"resourceType":"Patient"}',
    "null beside an extension in a list": '{"resourceType":"Patient","name":[{"given":["A",null],"_given":[null,{"extension":[{"url":"http://x","valueCode":"y"}]}]}]}',
    "an extension instead of a required value": '{"resourceType":"Observation","_status":{"extension":[{"url":"http://x","valueCode":"y"}]},"code":{"text":"x"}}',
    "a sibling beside a value": '{"resourceType":"Patient","birthDate":"1990","_birthDate":{"id":"a"}}',
    "the 29th of February of 2000": '{"resourceType":"Patient","birthDate":"2000-02-29"}',
    "a leap second": f'{{{OBS},"issued":"2016-12-31T23:59:60Z"}}',
    "a local reference to a contained resource": '{"resourceType":"Patient","contained":[{"resourceType":"Organization","id":"o","name":"x"}],"managingOrganization":{"reference":"#o"}}',
    "a reference to a version": f'{{{OBS},"subject":{{"reference":"Patient/1/_history/2"}}}}',
    "an absolute reference": f'{{{OBS},"subject":{{"reference":"https://x.org/fhir/Patient/1"}}}}',
    "a URN": f'{{{OBS},"subject":{{"reference":"urn:oid:1.2.3"}}}}',
    "a logical reference": f'{{{OBS},"subject":{{"identifier":{{"value":"1"}}}}}}',
    "braces inside a text": '{"resourceType":"Patient","name":[{"text":"{} [] {{{{{{"}]}',
    "escapes": '{"resourceType":"Patient","name":[{"text":"\\u0022a\\\\u0022 \\ud83d\\ude00 \\""}]}',
    "a bundle in a bundle": '{"resourceType":"Bundle","type":"collection","entry":[{"resource":{"resourceType":"Bundle","type":"collection"}}]}',
    "a huge exponent": f'{{{OBS},"valueQuantity":{{"value":1e400}}}}',
    "a MIME type": '{"resourceType":"Binary","contentType":"text/plain; charset=utf-8","data":"YWJj"}',
    "a narrative with an HTML entity": '{"resourceType":"Patient","text":{"status":"generated","div":"<div xmlns=\\"http://www.w3.org/1999/xhtml\\">a&nbsp;b</div>"}}',
}


@pytest.mark.parametrize("body", VALID.values(), ids=VALID.keys())
def test_a_valid_resource_is_accepted(body):
    assert validate(body.encode()).type in body


def test_a_list_of_values_beside_an_extension_is_judged_one_by_one():
    said = b'{"resourceType":"Device","extension":[{"url":"http://a.example/x","valueString":"x"}],"property":[{"type":{"text":"t"},"valueQuantity":[{"value":1,"unit":"kg"},%s]}]}'
    assert validate(said % b'{"value":2}').resource["property"][0]["valueQuantity"][1] == {"value": 2}
    with pytest.raises(Unprocessable) as caught:
        validate(said % b'{"value":2,"code":"kg"}')
    assert caught.value.issues[0].text.startswith("qty-3: ")


def test_decimals_keep_their_digits():
    validated = validate(f'{{{OBS},"valueQuantity":{{"value":72.50}}}}'.encode())
    assert validated.resource["valueQuantity"]["value"] == Decimal("72.50")
    assert str(validated.resource["valueQuantity"]["value"]) == "72.50"


@pytest.mark.conformance("FHIR R4: validation", "every error of a resource is reported at once")
def test_every_error_is_reported_at_once():
    with pytest.raises(Unprocessable) as refused:
        validate(b'{"resourceType":"Patient","gender":"M","birthDate":"1990-02-30","name":[{"given":["A",""]}],"x":1}')
    assert {issue.expression for issue in refused.value.issues} == {"Patient.gender", "Patient.birthDate", "Patient.name[0].given[1]", "Patient.x"}


@pytest.mark.conformance("FHIR R4: validation", "no issue repeats a value of the resource")
@pytest.mark.conformance("Attacks", "28: validation errors echo no value")
def test_no_issue_repeats_a_value():
    with pytest.raises(Unprocessable) as refused:
        validate(b'{"resourceType":"Patient","gender":"SECRET","birthDate":"SECRET","link":[{"other":{"reference":"SECRET SECRET"},"type":"SECRET"}]}')
    assert not any("SECRET" in issue.text + issue.expression for issue in refused.value.issues)
    assert "SECRET" not in str(refused.value)


@pytest.mark.conformance("FHIR R4: validation", "bad JSON, doubled names, NaN, lone surrogates and other bytes are refused as unreadable")
@pytest.mark.conformance("Attacks", "92: depth, NaN, duplicate keys, 5,000 digits, lone surrogates, BOM and trailing data are refused")
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"{", id="cut"),
        pytest.param(b'{"resourceType":"Patient"} x', id="more after the end"),
        pytest.param(b'\xef\xbb\xbf{"resourceType":"Patient"}', id="a byte order mark"),
        pytest.param(b'{"resourceType":"Patient","name":[{"family":"\xff"}]}', id="not UTF-8"),
        pytest.param(b'{"resourceType":"Patient","name":[{"family":"\\ud800"}]}', id="half a surrogate pair"),
        pytest.param(b'{"resourceType":"Patient","name":[{"family":"\xed\xa0\x80"}]}', id="a surrogate in UTF-8"),
        pytest.param(b'{"resourceType":"Patient","name":[{"family":"a\\u0000"}]}', id="U+0000"),
        pytest.param(b'{"resourceType":"Patient","multipleBirthInteger":NaN}', id="NaN"),
        pytest.param(b'{"resourceType":"Patient","gender":"male","gender":"female"}', id="a name twice"),
        pytest.param(b'{"resourceType":"Patient","name":[{"family":"\\u0022","family":"b"}]}', id="a name twice behind an escape"),
        pytest.param(b'{"resourceType":"Patient","gender":"male","g\\u0065nder":"female"}', id="a name twice, once escaped"),
        pytest.param(b'{"resourceType":"Patient","multipleBirthInteger":' + b"9" * 5000 + b"}", id="a number of 5000 digits"),
        pytest.param(b"[]", id="an array"),
        pytest.param(b'"Patient"', id="a string"),
        pytest.param(b"{}", id="no type"),
        pytest.param(b'{"resourceType":"Foo"}', id="an unknown type"),
        pytest.param(b'{"resourceType":"DomainResource"}', id="an abstract type"),
        pytest.param(b'{"resourceType":["Patient"]}', id="a type that is no string"),
        pytest.param(b"[" * 100_000, id="100,000 brackets"),
        pytest.param(b'{"resourceType":"Patient","a":' * 70 + b"1" + b"}" * 70, id="70 levels"),
    ],
)
def test_what_is_no_resource_is_refused_as_unreadable(body):
    with pytest.raises(Invalid):
        validate(body)


def extended(levels: int) -> bytes:
    return b'{"resourceType":"Patient","extension":' + b'[{"url":"u","extension":' * levels + b'[{"url":"u","valueCode":"{[\\""}]' + b"}]" * levels + b"}"


@pytest.mark.conformance("FHIR R4: validation", "64 levels of nesting are accepted, more are refused")
def test_64_levels_are_accepted_and_66_refused():
    assert validate(extended(30)).type == "Patient"
    with pytest.raises(Invalid, match="nested deeper than 64"):
        validate(extended(32))


def test_another_type_than_the_wanted_one_is_refused():
    with pytest.raises(Invalid, match="must be Observation"):
        validate(b'{"resourceType":"Patient"}', type_="Observation")


def test_conditional_references_are_accepted_in_transactions():
    body = f'{{{OBS},"subject":{{"reference":"Patient?identifier=http://x|1"}}}}'.encode()
    assert validate(body, conditional=True).type == "Observation"


@pytest.mark.conformance("FHIR R4: validation", "a code of a code system that is not loaded is a warning, not an error")
def test_a_code_of_an_unknown_code_system_is_a_warning():
    validated = validate(b'{"resourceType":"Observation","status":"final","code":{"coding":[{"system":"http://acme.org/codes","code":"1"}]}}')
    assert [(issue.severity, issue.expression) for issue in validated.warnings] == [("warning", "Observation"), ("warning", "Observation.code.coding[0]")]


def test_a_code_of_a_value_set_nobody_lists_is_an_information():
    validated = validate(b'{"resourceType":"Binary","contentType":"text/plain"}')
    assert [(issue.severity, issue.expression) for issue in validated.warnings] == [("information", "Binary.contentType")]


def test_common_resources_take_the_fast_pass():
    assert passes("Observation", f'{{{OBS},"subject":{{"reference":"Patient/1"}},"effectiveDateTime":"2020-01-01T10:00:00+01:00"}}'.encode())
