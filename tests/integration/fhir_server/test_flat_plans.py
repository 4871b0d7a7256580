"""Every plan that keeps a search flat finds what a look at the rows this reader may see finds: rows are hidden in every alias."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chartloop.kernel.access.engine import Access
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.audit.journal import Audit
from chartloop.kernel.broker_table import TableBus
from chartloop.kernel.db import create_tables, open_database
from chartloop.kernel.outbox import Outbox
from fhir_server.labels.service import LabelService
from fhir_server.opening import open_store
from fhir_server.repository import Repository
from tests.integration.fhir_server.conftest import BASE, SECRET, fill, scope
from tests.properties.fhir_server.limited import PLANS, plans_of

PSY = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PSY"}]}
Resource = dict[str, Any]
Holds = Callable[[list[Resource], Resource], bool]
"""Whether a resource matches among those that are visible."""


def _resources() -> Iterator[Resource]:
    """Twelve charts of a visit and three readings; a visit, a reading or a whole person is hidden here and there."""
    for n in range(12):
        subject = {"reference": f"Patient/p{n}"}
        yield {"resourceType": "Patient", "id": f"p{n}", **({"meta": PSY} if n % 5 == 4 else {}), "gender": ("male", "female")[n % 2],
               "birthDate": f"19{60 + n % 3}-0{1 + n % 9}-11", "name": [{"family": ("Abel", "Abbott", "Cole")[n % 3]}], "address": [{"city": ("Lynn", "Quincy")[n % 4 > 1]}]}  # fmt: skip
        long = n == 3
        yield {"resourceType": "Encounter", "id": f"e{n}", **({"meta": PSY} if n % 4 == 1 else {}), "status": "finished", "class": {"code": ("AMB", "IMP")[n % 2]},
               "subject": subject, "period": {"start": "2019-02-01" if long else f"2020-0{1 + n % 6}-10", **({} if long else {"end": f"2020-0{1 + n % 6}-12"})}}  # fmt: skip
        for m in range(3):
            yield {"resourceType": "Observation", "id": f"o{n}-{m}", **({"meta": PSY} if (n + m) % 4 == 2 else {}), "status": ("final", "amended")[m % 2],
                   "code": {"coding": [{"system": "urn:c", "code": "xyz"[(n + m) % 3]}, *([{"system": "urn:d", "code": "w"}] if m == 2 else [])]},
                   "subject": subject, "encounter": {"reference": f"Encounter/e{n}"}, "effectiveDateTime": f"2020-0{1 + (n + m) % 8}-1{m}T10:00:00Z"}  # fmt: skip


RESOURCES = list(_resources())


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql")])
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, access: Access) -> Iterator[Repository]:
    """One store with all of it, once for each kind of database; what is deleted leaves nothing behind."""
    home: Path = tmp_path_factory.mktemp("flat")
    url = f"sqlite:///{home / 'flat.sqlite3'}"
    if request.param == "postgresql":
        url = str(request.getfixturevalue("postgresql_server")) + "&options=-csearch_path%3Dflat_plans"
        _schema(request.getfixturevalue("postgresql_server"))
    database = open_database(url)
    create_tables(database)
    audit = Audit(home)
    repository = Repository(open_store(database, access, audit, Outbox(TableBus(database), SECRET), LabelService(), secret=SECRET, base=BASE))
    operator = scope("operator")
    fill(repository, operator, [*RESOURCES, {**RESOURCES[2], "id": "gone"}])
    repository.delete(operator, "Observation", "gone")
    yield repository
    audit.close()
    database.close()


def _schema(server: str) -> None:
    import psycopg

    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS flat_plans CASCADE")
        connection.execute("CREATE SCHEMA flat_plans")


def _codes(resource: Resource) -> set[str]:
    return {each["code"] for each in resource["code"]["coding"]}


def _at(element: str, visible: list[Resource], resource: Resource) -> Resource:
    """What a reference leads to, or nothing."""
    return next((each for each in visible if f"{each['resourceType']}/{each['id']}" == resource[element]["reference"]), {})


def _by(type_: str, visible: list[Resource], resource: Resource) -> list[Resource]:
    """What refers to a patient."""
    return [each for each in visible if each["resourceType"] == type_ and each["subject"]["reference"] == f"Patient/{resource['id']}"]


def _month(resource: Resource) -> str:
    return str(resource["effectiveDateTime"])[:7]


SEARCHES: list[tuple[str, Holds]] = [
    ("Patient?address-city=Lynn&gender=female", lambda _, r: r["address"][0]["city"] == "Lynn" and r["gender"] == "female"),
    ("Patient?family=Ab&birthdate=1961", lambda _, r: r["name"][0]["family"].startswith("Ab") and r["birthDate"][:4] == "1961"),
    ("Observation?code=x&date=2020-03", lambda _, r: "x" in _codes(r) and _month(r) == "2020-03"),
    ("Observation?date=ge2020-07&status=final", lambda _, r: _month(r) >= "2020-07" and r["status"] == "final"),
    ("Observation?date=sa2020-03&date=lt2020-06", lambda _, r: "2020-03" < _month(r) < "2020-06"),
    ("Observation?code=x,y,w&status=final", lambda _, r: bool(_codes(r) & set("xyw")) and r["status"] == "final"),
    ("Observation?code=urn:c|", lambda _, r: True),
    ("Observation?code=urn:d|,urn:c|x", lambda _, r: bool(_codes(r) & set("xw"))),
    ("Encounter?date=2020-03", lambda _, r: r["period"]["start"].startswith("2020-03")),
    ("Encounter?date=ge2020-05-11", lambda _, r: r["period"].get("end", "9") >= "2020-05-11"),
    ("Encounter?date=ap2020-04-10&class=AMB", lambda _, r: r["class"]["code"] == "AMB"),
    ("Patient?_id=p1,p2,p3&_has:Observation:patient:code=x", lambda v, r: r["id"] in ("p1", "p2", "p3") and any("x" in _codes(o) for o in _by("Observation", v, r))),
    ("Patient?gender=female&_has:Observation:patient:code=y", lambda v, r: r["gender"] == "female" and any("y" in _codes(o) for o in _by("Observation", v, r))),
    ("Patient?_id=p5,p6,p7&_has:Observation:patient:encounter.class=IMP",
     lambda v, r: r["id"] in ("p5", "p6", "p7") and any(_at("encounter", v, o).get("class", {}).get("code") == "IMP" for o in _by("Observation", v, r))),
    ("Observation?code=x&subject:Patient.gender=female", lambda v, r: "x" in _codes(r) and _at("subject", v, r).get("gender") == "female"),
    ("Observation?encounter.class=AMB&subject:Patient.family=Ab",
     lambda v, r: _at("encounter", v, r).get("class", {}).get("code") == "AMB" and _at("subject", v, r).get("name", [{"family": ""}])[0]["family"].startswith("Ab")),
    ("Encounter?subject:Patient._has:Observation:patient:status=amended&class=IMP",
     lambda v, r: r["class"]["code"] == "IMP" and bool(_at("subject", v, r)) and any(o["status"] == "amended" for o in _by("Observation", v, _at("subject", v, r)))),
]  # fmt: skip


def _reader(name: str) -> tuple[Scope, Callable[[Resource], bool]]:
    if name == "patient":
        mine = ("Patient/p3", "Patient/p3")
        who = scope("patient", user=mine[0], patient=mine[1])
        return who, lambda r: "meta" not in r and (r["id"] == "p3" if r["resourceType"] == "Patient" else r["subject"]["reference"] == "Patient/p3")
    hidden = name == "clinician"
    return scope(name), lambda r: not hidden or "meta" not in r


def _pages(repository: Repository, reader: Scope, type_: str, query: str) -> tuple[list[str], list[str]]:
    """Ids of all pages forwards, and backwards from the last."""
    page = repository.search(reader, type_, query)
    forwards = [each.id for each in page.entries]
    while page.next is not None:
        page = repository.search(reader, type_, page.next)
        forwards += [each.id for each in page.entries]
    backwards = [each.id for each in page.entries]
    while page.previous is not None:
        page = repository.search(reader, type_, page.previous)
        backwards = [each.id for each in page.entries] + backwards
    return forwards, backwards


@pytest.mark.conformance("FHIR R4: search", "the plans of large stores find what a look at every visible resource finds, forwards, backwards and in their totals")
@pytest.mark.conformance("Access", "what a reader may not see is hidden in every alias of every plan: the rows searched, the far end of a hop, what is counted")
@pytest.mark.parametrize("plans", sorted(PLANS))
@pytest.mark.parametrize("name", ["clinician", "psychiatric-clinician", "patient"])
def test_a_plan_finds_what_a_look_at_what_is_visible_finds(filled: Repository, plans: str, name: str) -> None:
    reader, sees = _reader(name)
    visible = [each for each in RESOURCES if sees(each)]
    with plans_of(plans):
        for asked, holds in SEARCHES:
            type_, _, query = asked.partition("?")
            expected = sorted(each["id"] for each in visible if each["resourceType"] == type_ and holds(visible, each))
            forwards, backwards = _pages(filled, reader, type_, f"{query}&_count=2")
            assert (sorted(forwards), backwards) == (expected, forwards), (asked, plans)
            assert filled.search(reader, type_, f"{query}&_total=accurate&_count=1").total == len(expected), asked
            if type_ == "Observation":
                newest = sorted((each["effectiveDateTime"] for each in visible if each["id"] in expected), reverse=True)
                when = {each["id"]: each["effectiveDateTime"] for each in visible if each["resourceType"] == type_}
                assert [when[id_] for id_ in forwards] == newest, asked
                assert [when[id_] for id_ in _pages(filled, reader, type_, f"{query}&_sort=date&_count=3")[0]] == newest[::-1], asked


@pytest.mark.conformance("FHIR R4: search", "_sort by a code works for any number of matches, several codes of a resource, and hidden rows")
@pytest.mark.parametrize("plans", ["usual", "nothing is selective"])
@pytest.mark.parametrize("name", ["clinician", "patient"])
def test_an_order_of_codes_is_that_of_the_codes(filled: Repository, plans: str, name: str) -> None:
    reader, sees = _reader(name)
    observations = [each for each in RESOURCES if sees(each) and each["resourceType"] == "Observation"]
    best = {each["id"]: _codes(each) for each in observations}
    with plans_of(plans):
        for sort, choose in (("code", min), ("-code", max)):
            forwards, backwards = _pages(filled, reader, "Observation", f"_sort={sort}&_count=4")
            assert (sorted(forwards), backwards) == (sorted(best), forwards)
            assert [choose(best[id_]) for id_ in forwards] == sorted((choose(codes) for codes in best.values()), reverse=sort[0] == "-")
