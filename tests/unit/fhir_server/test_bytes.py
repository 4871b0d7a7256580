"""What happens to bodies on their way in and out: splice, codec, sealed positions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chartloop.kernel.access.subject import Subject
from chartloop.kernel.errors import Forbidden, Invalid
from fhir_server.codec import PLAIN, Codec
from fhir_server.hashing import lane_of, rid_of, value_hash
from fhir_server.search.cursor import Position, seal, unseal
from fhir_server.splice import splice, without_version

LABEL = '{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"PSY"}'


@pytest.mark.conformance("FHIR R4: interactions", "a stored body keeps every value as it was written but for id and version")
def test_splice_sets_id_and_version_and_leaves_every_other_value_as_it_was() -> None:
    body = '{ "resourceType" : "Observation",\n "valueQuantity":{"value":72.50, "x": 1E+2},"text": "Ä \\u00e9", "id":"client","meta":{"versionId":"9","source":"urn:x"}}'
    assert splice(body.encode(), id_="a", version=2, updated=0).decode() == (
        '{"resourceType":"Observation","id":"a","meta":{"versionId":"2","lastUpdated":"1970-01-01T00:00:00.000Z","source":"urn:x"},'
        '"valueQuantity":{"value":72.50,"x":1E+2},"text":"Ä \\u00e9"}'
    )


def test_labels_leave_the_stored_bytes_and_other_security_stays() -> None:
    other = '{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"R"}'
    body = f'{{"resourceType":"Patient","meta":{{"security":[{LABEL},{other}]}}}}'.encode()
    assert f'"security":[{other}]'.encode() in splice(body, id_="a", version=1, updated=0)
    assert b"security" not in splice(body.replace(b"," + other.encode(), b""), id_="a", version=1, updated=0)


def test_contents_are_compared_without_version_and_whatever_the_order() -> None:
    first = splice(b'{"resourceType":"Patient","active":true,"gender":"male"}', id_="a", version=1, updated=0)
    second = splice(b'{"resourceType":"Patient","gender":"male","active":true}', id_="a", version=2, updated=5)
    assert without_version(first) == without_version(second)


@given(st.binary(max_size=2000), st.booleans())
def test_a_packed_body_comes_back(body: bytes, dictionary: bool) -> None:
    codec = Codec({1: b"resourceType" * 100} if dictionary else {})
    assert codec.unpack(*codec.pack(body)) == body
    assert codec.unpack(PLAIN, 0, body) == body


READER = Subject(id="a", role="r", scopes=("x",))


@pytest.mark.conformance("FHIR R4: search", "page links are sealed: another reader, query or secret cannot use them")
@given(st.lists(st.one_of(st.integers(-(2**62), 2**62), st.text(max_size=30)), max_size=4), st.integers(0, 2**40))
def test_a_position_comes_back_to_its_reader_alone(after: list[int | str], snapshot: int) -> None:
    token = seal(b"k" * 32, READER, "Patient?x=1", Position(tuple(after), snapshot))
    assert unseal(b"k" * 32, READER, "Patient?x=1", token) == Position(tuple(after), snapshot)
    with pytest.raises(Forbidden):
        unseal(b"k" * 32, Subject(id="b", role="r", scopes=("x",)), "Patient?x=1", token)
    for secret, query in ((b"l" * 32, "Patient?x=1"), (b"k" * 32, "Patient?x=2")):
        with pytest.raises(Invalid):
            unseal(secret, READER, query, token)


@pytest.mark.conformance("Attacks", "09: an altered or invented page link answers 400")
@given(st.text(max_size=100))
def test_a_token_that_was_made_up_is_refused(token: str) -> None:
    with pytest.raises(Invalid):
        unseal(b"k" * 32, READER, "", token)


def test_hashes_and_lanes_never_change() -> None:
    assert value_hash("http://loinc.org|29463-7") == -5513882951871573100
    assert lane_of("Patient/1") == 43
    assert lane_of("") == 0
    assert rid_of(127, 2**40 - 1) < 2**47
