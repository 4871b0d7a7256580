"""Whatever a resource says, XML says the same; whatever is sent as XML, only our own errors come back."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chartloop.kernel.errors import ChartloopError
from fhir_server.json_tree import canonical, read_tree, write_tree
from fhir_server.xml.reading import xml_to_json
from fhir_server.xml.writing import json_to_xml
from tests.properties.fhir_server.resources import resources

SLOW = settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], deadline=None)


@pytest.mark.long
@pytest.mark.conformance("FHIR R4: XML", "a resource of any type with any content comes back from XML as it was, decimals digit by digit")
@SLOW
@given(resources())
def test_a_resource_comes_back_from_xml_as_it_was(resource: dict[str, Any]) -> None:
    said = write_tree(resource)
    written = json_to_xml(said)
    assert canonical(read_tree(xml_to_json(written))) == canonical(read_tree(said))
    assert xml_to_json(json_to_xml(said, pretty=True)) == xml_to_json(written)
    assert json_to_xml(xml_to_json(written)) == written


@pytest.mark.long
@pytest.mark.conformance("Attacks", "XML: whatever is changed in a document, it is read or refused with a 4xx")
@SLOW
@given(resources(2), st.data())
def test_a_damaged_document_is_read_or_refused(resource: dict[str, Any], data: st.DataObject) -> None:
    written = json_to_xml(write_tree(resource))
    at = data.draw(st.integers(0, len(written)))
    cut = data.draw(st.integers(0, 8))
    put = data.draw(st.binary(max_size=4) | st.sampled_from([b"<", b">", b"/>", b"&", b'"', b"<!DOCTYPE a>", b"<![CDATA[", b"<!--", b"<?x?>", b"<div/>", b' id="x"', b"&#10;"]))
    with suppress(ChartloopError):
        xml_to_json(written[:at] + put + written[at + cut :])


@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda text: f'<Patient xmlns="http://hl7.org/fhir">{text}</Patient>'.encode("utf-8", "surrogatepass")))
def test_noise_is_refused_by_our_own_errors(body: bytes) -> None:
    with suppress(ChartloopError):
        xml_to_json(body)
