"""One word stands wherever R4 lets a psychiatric chart say anything; billing asks for everything, and hears it nowhere."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from werkzeug.test import TestResponse

from fhir_server.search.params import for_type
from fhir_server.spec.definitions import r4
from tests.conformance.opened import opened
from tests.integration.attacks.conftest import CHART, PSY, Door
from tests.integration.attacks.spoken import CANARY, places, spoken, wrong_in

CODED = b"aG9vcG9l"
"""The word in base64."""
UNLABELLED = ("DocumentReference", "Encounter", "Patient")
"""Of these billing sees a part alone, whether they are labelled or not."""
FEWEST = 110
"""Types of which a resource could be made; the others demand what cannot be made from the definitions alone."""
OF_BILLING = (
    "Account", "Appointment", "Binary", "ChargeItem", "Claim", "ClaimResponse", "Communication", "Composition", "Coverage", "DocumentReference", "Encounter", "EpisodeOfCare", "ExplanationOfBenefit",
    "Invoice", "Observation", "Organization", "Patient", "PaymentReconciliation", "Practitioner", "Provenance", "RelatedPerson", "Task",
)  # fmt: skip
"""What billing sees a part of, and what leads there; every other type is asked for in the long run."""


class Ward(NamedTuple):
    """A server, the types of which it holds such a resource, and where its audit journal is."""

    door: Door
    types: list[str]
    audit: Path


def _store(door: Door, type_: str) -> int:
    """Store a resource that says the word in as many places as its type takes, and one without a label that says it where billing never looks; return how many."""
    left_out: frozenset[str] = frozenset()
    for _ in range(25):
        resource = {**spoken(type_, left_out), "id": "w", "meta": PSY, **({"status": "inactive"} if type_ == "Consent" else {})}  # one that denies would close the chart
        answer = door("operator", "PUT", f"{type_}/w", resource)
        if answer.status_code == 201:
            if type_ in UNLABELLED:
                door.put({key: value for key, value in resource.items() if key != "meta"} | {"id": "v"})
            return len(list(places(resource)))
        if answer.status_code != 422:
            return 0
        left_out |= frozenset().union(*(wrong_in(type_, issue, left_out) for issue in json.loads(answer.data)["issue"]))
    return 0


@pytest.fixture(scope="module", params=[("sqlite", False), pytest.param(("sqlite", True), marks=pytest.mark.long), pytest.param(("postgresql", False), marks=pytest.mark.long)], ids=["sqlite", "sqlite, every type", "postgresql"])
def ward(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    """A store with one such resource of every type that can be made, and the types."""
    place = tmp_path_factory.mktemp("canary")
    dialect, every = request.param
    with opened(request, dialect, place) as store:
        door = Door(store)
        door.put(*CHART)
        told = {type_: _store(door, type_) for type_ in (r4().resource_types if every else OF_BILLING) if type_ not in ("AuditEvent", "SearchParameter")}
        types = sorted(type_ for type_, count in told.items() if count)
        assert len(types) >= (FEWEST if every else len(OF_BILLING) - 2), sorted(type_ for type_, count in told.items() if not count)
        assert sum(told.values()) > 10 * len(types), "a word in many places of each"
        yield Ward(door, types, place / "data")


def _asked(types: list[str]) -> Iterator[tuple[str, str, object, dict[str, str]]]:
    """Yield everything that billing may think of: method, path, body and headers."""
    for type_ in types:
        for path in ("w", "w/_history/1", "w/_history", "_history", "w/$meta", "$meta", "w?_summary=text", "w?_summary=data", "w?_elements=text,note,description,contained,extension", "w?_format=xml", "w/$validate", "w/$why"):
            yield "GET", f"{type_}/{path}", None, {}
        for query in ("", "_id=w", "_total=accurate&_summary=count", "_include=*&_revinclude=*", "_include:iterate=*", "_elements=text", "_summary=text", "_format=xml", "_count=1", "_security=PSY", f"_text={CANARY[:4]}"):
            yield "GET", f"{type_}?{query}", None, {}
        for code in for_type(type_):
            yield "GET", f"{type_}?{code}:missing=false&_total=accurate", None, {}
            yield "GET", f"{type_}?_sort={code}", None, {}
        for path in ("v", "v/_history/1", "v?_summary=text", "v?_format=xml", "?_id=v", "?_id=v&_include=*&_revinclude=*") if type_ in UNLABELLED else ():
            yield "GET", f"{type_}/{path}".replace("/?", "?"), None, {}
        yield "PUT", f"{type_}/w", {"resourceType": type_, "id": "w"}, {}
        yield "PATCH", f"{type_}/w", [{"op": "test", "path": "/text/div", "value": "x"}], {"Content_Type": "application/json-patch+json"}
        yield "DELETE", f"{type_}/w", None, {"If_Match": 'W/"1"'}
        yield "GET", f"Patient/p1/{type_}", None, {}
        yield "GET", f"Patient?_has:{type_}:patient:_id=w&_revinclude=*", None, {}
    for path in ("", "?_id=w", "?_summary=text&_count=1000", "_history?_count=1000", "Patient/p1/$everything?_count=1000", "Patient/p1/*", "Encounter/e1/$everything", "Encounter/w/$everything", "Encounter/w/*", "Practitioner/kim/*", "metadata", "$meta"):
        yield "GET", path, None, {}
    for kind in ("batch", "transaction"):
        for type_ in types:
            yield "POST", "", {"resourceType": "Bundle", "type": kind, "entry": [{"request": {"method": "GET", "url": f"{type_}/w"}}, {"request": {"method": "GET", "url": f"{type_}?_include=*"}}]}, {}


def _heard(answer: TestResponse) -> bool:
    everything = answer.data + "\n".join(f"{name}: {value}" for name, value in answer.headers.items()).encode()
    return CANARY.encode() in everything.lower() or CODED in everything


@pytest.mark.conformance("Attacks", "28: billing never hears the word")
@pytest.mark.conformance("Attacks", "27: billing never hears the word")
@pytest.mark.conformance("Attacks", "25: billing never hears the word")
@pytest.mark.conformance("Attacks", "24: the billing administrator hears no word of a psychiatric chart, in no element, by no request, in no header and no log")
@pytest.mark.conformance("Attacks", "26: no word comes through contained resources, Bundles, Parameters, Provenance, Tasks, Communications or extensions")
@pytest.mark.conformance("The loop", "6 Access: the billing administrator hears no word of a psychiatric chart by any request")
def test_billing_never_hears_the_word(ward: Ward, caplog: pytest.LogCaptureFixture) -> None:
    door = ward.door
    caplog.set_level(logging.DEBUG)
    statuses: dict[int, int] = {}
    for method, path, body, headers in _asked(ward.types):
        answer = door("biller", method, path, body, **headers)
        statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
        assert not _heard(answer), (method, path)
        assert answer.status_code < 500, (method, path)
    assert statuses[200] > 200, "billing does see a good deal"
    assert CANARY not in caplog.text


@pytest.mark.conformance("Attacks", "24: what is labelled keeps its codes for billing, and who treats hears every word: it is there")
def test_who_treats_hears_the_word_everywhere(ward: Ward) -> None:
    door = ward.door
    for type_ in ("Claim", "Encounter", "DocumentReference", "Observation", "Composition", "Communication", "QuestionnaireResponse"):
        answer = door("psychiatrist", "GET", f"{type_}/w")
        assert answer.status_code == 404 or _heard(answer), type_
    assert _heard(door("psychiatrist", "GET", "Observation/w"))
    claim = json.loads(door("biller", "GET", "Claim/w").data)
    assert claim["meta"]["tag"][0]["code"] == "SUBSETTED"
    assert claim["item"][0]["sequence"] == 1


@pytest.mark.conformance("Attacks", "26: no audit record and no event holds the word")
@pytest.mark.conformance("Attacks", "90: no audit record and no event holds a word of what was stored or read")
def test_no_audit_record_and_no_event_holds_the_word(ward: Ward) -> None:
    door = ward.door
    assert _heard(door("psychiatrist", "GET", "Observation/w"))
    assert not _heard(door("biller", "GET", "Claim/w"))
    files = [path for path in ward.audit.rglob("*") if path.is_file()]
    assert files
    assert [path for path in files if CANARY.encode() in path.read_bytes()] == []
    with door.store.db.read() as session:
        told = [session.all(f"SELECT * FROM {table}") for table in ("event", "delivery")]
    assert told[0]
    assert CANARY not in repr(told)
