"""The Inferno US Core 6.1.0 plan over the US Core examples and R4's own, over HTTP, on both databases.

For every combination of parameters that the plan names: each example that has a value for all of them is found by them, and
what is found has the values; then comparators, lists of values, POST, includes, and references.
"""

from __future__ import annotations

import json
from collections import defaultdict
from itertools import islice, pairwise, product
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from werkzeug.test import Client

from chartloop.kernel.audit.journal import Audit
from chartloop.kernel.broker_table import TableBus
from chartloop.kernel.config import corpus_directory
from chartloop.kernel.db import create_tables, open_database
from chartloop.kernel.outbox import Outbox
from fhir_server.http.calls import Gate, Limits
from fhir_server.labels.service import LabelService
from fhir_server.opening import open_store
from fhir_server.reindexing.worker import Reindexing
from fhir_server.repository import Repository
from fhir_server.wsgi import fhir_wsgi
from tests.integration.fhir_server.conftest import BASE, SECRET, scope
from tests.integration.fhir_server.conftest import access as access  # noqa: PLC0414  (a fixture)
from tests.integration.fhir_spec.inferno_plan import Plan, Search, examples, values_at

pytestmark = [pytest.mark.corpus, pytest.mark.long]
CORPUS = corpus_directory() or Path(__file__).resolve().parents[4] / "shared" / "data"
PLAN = Plan(CORPUS) if CORPUS.is_dir() else None
ALL = PLAN.searches() if PLAN else []
OWN = (
    {"resourceType": "CarePlan", "id": "own", "status": "active", "intent": "plan", "subject": {"reference": "Patient/example"},
     "category": [{"coding": [{"system": "http://hl7.org/fhir/us/core/CodeSystem/careplan-category", "code": "assess-plan"}]}],
     "period": {"start": "2026-01-02", "end": "2026-03"}},
    {"resourceType": "Encounter", "id": "own", "status": "finished", "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
     "subject": {"reference": "Patient/example"}, "location": [{"location": {"reference": "Location/1"}}]},
    {"resourceType": "Goal", "id": "own", "lifecycleStatus": "active", "subject": {"reference": "Patient/example"},
     "description": {"coding": [{"system": "http://snomed.info/sct", "code": "281665006"}], "text": "Walks a mile"},
     "target": [{"dueDate": "2026-05-01"}]},
)  # fmt: skip
"""What the plan searches for and no example of the corpus has."""



def pytest_generate_tests(metafunc):
    """One test for each combination of the plan."""
    if "search" in metafunc.fixturenames:
        metafunc.parametrize("search", ALL, ids=lambda search: f"{search.group}-{'+'.join(search.names)}")


class World:
    """A store with the examples in it."""

    def __init__(self, client, resources: dict[str, list[dict[str, Any]]]) -> None:
        """Take the way in and what is stored."""
        self._client = client
        self.resources = resources

    def call(self, method: str, path: str, **said: Any) -> Any:
        """Send a request as the operator."""
        headers = {"Authorization": "Bearer operator", **said.pop("headers", {})}
        answer = self._client.open(f"/fhir{path}", method=method, headers=headers, **said)
        assert answer.status_code in (200, 201), (method, path, answer.data[:500])
        return json.loads(answer.data) if answer.data else {}

    def found(self, type_: str, query: str) -> list[dict[str, Any]]:
        """All matches of a search."""
        return [entry["resource"] for entry in self.call("GET", f"/{type_}?{query}&_count=1000").get("entry", ())]


def _schema(server: str) -> str:
    """URL of a schema of its own; it goes with the server."""
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA inferno")
    return f"{server}&options=-csearch_path%3Dinferno"


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def world(request, access, tmp_path_factory):
    """Load R4's examples and then those of US Core, once for each database."""
    corpus = request.getfixturevalue("corpus")
    directory = tmp_path_factory.mktemp("inferno")
    url = f"sqlite:///{directory / 'store.sqlite3'}" if request.param == "sqlite" else _schema(request.getfixturevalue("postgresql_server"))
    database = open_database(url)
    create_tables(database)
    audit = Audit(directory / "data")
    store = open_store(database, access, audit, Outbox(TableBus(database), SECRET), LabelService(), secret=SECRET, base=BASE)
    client = Client(fhir_wsgi(Gate(Repository(store), lambda token: scope(token).subject, BASE, Limits())))
    stored: dict[str, dict[str, Any]] = {}
    headers = {"Authorization": "Bearer operator", "Content-Type": "application/fhir+json"}
    for parameter in examples(corpus, "us-core-610.tar.xz"):
        if parameter["resourceType"] == "SearchParameter":  # US Core's own: role, asserted-date, discharge-disposition, description
            said = client.put(f"/fhir/SearchParameter/{parameter['id']}", data=json.dumps(parameter), headers=headers)
            assert said.status_code == 201, said.data
    Reindexing(store).finish()
    for resource in (*examples(corpus, "r4-examples-4.0.1.tar.xz"), *examples(corpus, "us-core-610-examples.tar.xz"), *OWN):
        address = f"{resource['resourceType']}/{resource['id']}"
        if client.put(f"/fhir/{address}", data=json.dumps(resource), headers=headers).status_code in (200, 201):
            stored[address] = resource
    # One example is a Consent that forbids everything: without what follows from it, its patient's chart stays open to the operator.
    database.write(lambda tx: tx.run("DELETE FROM access_grant"))
    resources = defaultdict(list)
    for resource in stored.values():
        resources[resource["resourceType"]].append(resource)
    yield World(client, resources)
    audit.close()
    database.close()


Part = tuple[str, str, str]
"""Parameter, modifier and value."""


def asked_together(search: Search, resource: dict[str, Any], most: int) -> list[tuple[Part, ...]]:
    """Combinations of values that must find a resource; none if it has no value for one of the parameters."""
    each = [[(name, *pair) for pair in PLAN.asked(search, name, resource)] for name in search.names]
    return list(islice(product(*each), most))


def written(parts: tuple[Part, ...]) -> str:
    """The query of a combination."""
    return "&".join(f"{name}{modifier}={quote(text, safe='')}" for name, modifier, text in parts)


@pytest.mark.conformance("FHIR R4: US Core search", "every search of the Inferno 6.1.0 plan finds the examples that have the values, and no others")
def test_every_search_of_the_plan_finds_what_has_the_values_and_nothing_else(world, search):
    combinations = {parts: None for resource in world.resources[search.type] for parts in asked_together(search, resource, 6)}
    for parts in islice(combinations, 150):
        wanted = {
            each["id"] for each in world.resources[search.type] if all(PLAN.matches(search, *part, each) for part in parts)
        }
        found = {each["id"] for each in world.found(search.type, written(parts))}
        assert found == wanted != set(), parts
    assert combinations, "no example has all of the values"


@pytest.mark.conformance("FHIR R4: US Core search", "dates compare by every prefix that the Inferno 6.1.0 plan names")
def test_dates_compare_by_every_prefix(world, search):
    dates = [name for name in search.names if PLAN.definition(search, name)[":comparators"]]
    for name in dates:
        prefixes = [prefix.removeprefix(":") for prefix in PLAN.definition(search, name)[":comparators"]]
        for resource in islice((each for each in world.resources[search.type] if asked_together(search, each, 1)), 3):
            others = tuple(part for part in asked_together(search, resource, 1)[0] if part[0] != name)
            moment = next(text for _, text in PLAN.asked(search, name, resource)).removeprefix("ge").removeprefix("le")
            for prefix in sorted({*prefixes} - {"ap"}):
                parts = (*others, (name, "", f"{prefix}{moment}"))
                wanted = {each["id"] for each in world.resources[search.type] if all(PLAN.matches(search, *part, each) for part in parts)}
                assert {each["id"] for each in world.found(search.type, written(parts))} == wanted, parts


@pytest.mark.conformance("FHIR R4: US Core search", "lists of values, and the same search by POST, find what the values find one by one")
def test_lists_of_values_and_post_find_the_same(world, search):
    name = search.names[-1]
    having = [each for each in world.resources[search.type] if asked_together(search, each, 1)]
    for first, second in islice(pairwise(having), 5):
        texts = [asked_together(search, each, 1)[0][-1] for each in (first, second)]
        if texts[0][1] == texts[1][1]:
            one_by_one = {each["id"] for _, modifier, text in texts for each in world.found(search.type, f"{name}{modifier}={quote(text, safe='')}")}
            both = f"{name}{texts[0][1]}={','.join(quote(text, safe='') for _, _, text in texts)}"
            assert {each["id"] for each in world.found(search.type, both)} == one_by_one
            form = world.call("POST", f"/{search.type}/_search", data=f"{both}&_count=1000", headers={"Content-Type": "application/x-www-form-urlencoded"})
            assert {entry["resource"]["id"] for entry in form["entry"]} == one_by_one


@pytest.mark.conformance("FHIR R4: US Core search", "the includes of the Inferno 6.1.0 plan bring what the examples refer to, once")
def test_includes_bring_what_is_referred_to(world):
    brought = 0
    stored = {f"{each['resourceType']}/{each['id']}" for found in world.resources.values() for each in found}
    for group in PLAN.groups.values():
        for include in group[":include_params"]:
            source, name, *target = include.split(":")
            bundle = world.call("GET", f"/{source}?_include={include}&_count=1000")
            included = [f"{entry['resource']['resourceType']}/{entry['resource']['id']}" for entry in bundle["entry"] if entry["search"]["mode"] == "include"]
            paths = {"participant": "participant.member", "medication": "medicationReference"}.get(name, name)
            referred = {each.get("reference", "") for resource in world.resources[source] for each in values_at(resource, [paths])}
            wanted = {each for each in referred & stored if not target or each.startswith(f"{target[0]}/")}
            assert sorted(included) == sorted(wanted)
            brought += len(included)
    assert brought >= 2


@pytest.mark.conformance("FHIR R4: US Core search", "the reverse includes of the Inferno 6.1.0 plan bring the Provenance of what is found")
def test_reverse_includes_bring_the_provenance(world):
    brought = set()
    for type_ in {group[":resource"] for group in PLAN.groups.values() if "Provenance:target" in group[":revincludes"]}:
        bundle = world.call("GET", f"/{type_}?_revinclude=Provenance:target&_count=1000")
        included = {entry["resource"]["id"] for entry in bundle.get("entry", ()) if entry["search"]["mode"] == "include"}
        own = {f"{type_}/{each['id']}" for each in world.resources[type_]}
        assert included == {
            each["id"] for each in world.resources["Provenance"] if own & {target.get("reference", "").partition("/_history")[0] for target in each["target"]}
        }
        brought |= included
    assert brought


@pytest.mark.conformance("FHIR R4: US Core search", "what the plan's profiles hold can be read, read by version, and followed by its references")
def test_examples_are_read_and_their_references_are_followed(world):
    stored = {f"{each['resourceType']}/{each['id']}" for found in world.resources.values() for each in found}
    followed = set()
    for group in PLAN.groups.values():
        for resource in world.resources[group[":resource"]]:
            address = f"/{resource['resourceType']}/{resource['id']}"
            version = world.call("GET", address)["meta"]["versionId"]
            assert world.call("GET", f"{address}/_history/{version}")["id"] == resource["id"]
            for reference in group[":references"]:
                for value in values_at(resource, [reference[":path"].partition(".")[2]]):
                    if isinstance(value, dict) and value.get("reference") in stored - followed:
                        world.call("GET", f"/{value['reference']}")
                        followed.add(value["reference"])
    assert len(followed) > 20
