"""References are found and rewritten; every other byte stays."""

from __future__ import annotations

import json

import pytest

from fhir_server.compartments import patient_of
from fhir_server.references import conditional_references, link_map, references_in, rewrite_bytes, rewrite_resource, uri_names

UUID = "urn:uuid:3d0e2b5e-6a3f-4f0e-8d3c-1f6f0a1b2c3d"
LINKS = {UUID: "Patient/new", "Practitioner?identifier=http://npi|1": "Practitioner/p"}


def test_references_are_found_with_their_place():
    resource = {"subject": {"reference": "Patient/1"}, "performer": [{"reference": "Practitioner/2"}, {"display": "x"}]}
    assert list(references_in(resource)) == [(".subject.reference", "Patient/1"), (".performer[0].reference", "Practitioner/2")]


def test_conditional_references_are_told_from_addresses():
    resource = {"a": [{"reference": "Patient?identifier=x|1"}, {"reference": "Patient/1"}, {"reference": "http://x/Patient?y=1"}, {"reference": "Foo?x=1"}]}
    assert conditional_references(resource) == ["Patient?identifier=x|1"]


@pytest.mark.conformance("FHIR R4: transactions", "references are rewritten in place; every other byte of an entry stays")
def test_references_are_rewritten_and_every_other_byte_stays():
    body = (
        f'{{ "value" : 72.50,  "subject" : {{"reference":  "{UUID}" }}, "other":[{{"reference":"Practitioner?identifier=http://npi|1"}}], "é":"ü" }}'.encode()
    )
    new = '{ "value" : 72.50,  "subject" : {"reference":  "Patient/new" }, "other":[{"reference":"Practitioner/p"}], "é":"ü" }'.encode()
    assert rewrite_bytes(body, LINKS) == new


def test_a_value_that_is_no_link_stays():
    body = f'{{"identifier":[{{"system":"urn:ietf:rfc:3986","value":"{UUID}"}}],"instantiatesCanonical":["{UUID}"],"subject":{{"reference":"{UUID}","display":"{UUID}"}}}}'
    changed = json.loads(rewrite_bytes(body.encode(), LINKS))
    assert changed["identifier"][0]["value"] == UUID
    assert changed["instantiatesCanonical"] == [UUID]
    assert changed["subject"] == {"reference": "Patient/new", "display": UUID}


def test_uris_of_entries_are_rewritten():
    body = f'{{"extension":[{{"url":"http://x","valueUri":"{UUID}"}}]}}'.encode()
    assert json.loads(rewrite_bytes(body, LINKS))["extension"][0]["valueUri"] == "Patient/new"


def test_links_in_the_narrative_are_rewritten():
    body = json.dumps({"text": {"div": f'<div><a href="{UUID}">x</a> {UUID}</div>'}}).encode()
    assert json.loads(rewrite_bytes(body, LINKS))["text"]["div"] == f'<div><a href="Patient/new">x</a> {UUID}</div>'


def test_escaped_references_are_rewritten():
    body = ('{"subject":{"ref\\u0065rence":"' + UUID.replace("u", "\\u0075", 1) + '"},"note":"\\"reference\\":\\"' + UUID + '\\""}').encode()
    changed = json.loads(rewrite_bytes(body, LINKS))
    assert changed["subject"]["reference"] == "Patient/new"
    assert UUID in changed["note"]


def test_bytes_and_parsed_resources_are_rewritten_alike():
    resource = {"subject": {"reference": UUID}, "url": UUID, "name": UUID, "list": [UUID, {"reference": "Patient/old"}], "number": 1}
    links = {UUID: "Patient/new", "Patient/old": "Patient/newer"}
    assert json.loads(rewrite_bytes(json.dumps(resource).encode(), links)) == rewrite_resource(resource, links)


def test_a_restful_full_url_is_meant_by_its_relative_form_too():
    assert link_map({"http://x/fhir/Patient/1": "Patient/new", UUID: "Patient/b"}) == {
        "http://x/fhir/Patient/1": "Patient/new",
        "Patient/1": "Patient/new",
        UUID: "Patient/b",
    }


def test_names_of_uris_hold_no_canonicals_and_no_strings():
    assert {"url", "system", "valueUri", "fullUrl"} <= uri_names()
    assert not {"value", "valueCanonical", "instantiatesCanonical", "display"} & uri_names()


@pytest.mark.conformance("Access", "a resource belongs to its one patient; of two or none it belongs to nobody")
def test_a_resource_belongs_to_its_one_patient():
    assert patient_of("Observation", {"subject": {"reference": "Patient/1"}}) == "Patient/1"
    assert patient_of("Claim", {"patient": {"reference": "Patient/1"}}) == "Patient/1"
    assert patient_of("Patient", {"id": "1"}) == "Patient/1"


@pytest.mark.conformance("Access", "a resource belongs to its one patient; of two or none it belongs to nobody")
def test_a_resource_of_nobody_or_of_two_belongs_to_none():
    assert patient_of("Observation", {"subject": {"reference": "Group/1"}}) == ""
    assert patient_of("Observation", {"subject": {"reference": "Patient/1"}, "performer": [{"reference": "Patient/2"}]}) == ""
    assert patient_of("Organization", {"name": "x"}) == ""
    assert patient_of("Patient", {}) == ""


def test_the_same_patient_twice_is_one():
    assert patient_of("Observation", {"subject": {"reference": "Patient/1"}, "performer": [{"reference": "Patient/1"}]}) == "Patient/1"
