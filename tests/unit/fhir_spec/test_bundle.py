"""A Bundle is taken apart into the bytes of its entries."""

from __future__ import annotations

import pytest

from chartloop.kernel.errors import Invalid, Unprocessable
from fhir_server.validation.bundles import split_bundle, validate_bundle

PATIENT = b'{"resourceType":"Patient",  "multipleBirthInteger": 2 }'


def transaction(*entries: bytes) -> bytes:
    return b'{"resourceType":"Bundle","type":"transaction","entry":[' + b",".join(entries) + b"]}"


def entry(resource: bytes, url: bytes = b"Patient", number: bytes = b"3") -> bytes:
    return (
        b'{"fullUrl":"urn:uuid:3d0e2b5e-6a3f-4f0e-8d3c-1f6f0a1b2c3'
        + number
        + b'","resource":'
        + resource
        + b',"request":{"method":"POST","url":"'
        + url
        + b'","ifNoneExist":"identifier=x|1"}}'
    )


def test_an_entry_keeps_the_bytes_of_its_resource():
    bundle = split_bundle(transaction(entry(PATIENT), b'{"request":{"method":"DELETE","url":"Patient/1","ifMatch":"W/\\"2\\""}}'))
    assert bundle.type == "transaction"
    first, second = bundle.entries
    assert first.resource == PATIENT
    assert (first.full_url, first.method, first.url, first.if_none_exist) == (
        "urn:uuid:3d0e2b5e-6a3f-4f0e-8d3c-1f6f0a1b2c33",
        "POST",
        "Patient",
        "identifier=x|1",
    )
    assert (second.resource, second.method, second.if_match) == (b"", "DELETE", 'W/"2"')


def test_resources_in_entries_are_validated_with_the_place_of_the_entry():
    with pytest.raises(Unprocessable) as refused:
        validate_bundle(
            transaction(entry(PATIENT), entry(b'{"resourceType":"Patient","gender":"M"}', number=b"4"), entry(b'{"resourceType":"Foo"}', number=b"5"))
        )
    assert [issue.expression for issue in refused.value.issues] == ["Bundle.entry[1].resource.gender", "Bundle.entry[2].resource.resourceType"]


def test_an_unknown_element_of_an_entry_is_refused():
    with pytest.raises(Unprocessable) as refused:
        split_bundle(transaction(b'{"resource":{"resourceType":"Patient"},"request":{"method":"FETCH","url":"Patient"},"x":1}'))
    assert {issue.expression for issue in refused.value.issues} == {"Bundle.entry[0].x", "Bundle.entry[0].request.method"}


@pytest.mark.conformance("FHIR R4: transactions", "a Bundle that breaks the invariants of its type is refused")
@pytest.mark.parametrize(
    ("body", "place"),
    [
        pytest.param(transaction(b'{"resource":{"resourceType":"Patient"}}'), "Bundle.entry[0].request", id="an entry without a request"),
        pytest.param(
            transaction(b'{"fullUrl":"http://x/Patient/1/_history/2","resource":{"resourceType":"Patient"},"request":{"method":"POST","url":"Patient"}}'),
            "Bundle.entry[0].fullUrl",
            id="a fullUrl with a version",
        ),
        pytest.param(b'{"resourceType":"Bundle","type":"batch","total":1}', "Bundle.total", id="a total"),
    ],
)
def test_a_bundle_that_breaks_its_invariants_is_refused(body, place):
    with pytest.raises(Unprocessable) as refused:
        split_bundle(body)
    assert place in [issue.expression for issue in refused.value.issues]


@pytest.mark.parametrize("body", [b"", b"[]", PATIENT, b'{"resourceType":"Bundle","type":"batch","entry":[{"resource":{"a":}}]}', b'{"type":"batch"}'])
def test_what_is_no_bundle_is_refused(body):
    with pytest.raises(Invalid):
        split_bundle(body)


def test_an_empty_bundle_has_no_entries():
    assert split_bundle(b'{"resourceType":"Bundle","type":"batch"}').entries == ()


def test_a_null_resource_is_refused():
    with pytest.raises(Unprocessable):
        validate_bundle(b'{"resourceType":"Bundle","type":"batch","entry":[{"resource":null,"request":{"method":"POST","url":"Patient"}}]}')
