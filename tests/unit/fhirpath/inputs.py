"""The resources that HL7's FHIRPath cases ask: R4's own examples where the corpus has them, and what the cases need of the others."""

from __future__ import annotations

import json
import tarfile
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

EXAMPLES, CORE = "fhir/r4-examples-4.0.1.tar.xz", "fhir/r4-core-4.0.1.tar.xz"
PUBLISHED = {
    "patient-example.xml": (EXAMPLES, "Patient-example.json"),
    "appointment-examplereq.json": (EXAMPLES, "Appointment-examplereq.json"),
    "codesystem-example.xml": (CORE, "CodeSystem-example.json"),
    "valueset-example-expansion.xml": (CORE, "ValueSet-example-expansion.json"),
}
CHANGED = {"valueset-example-expansion.xml": {"version": "20150622"}}
"""The cases were written for another version of the example."""


def _item(link: str, codes: int, *items: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"linkId": link, "type": "group", "code": [{"system": "http://x.example", "code": f"{link}-{index}"} for index in range(codes)]}
    if link == "1.1.1":
        made["enableWhen"] = [{"question": "1.1", "operator": "=", "answerCoding": {"system": "http://x.example", "code": "Y"}}]
    return {**made, "item": list(items)} if items else made


WRITTEN: dict[str, dict[str, Any]] = {
    "observation-example.xml": {
        "resourceType": "Observation",
        "status": "final",
        "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]},
        "extension": [
            {
                "url": "http://example.com/fhir/StructureDefinition/patient-age",
                "valueAge": {"value": 39, "system": "http://unitsofmeasure.org", "code": "a"},
            }
        ],
        "valueQuantity": {"value": 185, "unit": "lbs", "system": "http://unitsofmeasure.org", "code": "[lb_av]"},
    },
    "questionnaire-example.xml": {
        "resourceType": "Questionnaire",
        "url": "http://hl7.org/fhir/Questionnaire/3141",
        "status": "draft",
        "item": [
            _item("1", 1, _item("1.1", 1, _item("1.1.1", 1, _item("1.1.1.1", 1, _item("1.1.1.1.1", 2), _item("1.1.1.1.2", 1)), _item("1.1.1.2", 1)))),
            _item("2", 1, _item("2.1", 1, _item("2.1.2", 1))),
        ],
    },
    "parameters-example-types.xml": {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "string", "valueString": "string"},
            {"name": "integer", "valueInteger": 1},
            {"name": "uuid", "valueUuid": "urn:uuid:c757873d-ec9a-4326-a141-556f43239520"},
            {"name": "decimal", "valueDecimal": Decimal("1.2")},
        ],
    },
    "patient-example-period.xml": {"resourceType": "Patient", "identifier": [{"period": {"start": "2001-05-06", "end": "2001-05-06T10:10:10"}}]},
    "explanationofbenefit-example.json": {
        "resourceType": "ExplanationOfBenefit",
        "supportingInfo": [{"sequence": 1, "category": {"coding": [{"code": "additionalbodysite"}]}}, {"sequence": 2, "category": {"coding": [{"code": "info"}]}}],
        "item": [{"sequence": 1, "informationSequence": [1, 2]}],
    },
    "patient-container-example.json": {"resourceType": "Patient", "contained": [{"resourceType": "Patient", "id": "1"}]},
    "patient-name-extensions.json": {
        "resourceType": "Patient",
        "name": [{"given": [None, "Wolfgang"], "_given": [{"extension": [{"url": "http://x.example", "valueCode": "masked"}]}, None]}],
    },
}


@cache
def input_of(corpus: Path, name: str) -> dict[str, Any]:
    """One resource that cases ask."""
    if name in WRITTEN:
        return WRITTEN[name]
    archive, member = PUBLISHED[name]
    with tarfile.open(corpus / archive) as tar:
        found = next(each for each in tar if each.name.rpartition("/")[2] == member)
        stream = tar.extractfile(found)
        assert stream is not None
        resource: dict[str, Any] = json.loads(stream.read(), parse_float=Decimal)
        return {**resource, **CHANGED.get(name, {})}
