"""`near` of Location, and the first resource of a Bundle, on both databases."""

from __future__ import annotations

from typing import Any

import pytest

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.errors import Invalid
from fhir_server.repository import Repository

PLACES = {
    "boston": (42.3601, -71.0589), "cambridge": (42.3736, -71.1097), "worcester": (42.2626, -71.8023), "new-york": (40.7128, -74.0060),
    "fiji-west": (-17.0, 179.99), "fiji-east": (-17.0, -179.99), "pole": (90.0, 0.0), "near-pole": (89.99, 135.0), "sydney": (-33.8688, 151.2093),
}  # fmt: skip


@pytest.fixture
def filled(repository: Repository, operator: Scope) -> Repository:
    """Places on both sides of the date line, at the pole and nowhere."""
    for id_, (latitude, longitude) in PLACES.items():
        position = {"latitude": latitude, "longitude": longitude}
        repository.update(operator, "Location", id_, {"resourceType": "Location", "id": id_, "status": "active", "position": position})
    repository.update(operator, "Location", "nowhere", {"resourceType": "Location", "id": "nowhere", "status": "active"})
    return repository


@pytest.mark.conformance("FHIR R4: search", "near: latitude, longitude, distance and unit on the sphere; km where no unit, 10 km where no distance is given; across the date line and the pole")
@pytest.mark.parametrize(
    ("near", "ids"),
    [
        ("42.36|-71.06", "boston cambridge"),
        ("42.36|-71.06|1", "boston"),
        ("42.36|-71.06|1|km", "boston"),
        ("42.36|-71.06|3|[mi_us]", "boston cambridge"),
        ("42.36|-71.06|2.6|[mi_us]", "boston"),
        ("42.36|-71.06|4300|m", "boston"),
        ("42.36|-71.06|4500|m", "boston cambridge"),
        ("42.36|-71.06|65", "boston cambridge worcester"),
        ("42.36|-71.06|60", "boston cambridge"),
        ("42.3601|-71.0589|306", "boston cambridge worcester"),
        ("42.3601|-71.0589|307", "boston cambridge new-york worcester"),
        ("-17|180|2", "fiji-east fiji-west"),
        ("-17|-179.99|3", "fiji-east fiji-west"),
        ("-17|-179.99|1", "fiji-east"),
        ("89.995|0|2", "near-pole pole"),
        ("42.36|-71.06|0", ""),
        ("42.3601|-71.0589|0.001", "boston"),
        ("0|0|20100", "boston cambridge fiji-east fiji-west near-pole new-york pole sydney worcester"),
        ("42.36|-71.06|1,-33.87|151.2|5", "boston sydney"),
        ("42.36|-71.06|1&status=active", "boston"),
        ("42.36|-71.06|65&near=42.26|-71.8|65", "boston cambridge worcester"),
    ],
)
def test_a_place_is_near(filled: Repository, operator: Scope, near: str, ids: str) -> None:
    page = filled.search(operator, "Location", f"near={near}&_total=accurate")
    assert (sorted(entry.id for entry in page.entries), page.total) == (ids.split(), len(ids.split()))


@pytest.mark.conformance("FHIR R4: search", "near: what is no place on Earth, no distance or no unit of length answers 400; :missing")
@pytest.mark.parametrize("near", ["42.36", "91|0", "0|181", "0|0|-1", "0|0|1|kg", "0|0|1|miles", "a|b", "NaN|0", "0|0|inf", "0|0|1|km|x", "1_0|0", ""])
def test_what_is_no_place_is_refused(filled: Repository, operator: Scope, near: str) -> None:
    with pytest.raises(Invalid):
        filled.search(operator, "Location", f"near={near}")
    assert [entry.id for entry in filled.search(operator, "Location", "near:missing=true").entries] == ["nowhere"]


def _bundle(id_: str, type_: str, first: dict[str, Any], url: str) -> dict[str, Any]:
    entry = {"fullUrl": url, "resource": first}
    stamp = {"identifier": {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{id_}"}, "timestamp": "2026-01-01T00:00:00Z"}
    return {"resourceType": "Bundle", "id": id_, "type": type_, **(stamp if type_ != "collection" else {}), "entry": [entry]}


COMPOSITION = {"resourceType": "Composition", "id": "c", "status": "final", "type": {"text": "x"}, "date": "2026-01-01", "title": "x",
               "author": [{"reference": "Practitioner/1"}]}  # fmt: skip
HEADER = {"resourceType": "MessageHeader", "id": "h", "eventCoding": {"system": "urn:e", "code": "x"}, "source": {"endpoint": "http://a"}}


@pytest.mark.conformance("FHIR R4: search", "composition and message of a Bundle: its first resource by id or by full URL; following it answers 400")
@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("composition=Composition/c", "document linked"), ("composition=c", "document linked"), ("composition=urn:uuid:3b1d0f3e-0000-4000-8000-000000000001", "document"),
        ("composition=http://there.example/fhir/Composition/c", "linked"), ("composition=d", ""), ("message=MessageHeader/h", "message"), ("message=c", ""),
        ("composition:missing=false", "document linked"), ("message:missing=false", "message"), ("type=collection", "collection"),
    ],
)  # fmt: skip
def test_a_bundle_is_found_by_its_first_resource(repository: Repository, operator: Scope, query: str, ids: str) -> None:
    uuid = "urn:uuid:3b1d0f3e-0000-4000-8000-000000000001"
    for bundle in (
        _bundle("document", "document", COMPOSITION, uuid), _bundle("linked", "document", COMPOSITION, "http://there.example/fhir/Composition/c"),
        _bundle("message", "message", HEADER, uuid), _bundle("collection", "collection", COMPOSITION, uuid),
    ):  # fmt: skip
        repository.update(operator, "Bundle", bundle["id"], bundle)
    assert sorted(entry.id for entry in repository.search(operator, "Bundle", query).entries) == ids.split()
    with pytest.raises(Invalid):
        repository.search(operator, "Bundle", "composition.title=x")
