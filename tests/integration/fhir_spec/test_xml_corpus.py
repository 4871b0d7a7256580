"""HL7's examples between JSON and XML, and what another implementation reads in our XML."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from fhir.resources.R4B import get_fhir_model_class

from fhir_server.json_tree import canonical, read_tree
from fhir_server.xml.reading import xml_to_json
from fhir_server.xml.writing import json_to_xml
from tests.integration.fhir_spec.official_examples import official_examples

pytestmark = pytest.mark.corpus



@pytest.mark.long
@pytest.mark.conformance("FHIR R4: XML", "each of the 441 official examples comes back from XML with the same content, decimals and extensions of primitives too")
def test_every_official_example_comes_back_from_xml_as_it_was(corpus):
    changed, count = [], 0
    for name, body in official_examples(corpus):
        count += 1
        written = json_to_xml(body)
        read = xml_to_json(written)
        same = canonical(read_tree(read)) == canonical(read_tree(body))
        if not same or xml_to_json(json_to_xml(body, pretty=True)) != read or json_to_xml(read) != written:
            changed.append(name)
    assert changed == []
    assert count == 441


@pytest.mark.long
@pytest.mark.conformance("FHIR R4: XML", "fhir.resources with lxml, an implementation apart, reads in the XML of the official examples what their JSON says")
def test_another_implementation_reads_the_same_in_xml_as_in_json(corpus):
    differing, compared = [], 0
    for name, body in official_examples(corpus):
        try:
            model = get_fhir_model_class(msgspec.json.decode(body)["resourceType"])
            from_json = model.model_validate_json(body)
        except ValueError:  # it knows R4B, which dropped some types and elements of R4
            continue
        try:
            from_xml = model.model_validate_xml(json_to_xml(body))
        except KeyError:  # it fails over every TriggerDefinition
            continue
        compared += 1
        if _said(from_json) != _said(from_xml):
            differing.append(name)
    assert differing == []
    assert compared >= 420


def _said(resource: Any) -> bytes:
    """Its JSON without narratives, whose entities it writes anew, and without ids, whose attributes it does not read everywhere."""
    return canonical(_compared(read_tree(resource.model_dump_json().encode())))


def _compared(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _compared(item) for name, item in value.items() if name not in ("div", "id")}
    return [_compared(item) for item in value] if isinstance(value, list) else value
