"""What the tables of modifiers and prefixes are asked of: a few resources with every kind of search parameter."""

from __future__ import annotations

from typing import Any, Final

LOINC: Final = "http://loinc.org"
UCUM: Final = "http://unitsofmeasure.org"
_V2: Final = "http://terminology.hl7.org/CodeSystem/v2-0203"


def _risk(id_: str, **prediction: Any) -> dict[str, Any]:
    subject = {"reference": "Patient/p-smith"}
    return {"resourceType": "RiskAssessment", "id": id_, "status": "final", "subject": subject, **({"prediction": [prediction]} if prediction else {})}


def _percent(value: int) -> dict[str, Any]:
    return {"value": value, "system": UCUM, "code": "%"}


def _value_set(id_: str, url: str = "", **more: Any) -> dict[str, Any]:
    return {"resourceType": "ValueSet", "id": id_, "status": "active", **({"url": url} if url else {}), **more}


def _answers(id_: str, version: str) -> dict[str, Any]:
    return {"resourceType": "QuestionnaireResponse", "id": id_, "status": "completed", "questionnaire": f"http://a.example/q|{version}"}


RESOURCES: Final[list[dict[str, Any]]] = [
    {
        "resourceType": "Patient", "id": "p-smith", "name": [{"family": "Smith", "given": ["Anna"]}],
        "identifier": [{"system": "urn:mrn", "value": "1", "type": {"coding": [{"system": _V2, "code": "MR"}]}}],
        "meta": {
            "profile": ["http://a.example/profile/one"], "source": "http://a.example/feed/1", "tag": [{"system": "urn:tags", "code": "t1"}],
            "security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}],
        },
    },
    {"resourceType": "Patient", "id": "p-goldsmith", "name": [{"family": "goldsmith"}]},
    {"resourceType": "Patient", "id": "p-none", "gender": "other"},
    {
        "resourceType": "Observation", "id": "o-height", "status": "final", "effectiveDateTime": "2024-02-29", "subject": {"reference": "Patient/p-smith"},
        "code": {"coding": [{"system": LOINC, "code": "8302-2", "display": "Body height"}]},
        "valueQuantity": {"value": 180, "unit": "cm", "system": UCUM, "code": "cm"},
    },
    {
        "resourceType": "Observation", "id": "o-weight", "status": "corrected", "effectiveDateTime": "2025-01-01T08:00:00Z",
        "subject": {"identifier": {"system": "urn:mrn", "value": "2"}},
        "code": {"coding": [{"system": LOINC, "code": "29463-7"}]}, "valueQuantity": {"value": 72.5, "unit": "kg", "system": UCUM, "code": "kg"},
    },
    {"resourceType": "Observation", "id": "o-text", "status": "final", "code": {"text": "body heat"}},
    _risk("r-half", probabilityDecimal=50), _risk("r-most", probabilityDecimal=80), _risk("r-none"),
    _risk("r-range", probabilityRange={"low": _percent(20), "high": _percent(60)}),
    _value_set("v-heights", "http://a.example/heights", compose={"include": [{"system": LOINC, "concept": [{"code": "8302-2"}]}]}),
    _value_set("v-tall", "http://a.example/heights/tall"), _value_set("v-none"),
    _answers("q-one", "1.2"), _answers("q-ten", "10"),
    {"resourceType": "Organization", "id": "g-top", "name": "Top"},
    {"resourceType": "Organization", "id": "g-part", "name": "Part", "partOf": {"reference": "Organization/g-top"}},
    {"resourceType": "Location", "id": "l-boston", "status": "active", "position": {"latitude": 42.3601, "longitude": -71.0589}},
    {"resourceType": "Location", "id": "l-nowhere", "status": "active"},
]  # fmt: skip
