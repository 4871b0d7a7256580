"""Scopes with search parameters, on every path to a row: read, search, count, history, include, chain, everything, batch."""

import json
from typing import Any

import pytest

from tests.integration.smart_apps.oauth_world import OWN, ROOT, World, world

__all__ = ["world"]

SMART = "SMART 2.2.0"
LAB = "patient/Observation.rs?category=laboratory"
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"


def token(world: World, scope: str) -> str:
    """Get a token on Anna's record."""
    found = world.granted(OWN, scope=f"launch {scope}")
    assert found["scope"] == f"launch {scope}"
    return str(found["access_token"])


def found(world: World, path: str, bearer: str) -> Any:
    """Search; returns ids, or the status."""
    answer = world.fhir(path, bearer)
    if answer.status_code != 200:
        return answer.status_code
    body = answer.get_json()
    return sorted(each["resource"]["id"] for each in body.get("entry", ())), body.get("total")


@pytest.mark.conformance(SMART, "370: granular scopes of version 2 are enforced")
@pytest.mark.conformance(SMART, "95: the scope of the token must cover the resource")
@pytest.mark.parametrize("scope", [LAB, f"patient/Observation.rs?category={CATEGORY}|laboratory", "patient/Observation.rs?code=http://loinc.org|2339-0", "patient/Observation.rs?category=laboratory&status=final", "patient/Observation.rs?code=0-0,2339-0"])
def test_a_granular_scope_shows_its_rows_and_no_others_on_any_path(world: World, scope: str) -> None:
    bearer = token(world, scope)
    assert world.fhir("Observation/lab-anna", bearer).status_code == 200
    for hidden in ("vital-anna", "lab-berta", "vital-berta"):
        assert world.fhir(f"Observation/{hidden}", bearer).status_code == 404
        assert world.fhir(f"Observation/{hidden}/_history", bearer).status_code == 404
        assert world.fhir(f"Observation/{hidden}/_history/1", bearer).status_code == 404
    assert found(world, "Observation?_total=accurate", bearer) == (["lab-anna"], 1)
    assert found(world, "Observation?_summary=count", bearer) == ([], 1)
    assert found(world, "Observation?category=vital-signs&_total=accurate", bearer) == ([], 0)
    assert found(world, "Observation?code:not=2339-0", bearer)[0] == []
    assert found(world, "Observation?_sort=-date&_count=1", bearer)[0] == ["lab-anna"]
    assert found(world, "Observation/_history", bearer)[0] == ["lab-anna"]
    assert world.fhir("Patient/anna", bearer).status_code == 403


def test_a_granular_scope_beside_a_plain_one_of_another_type_opens_no_chain_and_no_include(world: World) -> None:
    bearer = token(world, f"{LAB} patient/Patient.rs")
    assert found(world, "Patient?_has:Observation:patient:category=vital-signs", bearer)[0] == []
    assert found(world, "Patient?_has:Observation:patient:category=laboratory", bearer)[0] == ["anna"]
    assert found(world, "Patient?_id=anna&_revinclude=Observation:patient", bearer)[0] == ["anna", "lab-anna"]
    assert "vital-anna" not in world.fhir("Patient/anna/$everything", bearer).get_data(as_text=True)


def test_a_plain_scope_beside_a_granular_one_gives_everything_of_the_type(world: World) -> None:
    bearer = token(world, f"{LAB} patient/Observation.rs")
    assert found(world, "Observation", bearer)[0] == ["lab-anna", "vital-anna"]


def test_two_granular_scopes_give_the_rows_of_either(world: World) -> None:
    bearer = token(world, f"{LAB} patient/Observation.rs?category=vital-signs")
    assert found(world, "Observation", bearer)[0] == ["lab-anna", "vital-anna"]


@pytest.mark.conformance(SMART, "130: the entries of a batch are decided one by one")
def test_a_batch_sees_what_single_requests_see(world: World) -> None:
    bearer = token(world, f"{LAB} user/*.rs").replace("\n", "")
    narrow = token(world, LAB)
    entries = [{"request": {"method": "GET", "url": url}} for url in ("Observation/lab-anna", "Observation/vital-anna", "Patient/anna")]
    body = json.dumps({"resourceType": "Bundle", "type": "batch", "entry": entries})

    def statuses(given: str) -> list[str]:
        headers = {"Authorization": f"Bearer {given}", "Content-Type": "application/fhir+json"}
        answer = world.browser.post("/fhir/", data=body, headers=headers, base_url=ROOT)
        return [each["response"]["status"][:3] for each in answer.get_json()["entry"]]

    assert statuses(bearer) == ["200", "200", "200"]
    assert statuses(narrow) == ["200", "404", "403"]


def test_an_old_version_is_not_shown_under_a_granular_scope_and_a_granular_scope_does_not_write(world: World) -> None:
    bearer = token(world, LAB)
    assert world.fhir("Observation/lab-anna/_history/1", bearer).status_code == 200
    everything = token(world, "patient/*.cruds")
    changed = world.fhir("Observation/lab-anna", everything).get_json()
    headers = {"Authorization": f"Bearer {everything}", "Content-Type": "application/fhir+json"}
    assert world.browser.put("/fhir/Observation/lab-anna", data=json.dumps({**changed, "status": "amended"}), headers=headers, base_url=ROOT).status_code == 200
    assert world.fhir("Observation/lab-anna/_history/1", bearer).status_code == 404
    assert world.fhir("Observation/lab-anna/_history/2", bearer).status_code == 200
    refused = world.browser.put("/fhir/Observation/lab-anna", data=json.dumps(changed), headers={**headers, "Authorization": f"Bearer {bearer}"}, base_url=ROOT)
    assert refused.status_code == 403
    back_again = {**changed, "category": [{"coding": [{"system": CATEGORY, "code": "social-history"}]}]}
    assert world.browser.put("/fhir/Observation/lab-anna", data=json.dumps(back_again), headers=headers, base_url=ROOT).status_code == 200
    assert world.fhir("Observation/lab-anna", bearer).status_code == 404
    world.browser.put("/fhir/Observation/lab-anna", data=json.dumps(changed), headers=headers, base_url=ROOT)


UNENFORCEABLE = [
    *["patient/Observation.rs?date=gt2020", "patient/Observation.rs?value-quantity=5", "patient/Observation.rs?subject=Patient/anna", "patient/Observation.rs?identifier=1"],
    *["patient/Observation.rs?category:not=laboratory", "patient/Observation.rs?nonsense=1", "patient/Observation.rs?category=", "patient/Observation.rs?category", "patient/Observation.rs?category=a,"],
    *["patient/Observation.cruds?category=laboratory", "patient/*.rs?category=laboratory", "patient/Nonsense.rs?code=1", "patient/Observation.rs?category=laboratory&date=1", "patient/Observation.rs?category=http://x|"],
]


@pytest.mark.parametrize("scope", UNENFORCEABLE)
def test_what_cannot_be_enforced_exactly_is_not_granted(world: World, scope: str) -> None:
    assert world.granted(OWN, scope=f"launch patient/Patient.rs {scope}")["scope"] == "launch patient/Patient.rs"
