"""HL7's own patch cases for R4: the Parameters of FHIRPath Patch and the documents of JSON Patch."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from chartloop.kernel.errors import ChartloopError
from fhir_server.patching.application import patched_body
from fhir_server.patching.fhirpath_patch import fhirpath_patch
from fhir_server.patching.json_patch import json_patch
from fhir_server.spec.definitions import r4

ARCHIVE = "fhir/fhir-test-cases-patch-fhirpath-sof-ucum.tar.xz"
FHIR, XHTML = "{http://hl7.org/fhir}", "{http://www.w3.org/1999/xhtml}"
BOOLEANS, INTEGERS = {"boolean"}, {"integer", "unsignedInt", "positiveInt"}

NOT_PASSED: dict[str, str] = {}
"""Cases that do not pass, with the reason; none."""


def _from_xml(element: ET.Element, node: str) -> dict[str, Any]:
    """A resource or complex type of the XML format as JSON; enough of it for these cases."""
    made: dict[str, Any] = {"resourceType": node} if r4().is_resource(node) else {}
    if "url" in element.attrib:
        made["url"] = element.attrib["url"]
    rules = {name: (fact, type_) for fact in r4().elements(node) for name, type_ in fact.json_types().items()}
    for child in element:
        name = child.tag.rpartition("}")[2]
        fact, type_ = rules[name]
        value, extras = _value(child, fact.node or type_)
        for key, held in ((name, value), (f"_{name}", extras)):
            if fact.many and held is not None:
                made.setdefault(key, []).append(held)
            elif held is not None:
                made[key] = held
    return made


def _value(element: ET.Element, type_: str) -> tuple[Any, Any]:
    if type_ == "xhtml":
        text = ET.tostring(element, encoding="unicode", default_namespace=XHTML[1:-1]).strip()
        return text, None
    if type_ not in r4().primitive_types:
        return _from_xml(element, type_), None
    extras = _from_xml(element, "Element") if len(element) else None
    text = element.attrib.get("value")
    if text is not None and type_ in BOOLEANS | INTEGERS:
        return json.loads(text), extras
    return text, extras


def _resource(holder: ET.Element | None) -> dict[str, Any]:
    assert holder is not None
    (element,) = holder
    return _from_xml(element, element.tag.removeprefix(FHIR))


def _narrative(resource: dict[str, Any]) -> str:
    """Take the narrative out, as its words alone: how XML is written is not what these cases are about."""
    div = resource.get("text", {}).pop("div", "<div/>")
    return " ".join("".join(ET.fromstring(div).itertext()).split())


@pytest.fixture
def archive(corpus: Path) -> Iterator[tarfile.TarFile]:
    """The cases."""
    with tarfile.open(corpus / ARCHIVE) as opened:
        yield opened


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    found = archive.extractfile(f"r4/patch/{name}")
    assert found is not None
    return found.read()


@pytest.mark.corpus
@pytest.mark.conformance("FHIR R4: patch", "HL7's cases of FHIRPath Patch pass, all of them")
def test_the_cases_of_fhirpath_patch_pass(archive: tarfile.TarFile) -> None:
    cases = ET.fromstring(_read(archive, "fhir-patch-tests.xml")).findall("case")
    assert len(cases) == 33
    failed = {}
    for case in cases:
        body, diff = _resource(case.find("input")), _resource(case.find("diff"))
        try:
            after = json.loads(patched_body(json.dumps(body).encode(), fhirpath_patch(json.dumps(diff).encode())))
        except ChartloopError as error:
            if case.find("error") is None:
                failed[case.attrib["name"]] = str(error)
            continue
        if case.find("error") is not None:
            failed[case.attrib["name"]] = "it is to be refused"
            continue
        expected = _resource(case.find("output"))
        if _narrative(after) != _narrative(expected) or after != expected:
            failed[case.attrib["name"]] = f"{after} is not {expected}"
    assert failed == NOT_PASSED


@pytest.mark.corpus
@pytest.mark.conformance("FHIR R4: patch", "the cases of RFC 6902 pass, all of them")
def test_the_cases_of_json_patch_pass(archive: tarfile.TarFile) -> None:
    cases = json.loads(_read(archive, "json-patch-tests.json"))
    assert len(cases) == 16
    failed = {}
    for case in cases:
        try:
            after = json.loads(patched_body(json.dumps(case["doc"]).encode(), json_patch(json.dumps(case["patch"]).encode())))
        except ChartloopError as error:
            if "error" not in case:
                failed[case["comment"]] = str(error)
            continue
        if "error" in case or after != case["expected"]:
            failed[case["comment"]] = "it is to be refused" if "error" in case else f"{after} is not {case['expected']}"
    assert failed == {}
