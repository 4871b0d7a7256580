"""Histories by time: _since, _at in every precision, totals, on both databases."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chartloop.kernel.clock import FakeClock
from fhir_server.store import Store
from tests.integration.fhir_server.test_http import Api

PSY = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PSY"}


def _patient(id_: str, family: str, **more: object) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": id_, "name": [{"family": family}], **more}


@pytest.fixture
def api(store: Store, fake_clock: FakeClock) -> Api:
    """A store whose clock begins on 2026-11-22 at 08:00 UTC."""
    api = Api(store)
    for family in ("one", "two", "three"):
        api("PUT", "/fhir/Patient/p", _patient("p", family))
        fake_clock.advance(86_400)
    api("DELETE", "/fhir/Patient/p")  # the 25th
    fake_clock.advance(86_400)
    api("PUT", "/fhir/Patient/p", _patient("p", "five"))
    api("PUT", "/fhir/Patient/q", _patient("q", "other"))
    return api


def _versions(api: Api, path: str, **said: str) -> list[str]:
    answer = api("GET", f"/fhir/{path}", **said)
    assert answer.status_code == 200, answer.data
    return [entry["response"]["etag"][3:-1] for entry in json.loads(answer.data).get("entry", ())]


@pytest.mark.conformance("FHIR R4: interactions", "history with _at: the versions that were current at some point of a year, month, day, minute, second or instant")
@pytest.mark.parametrize(
    ("at", "versions"),
    [
        ("2026", "54321"), ("2026-11", "54321"), ("2026-11-22", "1"), ("2026-11-23", "21"), ("2026-11-24", "32"), ("2026-11-25", "43"), ("2026-11-21", ""),
        ("2026-11-24T07:59Z", "2"), ("2026-11-24T08:00Z", "3"), ("2026-11-24T08:00:00Z", "3"), ("2026-11-24T08:00:01Z", "3"),
        ("2026-11-24T08:00:00.000Z", "3"), ("2026-11-24T09:00:00.001%2B01:00", "3"), ("2026-11-25T12:00:00Z", "4"), ("2027", "5"), ("2025", ""),
    ],
)  # fmt: skip
def test_a_history_at_a_time_lists_what_was_current_then(api: Api, at: str, versions: str) -> None:
    assert _versions(api, f"Patient/p/_history?_at={at}") == list(versions)


@pytest.mark.conformance("FHIR R4: interactions", "history with _since and _at together, of type and system too; deletions are listed; self link and total say what was asked")
def test_since_and_at_hold_together(api: Api) -> None:
    assert _versions(api, "Patient/p/_history?_since=2026-11-24T08:00:00Z") == ["5", "4", "3"]
    assert _versions(api, "Patient/p/_history?_since=2026-11-24T08:00:00Z&_at=2026-11-24") == ["3"]
    for path in ("_history", "Patient/_history"):
        assert sorted(_versions(api, f"{path}?_at=2026-11-26")) == ["1", "4", "5"]
        assert "total" not in json.loads(api("GET", f"/fhir/{path}").data)
    said = json.loads(api("GET", "/fhir/Patient/p/_history?_count=2&_at=2026").data)
    assert (said["total"], len(said["entry"]), said["link"][0]["url"].partition("?")[2]) == (5, 2, "_count=2&_at=2026")
    gone = json.loads(api("GET", "/fhir/Patient/p/_history?_at=2026-11-25T12:00:00Z").data)["entry"][0]
    assert (gone["request"], gone["response"]["status"], "resource" in gone) == ({"method": "DELETE", "url": "Patient/p"}, "204", False)
    following = next(link["url"] for link in said["link"] if link["relation"] == "next").removeprefix("http://127.0.0.1:8080")
    later = json.loads(api("GET", following).data)
    assert (later["total"], [entry["response"]["etag"] for entry in later["entry"]]) == (5, ['W/"3"', 'W/"2"'])


@pytest.mark.parametrize("query", ["_at=soon", "_at=2026-13", "_at=gt2026", "_at=", "_sort=-_lastUpdated", "_count=-1", "_since=x", "_at=2026&_at=2025", "color=red"])
def test_what_a_history_cannot_read_is_refused_by_name(api: Api, query: str) -> None:
    answer = api("GET", f"/fhir/Patient/p/_history?{query}")
    assert (answer.status_code, json.loads(answer.data)["issue"][0]["expression"]) == (400, [f"http.{query.partition('=')[0]}"])


@pytest.mark.conformance("Attacks", "37: a history counts nothing that is hidden")
@pytest.mark.conformance("FHIR R4: interactions", "histories count and show at no time what is hidden now")
def test_a_history_counts_nothing_that_is_hidden(api: Api) -> None:
    note = {"resourceType": "Observation", "id": "b", "status": "final", "code": {"text": "x"}}
    api("PUT", "/fhir/Observation/b", note)
    assert json.loads(api("GET", "/fhir/Observation/b/_history", role="clinician").data)["total"] == 1
    api("PUT", "/fhir/Observation/b", {**note, "meta": {"security": [PSY]}})
    for path in ("Observation/b/_history", "Observation/c/_history"):
        assert api("GET", f"/fhir/{path}", role="clinician").status_code == 404
        asked = api("GET", f"/fhir/{path}?_at=2026", role="clinician")
        assert (asked.status_code, json.loads(asked.data)["total"], "entry" in json.loads(asked.data)) == (200, 0, False)
    assert _versions(api, "Observation/_history?_at=2026", Authorization="Bearer clinician") == []
    assert len(_versions(api, "Observation/_history?_at=2026", Authorization="Bearer psychiatric-clinician")) == 2
