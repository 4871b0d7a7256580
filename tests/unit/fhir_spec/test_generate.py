"""Facts are made from a package; here from one of a few resources."""

from __future__ import annotations

import io
import json
import sys
import tarfile

import msgspec
import pytest

from fhir_server.spec import generate
from fhir_server.spec.definitions import Definitions
from fhir_server.spec.package import read_package
from fhir_server.spec.value_set_facts import ValueSetFacts

SYSTEM = {
    "resourceType": "CodeSystem",
    "id": "animals",
    "url": "http://animals",
    "content": "complete",
    "concept": [
        {"code": "bird", "concept": [{"code": "owl", "concept": [{"code": "snowy-owl"}]}, {"code": "duck"}]},
        {"code": "bat", "property": [{"code": "subsumedBy", "valueCode": "mammal"}]},
        {"code": "mammal"},
    ],
}


def value_set(name: str, include: list[dict], exclude: list[dict] | None = None) -> dict:
    return {"resourceType": "ValueSet", "id": name, "url": f"http://{name}", "compose": {"include": include, "exclude": exclude or []}}


def rule(op: str, value: str, property_: str = "concept") -> dict:
    return {"system": "http://animals", "filter": [{"property": property_, "op": op, "value": value}]}


RESOURCES = [
    SYSTEM,
    value_set("all", [{"system": "http://animals"}]),
    value_set("listed", [{"system": "http://animals", "concept": [{"code": "owl"}]}, {"system": "http://other", "concept": [{"code": "x"}]}]),
    value_set("is-a", [rule("is-a", "bird")]),
    value_set("descendent", [rule("descendent-of", "bird")]),
    value_set("subsumed", [rule("is-a", "mammal")]),
    value_set("no-birds", [rule("is-not-a", "bird")]),
    value_set("imported", [{"valueSet": ["http://is-a", "http://subsumed"]}]),
    value_set("excluded", [{"system": "http://animals"}], [rule("is-a", "bird")]),
    value_set("regex", [rule("regex", "b.*")]),
    value_set("unknown", [{"system": "http://nowhere"}]),
    value_set("circle", [{"valueSet": ["http://circle"]}]),
    value_set("both", [{"valueSet": ["http://all"], "system": "http://animals"}]),
    {
        "resourceType": "StructureDefinition",
        "id": "Zoo",
        "url": "http://hl7.org/fhir/StructureDefinition/Zoo",
        "type": "Zoo",
        "kind": "resource",
        "abstract": False,
        "derivation": "specialization",
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/DomainResource",
        "snapshot": {
            "element": [
                {"path": "Zoo", "min": 0, "max": "*"},
                {"path": "Zoo.id", "min": 0, "max": "1", "type": [{"code": "http://hl7.org/fhirpath/System.String"}]},
                {
                    "path": "Zoo.animal",
                    "min": 1,
                    "max": "*",
                    "type": [{"code": "code"}],
                    "binding": {"strength": "required", "valueSet": "http://all|4.0.1"},
                },
                {
                    "path": "Zoo.keeper",
                    "min": 0,
                    "max": "1",
                    "type": [{"code": "Reference", "targetProfile": ["http://hl7.org/fhir/StructureDefinition/Practitioner"]}],
                },
            ]
        },
    },
    {
        "resourceType": "SearchParameter",
        "id": "Zoo-animal",
        "url": "http://zoo",
        "code": "animal",
        "type": "token",
        "base": ["Zoo"],
        "expression": "Zoo.animal",
    },
    {"resourceType": "SearchParameter", "id": "x-extensions-Zoo", "url": "http://x", "code": "x", "type": "token", "base": ["Zoo"], "expression": ""},
    {
        "resourceType": "CompartmentDefinition",
        "id": "keeper",
        "url": "http://c",
        "code": "Practitioner",
        "resource": [{"code": "Zoo", "param": ["keeper"]}, {"code": "Patient"}],
    },
]


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "package.tgz"
    with tarfile.open(path, "w:gz") as tar:
        for number, resource in enumerate([*RESOURCES, {"resourceType": "Patient", "id": "example"}]):
            data = json.dumps(resource).encode()
            info = tarfile.TarInfo(f"package/{resource['resourceType']}-{number}.json")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("all", {"http://animals": ["bat", "bird", "duck", "mammal", "owl", "snowy-owl"]}),
        ("listed", {"http://animals": ["owl"], "http://other": ["x"]}),
        ("is-a", {"http://animals": ["bird", "duck", "owl", "snowy-owl"]}),
        ("descendent", {"http://animals": ["duck", "owl", "snowy-owl"]}),
        ("subsumed", {"http://animals": ["bat", "mammal"]}),
        ("no-birds", {"http://animals": ["bat", "mammal"]}),
        ("excluded", {"http://animals": ["bat", "mammal"]}),
        ("regex", None),
        ("unknown", None),
        ("circle", None),
        ("both", None),
        ("absent", None),
    ],
)
def test_a_value_set_is_expanded_where_its_codes_are_listed(archive, name, codes):
    assert ValueSetFacts(read_package(archive)).expand(f"http://{name}") == codes


def test_several_value_sets_in_one_include_are_their_intersection(archive):
    assert ValueSetFacts(read_package(archive)).expand("http://imported") == {}


@pytest.mark.conformance("What must be real underneath", "FHIR: a committed generator makes the file of facts from a package, the same bytes each time")
def test_the_command_writes_facts_that_can_be_read(archive, tmp_path, monkeypatch):
    out = tmp_path / "facts.zst"
    monkeypatch.setattr(sys, "argv", ["generate", str(archive), str(out)])
    generate.main()
    first = out.read_bytes()
    generate.main()
    assert out.read_bytes() == first
    facts = Definitions(first)
    assert facts.resource_types == ("Zoo",)
    assert facts.elements("Zoo")[0].types == ("id",)
    assert [element.targets for element in facts.elements("Zoo") if element.name == "keeper"] == [("Practitioner",)]
    assert facts.elements("Zoo")[1].value_set.flat() >= {"owl", "bat"}
    assert facts.search_ids("Zoo") == {"animal": 1}
    assert facts.compartment("Practitioner") == {"Zoo": ("keeper",)}
    assert msgspec.json.encode([fact.expression for fact in facts.search_parameters]) == b'["Zoo.animal"]'
