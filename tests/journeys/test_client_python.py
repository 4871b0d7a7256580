"""PyPI `fhirclient` 4.4 and `fhirpy` 2.3, unmodified, against a real server: the programs of docs/howto/use-client-libraries.md."""

import asyncio
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from fhirclient.client import FHIRClient
from fhirclient.models.observation import Observation
from fhirclient.server import FHIRNotFoundException, FHIRPermissionDeniedException, FHIRUnauthorizedException
from fhirpy import AsyncFHIRClient, SyncFHIRClient
from fhirpy.base.exceptions import MultipleResourcesFound, OperationOutcome, ResourceNotFound

from tests.journeys.client_world import ClientWorld
from tests.journeys.http_person import HttpPerson
from tests.journeys.snippets import printed

pytestmark = pytest.mark.long
APPS = ("growth-chart", "desk-tool", "feed")
PYTHON = "PyPI fhirclient 4.4"


@pytest.fixture
def anna(served: ClientWorld) -> Iterator[HttpPerson]:
    """A patient with a browser."""
    person = HttpPerson(served, "anna")
    yield person
    person.close()


@pytest.fixture
def ada(served: ClientWorld) -> Iterator[HttpPerson]:
    """A clinician with a browser."""
    person = HttpPerson(served, "ada")
    yield person
    person.close()


def run(world: ClientWorld, name: str, **given: Any) -> dict[str, Any]:
    """Run a printed program; gives its names."""
    names: dict[str, Any] = dict(given)
    exec(compile(printed(name, **world.addresses), name, "exec"), names)
    return names


@pytest.mark.conformance("Real clients", f"{PYTHON}: standalone launch, Patient, Observation.where over pages; PKCE S256 is its own")
def test_python_fhirclient_launches_standalone_and_reads(served: ClientWorld, anna: HttpPerson) -> None:
    opened: list[str] = []

    def browser(address: str) -> str:
        opened.append(address)
        return anna.sent_back(address)

    names = run(served, "standalone.py", secret=served.secrets["desk-tool"], where_the_browser_came_back=browser)
    assert (names["family"], names["values"]) == ("Nowak", [95, 94, 93, 92, 91])
    asked = parse_qs(urlsplit(opened[0]).query)
    assert (asked["code_challenge_method"], asked["aud"]) == (["S256"], [f"{served.root}/fhir"])
    assert asked["scope"][0].startswith("launch/patient ")
    smart = names["smart"]
    with pytest.raises(FHIRNotFoundException):
        smart.server.request_json("Patient/berta")
    with pytest.raises(FHIRPermissionDeniedException):
        smart.server.request_json("Condition?patient=anna")
    with pytest.raises(requests.HTTPError) as old:  # the notation of 2014
        list(Observation.where({"patient": "anna", "date": {"$gt": "2026-01-01"}}).perform_resources_iter(smart.server))
    assert (old.value.response.status_code, old.value.response.json()["resourceType"]) == (400, "OperationOutcome")
    later = Observation.where({"patient": "anna", "date": "gt2026-11-03"})
    assert {each.id for each in later.perform_resources_iter(smart.server)} == {"anna-4", "anna-5"}
    smart.server.session.close()


@pytest.mark.conformance("Real clients", f"{PYTHON}: EHR launch over two requests of a web app, refresh with rotation")
def test_python_fhirclient_is_launched_from_the_ehr_and_refreshes(served: ClientWorld, ada: HttpPerson) -> None:
    iss, launch = ada.launched("desk-tool", "anna")
    given = {"secret": served.secrets["desk-tool"], "iss": iss, "launch": launch, "where_the_browser_came_back": ada.sent_back}
    names = run(served, "ehr_launch.py", **given)
    smart: FHIRClient = names["smart"]
    assert (names["context"]["patient"], names["context"]["need_patient_banner"]) == ("anna", True)
    assert smart.patient.name[0].family == "Nowak"
    held = smart.server.auth.refresh_token
    assert smart.reauthorize()
    assert smart.server.auth.refresh_token != held
    assert smart.launch_context["patient"] == "anna"
    smart.server.auth.refresh_token = held
    with pytest.raises(requests.HTTPError) as reused:
        smart.reauthorize()
    assert reused.value.response.json()["error"] == "invalid_grant"
    with pytest.raises(FHIRUnauthorizedException):
        smart.server.request_json("Patient/anna")
    smart.server.session.close()


@pytest.mark.conformance("Real clients", f"{PYTHON}: public client, scopes of version 1; without its PKCE challenge it is refused")
def test_python_fhirclient_is_refused_without_its_challenge(served: ClientWorld, anna: HttpPerson) -> None:
    settings = {"app_id": "growth-chart", "api_base": f"{served.root}/fhir", "redirect_uri": f"{served.app.origin}/index.html", "scope": "patient/Patient.read patient/Observation.read"}
    smart = FHIRClient(settings=settings)
    address = smart.authorize_url
    with pytest.raises(Exception, match="PKCE with code_challenge_method S256 is required of every client"):
        smart.handle_callback(anna.sent_back(re.sub(r"&code_challenge(_method)?=[^&]*", "", address)))
    smart.handle_callback(anna.sent_back(address))
    assert smart.patient.name[0].family == "Nowak"
    assert smart.launch_context["scope"].split() == ["launch/patient", "patient/Patient.read", "patient/Observation.read"]
    smart.server.session.close()


@pytest.fixture(scope="module")
def token(served: ClientWorld) -> str:
    """The token of a backend service, as the documentation fetches it."""
    return str(run(served, "backend_token.py", key=served.keys["ES384"])["token"])


@pytest.mark.conformance("Real clients", "fhirpy 2.3 with the token of a backend service: get_or_create, transaction, paging, If-Match conflict")
def test_fhirpy_creates_searches_and_updates(served: ClientWorld, token: str) -> None:
    names = run(served, "feed.py", token=token)
    assert names["created"] is True
    assert (len(names["found"]), names["conflict"]) == (5, True)
    again = run(served, "feed.py", token=token)
    assert (again["created"], again["patient"].id, len(again["found"])) == (False, names["patient"].id, 10)
    patient, client = names["patient"], names["client"]
    assert patient.refresh().name[0].family == "Nowak"
    assert client.resources("Patient").search(identifier=names["mrn"]).get().id == patient.id
    assert names["wanted"].is_valid()
    with pytest.raises(ResourceNotFound):
        client.reference("Patient", "nobody").to_resource()


@pytest.mark.conformance("Real clients", "fhirpy 2.3: conditional update, JSON Patch; what FHIR does not have is refused with an OperationOutcome")
def test_fhirpy_conditions_counts_and_patches(served: ClientWorld, token: str) -> None:
    client = SyncFHIRClient(f"{served.root}/fhir", authorization=f"Bearer {token}")
    mrn = {"system": "https://hospital.example/mrn", "value": "4712"}
    wanted = client.resource("Patient", identifier=[mrn], active=True)
    of_mrn = client.resources("Patient").search(identifier="https://hospital.example/mrn|4712")
    made, created = of_mrn.update(wanted)
    assert created
    same, created = of_mrn.update(client.resource("Patient", identifier=[mrn], active=False))
    assert (created, same.id, same.active) == (False, made.id, False)
    with pytest.raises(OperationOutcome, match="_totalMethod"):
        client.resources("Patient").count()
    lenient = SyncFHIRClient(client.url, authorization=client.authorization, extra_headers={"Prefer": "handling=lenient"})
    assert lenient.resources("Patient").search(identifier="https://hospital.example/mrn|4712").count() == 1
    assert of_mrn.search(_summary="count").fetch_raw().total == 1
    with pytest.raises(OperationOutcome, match="json-patch"):
        same.patch(active=True)
    patching = SyncFHIRClient(client.url, authorization=client.authorization, extra_headers={"Content-Type": "application/json-patch+json"})
    patched = patching.execute(f"Patient/{made.id}", "patch", data=[{"op": "replace", "path": "/active", "value": True}])
    assert patched.active is True
    second = client.resource("Patient", identifier=[mrn])
    second.save()
    with pytest.raises(MultipleResourcesFound):
        of_mrn.update(wanted)


@pytest.mark.conformance("Real clients", "fhirpy 2.3, asynchronous: create, read, search over pages, conditional create")
def test_fhirpy_asynchronous(served: ClientWorld, token: str) -> None:
    async def journey() -> list[Any]:
        client = AsyncFHIRClient(f"{served.root}/fhir", authorization=f"Bearer {token}")
        patient = client.resource("Patient", identifier=[{"system": "https://hospital.example/mrn", "value": "4713"}], name=[{"family": "Lind"}])
        await patient.create(identifier="https://hospital.example/mrn|4713")
        twin = client.resource("Patient", identifier=[{"system": "https://hospital.example/mrn", "value": "4713"}])
        await twin.create(identifier="https://hospital.example/mrn|4713")
        values = [client.resource("Observation", status="final", code={"text": f"v{number}"}, subject=patient.to_reference()) for number in range(5)]
        await asyncio.gather(*(value.save() for value in values))
        found = [each.code.text async for each in client.resources("Observation").search(patient=patient.id).sort("_id").limit(2)]
        read = await client.reference("Patient", patient.id).to_resource()
        return [twin.id == patient.id, sorted(found), read.name[0].family]

    with ThreadPoolExecutor(1) as own:  # the browser of other tests keeps a loop in this thread
        found = own.submit(lambda: asyncio.run(journey())).result()
    assert found == [True, ["v0", "v1", "v2", "v3", "v4"], "Lind"]
