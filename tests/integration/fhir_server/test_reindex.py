"""$reindex: what is damaged is made anew while others write, whatever is killed; nobody writes past a parameter that became active."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.db import Database, Tx, open_database
from fhir_server.indexing.rows import INDEX_TABLES, INHERITS
from fhir_server.preparing import stored_rows
from fhir_server.reindexing import steps
from fhir_server.reindexing.jobs import following
from fhir_server.reindexing.worker import Reindexing
from fhir_server.repository import Repository
from fhir_server.rows import by_rids
from fhir_server.store import Store
from tests.integration.fhir_server.conftest import scope
from tests.integration.fhir_server.test_http import Api
from tests.integration.fhir_server.test_search_parameters import RACE_PARAMETER, found, issue, of_race
from tests.integration.fhir_server.writing_process import open_door

ROOT = Path(__file__).resolve().parents[3]
AREA = "$reindex"


@pytest.fixture
def api(store: Store) -> Api:
    return Api(store)


@pytest.fixture
def second(database_url: str, make_store: Callable[[Database], Store], database: Database) -> Iterator[Store]:
    """The same store in what could be another process: a database connection and a registry of its own."""
    other = open_database(database_url)
    yield make_store(other)
    other.close()


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step is about a few resources, so that jobs have many."""
    monkeypatch.setattr(steps, "RESOURCES", 7)
    monkeypatch.setattr(steps, "ROWS", 20)


def index_of(store: Store) -> dict[str, set[tuple[Any, ...]]]:
    """Every index row there is."""
    with store.db.read() as session:
        tables = {name: {*session.all(f"SELECT {', '.join(columns)}, rid FROM {table}")} for name, (table, columns) in INDEX_TABLES.items()}
        units = {*session.all("SELECT dimension, unit, code FROM known_unit")}
        return {**tables, "rank": {*session.all("SELECT rid, rank FROM resource")}, "units": units}


def rebuilt(store: Store) -> dict[str, set[tuple[Any, ...]]]:
    """Every index row that the stored bodies say there should be."""
    store.parameters.refresh(store.db)
    made: dict[str, set[tuple[Any, ...]]] = {name: set() for name in [*INDEX_TABLES, "rank", "units"]}
    with store.db.read() as session:
        for rid, row in by_rids(session, [row[0] for row in session.all("SELECT rid FROM resource")]).items():
            rows = stored_rows(store, row)[1]
            for name in INDEX_TABLES:
                made[name] |= {(*each, rid) for each in getattr(rows, name)}
            made["rank"].add((rid, rows.rank))
            made["units"] |= rows.units
    return made


def fill(api: Api) -> None:
    """Store a little of much, with versions and deletions."""
    for number in range(30):
        api("PUT", f"/fhir/Patient/p{number}", {**of_race(f"p{number}", "2106-3"), "name": [{"family": f"F{number}"}], "birthDate": f"19{number + 50}-01-02"})
        body = {"resourceType": "Observation", "id": f"o{number}", "status": "final", "code": {"coding": [{"system": "urn:c", "code": f"c{number % 3}"}]},
                "subject": {"reference": f"Patient/p{number % 5}"}, "effectiveDateTime": f"2026-01-{number % 28 + 1:02}", "valueQuantity": {"value": number, "system": "http://unitsofmeasure.org", "code": "kg", "comparator": "<"}}  # fmt: skip
        api("PUT", f"/fhir/Location/l{number}", {"resourceType": "Location", "id": f"l{number}", "position": {"latitude": number, "longitude": -number}})
        api("PUT", f"/fhir/Observation/o{number}", body)
        if number % 4 == 0:
            api("PUT", f"/fhir/Observation/o{number}", {**body, "status": "amended"})
        if number % 7 == 0:
            api("DELETE", f"/fhir/Observation/o{number}")


def damage(store: Store) -> None:
    """Take rows away, add rows that nothing says, move ranks."""

    def work(tx: Tx) -> None:
        for name, (table, columns) in INDEX_TABLES.items():
            rows = tx.all(f"SELECT {', '.join(columns)}, rid FROM {table} ORDER BY {', '.join(columns)}, rid")
            for row in rows[::3]:
                tx.run(f"DELETE FROM {table} WHERE {' AND '.join(f'{column} = ?' for column in (*columns, 'rid'))}", row)
            for row in rows[1::3]:
                other = (row[0] + 1, *row[1:]) if name != "string" else (row[0], row[1] + "x", *row[2:])
                tx.run(f"INSERT INTO {table} ({', '.join(columns)}, rid) VALUES ({', '.join('?' * len(row))}) ON CONFLICT DO NOTHING", other)
            tx.run(f"INSERT INTO {table} ({', '.join(columns)}, rid) VALUES ({', '.join('?' * len(rows[0]))})", (*rows[0][:-1], 999_999))
        tx.run("UPDATE resource SET rank = rank + 1 WHERE rid % 3 = 0")
        tx.run("DELETE FROM known_unit")

    store.db.write(work)


@pytest.mark.conformance(AREA, "of everything: damaged, missing and foreign index rows are as a rebuild from nothing makes them")
def test_what_is_damaged_is_made_anew(api: Api, store: Store, small_steps: None) -> None:
    fill(api)
    api("PUT", "/fhir/SearchParameter/race", RACE_PARAMETER)
    Reindexing(store).finish()
    before = index_of(store)
    assert before == rebuilt(store)
    damage(store)
    assert index_of(store) != before
    answer = api("POST", "/fhir/$reindex")
    assert (answer.status_code, answer.headers["Content-Location"]) == (202, "http://127.0.0.1:8080/fhir/$reindex")
    Reindexing(store).finish()
    assert index_of(store) == before
    [job, *_] = json.loads(api("GET", "/fhir/$reindex").data)["parameter"]
    said = {part["name"]: next(value for name, value in part.items() if name != "name") for part in job["part"]}
    assert (said["kind"], said["state"], said["remaining"]) == ("rebuild", "done", 0)
    assert said["corrected"] > 100
    assert {"requested", "started", "finished"} <= set(said)
    Reindexing(store).finish()
    api("POST", "/fhir/$reindex", b"")
    Reindexing(store).finish()
    [job, *_] = json.loads(api("GET", "/fhir/$reindex").data)["parameter"]
    assert {"name": "corrected", "valueDecimal": 0} in job["part"]


@pytest.mark.conformance(AREA, "of one type: its index rows are made anew, those of other types are left alone")
def test_one_type_is_made_anew(api: Api, store: Store, small_steps: None) -> None:
    fill(api)
    before = index_of(store)
    store.db.write(lambda tx: [tx.run("DELETE FROM idx_token"), tx.run("DELETE FROM idx_date")])
    assert api("POST", "/fhir/Observation/$reindex").status_code == 202
    Reindexing(store).finish()
    assert len(found(api, "Observation?code=urn:c|c1")) == 8
    assert found(api, "Patient?birthdate=1950-01-02") == []
    api("POST", "/fhir/$reindex")
    assert following(store.db) is not None
    assert api("POST", "/fhir/$reindex").status_code == 202
    Reindexing(store).finish()
    assert index_of(store) == before
    jobs = json.loads(api("GET", "/fhir/Observation/$reindex").data)["parameter"]
    assert [[part.get("valueCode") for part in job["part"] if part["name"] in ("kind", "type")] for job in jobs] == [["rebuild"], ["rebuild", "Observation"]]


@pytest.mark.conformance(AREA, "operators alone may: others get 403, for starting and for looking")
@pytest.mark.parametrize("role", ["clinician", "billing-administrator", "integration-engine", "auditor"])
def test_others_get_403(api: Api, store: Store, role: str) -> None:
    for method, path in (("POST", "$reindex"), ("GET", "$reindex"), ("POST", "Patient/$reindex"), ("GET", "Patient/$reindex")):
        assert issue(api(method, f"/fhir/{path}", role=role))[:2] == (403, "forbidden"), path
    assert following(store.db) is None
    assert issue(api("POST", "/fhir/$reindex?type=Patient"))[:2] == (400, "not-supported")
    assert api("POST", "/fhir/Nothing/$reindex").status_code == 404


@pytest.mark.conformance(AREA, "writes between two steps stay right: updates, deletions and new resources")
def test_writes_between_the_steps_stay_right(api: Api, store: Store, small_steps: None) -> None:
    fill(api)
    api("PUT", "/fhir/SearchParameter/race", RACE_PARAMETER)
    api("POST", "/fhir/$reindex")
    worker = Reindexing(store)
    for number in range(400):
        if not worker.step():
            break
        id_ = f"p{number * 11 % 40}"
        if number % 5 == 4:
            api("DELETE", f"/fhir/Patient/{id_}")
        else:
            api("PUT", f"/fhir/Patient/{id_}", of_race(id_, ("2106-3", "2054-5")[number % 2]))
    assert following(store.db) is None
    assert index_of(store) == rebuilt(store)


@pytest.mark.conformance(AREA, "a parameter that goes while it is being indexed leaves nothing behind")
def test_a_parameter_that_goes_while_it_is_indexed_leaves_nothing(api: Api, store: Store, second: Store, small_steps: None) -> None:
    fill(api)
    api("PUT", "/fhir/SearchParameter/race", RACE_PARAMETER)
    worker = Reindexing(second)
    for _ in range(3):
        worker.step()
    api("DELETE", "/fhir/SearchParameter/race")
    worker.finish()
    assert store.db.one("SELECT count(*) FROM idx_token WHERE param > 10000") == (0,)
    assert index_of(store) == rebuilt(store)


class Paused:
    """A database whose next write waits until something else is done: what lies between preparing and storing."""

    def __init__(self, database: Database, between: Callable[[], object]) -> None:
        self._database, self._between = database, [between]

    def __getattr__(self, name: str) -> Any:
        if name == "write" and self._between:
            self._between.pop()()
        return getattr(self._database, name)


def _paused(store: Store, between: Callable[[], object]) -> Repository:
    return Repository(Store(**{**{name: getattr(store, name) for name in Store.__dataclass_fields__}, "db": Paused(store.db, between)}))  # type: ignore[arg-type]


@pytest.mark.conformance(AREA, "a write that another process prepared before a parameter became active, and stores after, is indexed under it")
def test_a_write_prepared_before_an_activation_is_indexed_under_it(api: Api, store: Store, second: Store, operator: Scope) -> None:
    slow = _paused(second, lambda: api("PUT", "/fhir/SearchParameter/race", RACE_PARAMETER))
    slow.update(operator, "Patient", "p1", of_race("p1", "2106-3"))
    assert store.db.one("SELECT count(*) FROM idx_token WHERE param = 10001") == (3,)
    gone = _paused(second, lambda: api("DELETE", "/fhir/SearchParameter/race"))
    gone.update(operator, "Patient", "p2", of_race("p2", "2106-3"))
    assert store.db.one("SELECT count(*) FROM idx_token WHERE param = 10001") == (3,)
    Reindexing(second).finish()
    assert store.db.one("SELECT count(*) FROM idx_token WHERE param = 10001") == (0,)


@pytest.mark.conformance(AREA, "an activation waits for the writes under way in other processes, so that its job finds what they store")
def test_an_activation_waits_for_the_writes_under_way(api: Api, store: Store, second: Store, operator: Scope) -> None:
    inside, go, active = threading.Event(), threading.Event(), threading.Event()

    def stay(_: Tx) -> None:
        inside.set()
        go.wait(30)

    def activate() -> None:
        api("PUT", "/fhir/SearchParameter/race", RACE_PARAMETER)
        active.set()

    writing = threading.Thread(target=lambda: Repository(second).update(operator, "Patient", "p1", of_race("p1", "2106-3"), also=stay))
    writing.start()
    assert inside.wait(30)
    activating = threading.Thread(target=activate)
    activating.start()
    if store.db.dialect == "postgresql":  # the activation is seen to wait; on SQLite the write holds the whole database
        waiting = "SELECT 1 FROM pg_locks WHERE relation = 'search_fence'::regclass AND NOT granted"
        while store.db.one(waiting) is None:
            time.sleep(0.01)
    assert not active.is_set()
    go.set()
    writing.join(30)
    activating.join(30)
    assert active.is_set()
    Reindexing(store).finish()
    assert found(api, "Patient?race=2106-3") == ["p1"]


@pytest.mark.conformance(AREA, "other processes search a parameter, and refuse it, as soon as it is so")
def test_other_processes_notice_at_once(api: Api, store: Store, second: Store) -> None:
    there = Api(second)
    api("PUT", "/fhir/Patient/p1", of_race("p1", "2106-3"))
    for _ in range(2):
        assert there("GET", "/fhir/Patient?race=2106-3").status_code == 400
        api("PUT", "/fhir/SearchParameter/race", RACE_PARAMETER)
        assert issue(there("GET", "/fhir/Patient?race=2106-3"))[3].endswith("is being indexed; try again later.")
        Reindexing(store).finish()
        assert found(there, "Patient?race=2106-3") == ["p1"]
        made = there("POST", "/fhir/Patient", {"resourceType": "Patient"}, If_None_Exist="race=2106-3")
        assert made.status_code == 200
        api("DELETE", "/fhir/SearchParameter/race")
        assert there("POST", "/fhir/Patient", {"resourceType": "Patient"}, If_None_Exist="race=2106-3").status_code == 400
        assert there("GET", "/fhir/Patient?race=2106-3").status_code == 400
        assert there("GET", "/fhir/Patient?race=2106-3", Prefer="handling=lenient").status_code == 200


@pytest.mark.conformance(AREA, "a condition on a parameter that goes before the write is stored is refused")
def test_a_condition_on_a_parameter_that_goes_is_refused(api: Api, store: Store, second: Store, operator: Scope) -> None:
    api("PUT", "/fhir/Patient/p1", of_race("p1", "2106-3"))
    api("PUT", "/fhir/SearchParameter/race", RACE_PARAMETER)
    Reindexing(store).finish()

    def go() -> None:
        api("DELETE", "/fhir/SearchParameter/race")
        Reindexing(store).finish()

    slow = _paused(second, go)
    second.parameters.refresh(second.db)
    with pytest.raises(Exception, match="'race' is not supported"):
        slow.create(operator, {"resourceType": "Patient"}, if_none_exist="race=2054-5")
    assert found(api, "Patient") == ["p1"]


@pytest.mark.long
@pytest.mark.conformance(AREA, "processes that write while a parameter becomes active: every resource is found by it, and the index is as a rebuild makes it")
@pytest.mark.conformance("Faults", "kill -9 of a reindexing process: the job goes on from where it stood, beside writers, and every resource is found")
def test_writers_and_a_killed_reindexer_leave_a_right_index(database_url: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.integration.fhir_server.reindexing_process", database_url]

    def start(name: str) -> subprocess.Popen[str]:
        return subprocess.Popen([*command, str(tmp_path / name), name], stdout=subprocess.PIPE, text=True, cwd=ROOT)

    operator = scope("operator")
    with open_door(database_url, tmp_path / "data") as door, ExitStack() as stack:
        people = [of_race(f"p{number}", "2106-3") for number in range(1200)]
        entries = [{"resource": each, "request": {"method": "PUT", "url": f"Patient/{each['id']}"}} for each in people]
        door.transaction(operator, {"resourceType": "Bundle", "type": "transaction", "entry": entries})
        writers = [stack.enter_context(start(name)) for name in ("a", "b")]
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline()
        door.update(operator, "SearchParameter", "race", RACE_PARAMETER)
        for _ in range(2):
            with start("reindex") as process:
                assert process.stdout is not None
                assert process.stdout.readline()
                process.kill()
        job = following(door._store.db)
        assert job is None or job.done > 0
        for writer in writers:
            writer.kill()
        acknowledged = {line.strip() for writer in writers if writer.stdout for line in writer.stdout.read().splitlines(keepends=True) if line.endswith("\n")}
        Reindexing(door._store).finish()
        ids = {stored.id for stored in door.all(operator, "Patient", "race=2106-3&_count=1000")}
        assert acknowledged | {f"p{number}" for number in range(1200)} <= ids
        assert index_of(door._store) == rebuilt(door._store)


@pytest.mark.conformance(AREA, "labels that earlier versions inherited are found again")
def test_what_was_inherited_once_stays(api: Api, store: Store) -> None:
    made = {"resourceType": "RiskAssessment", "id": "r1", "status": "final", "subject": {"reference": "Patient/p1"}, "basis": [{"reference": "Observation/w1"}]}
    api("PUT", "/fhir/RiskAssessment/r1", made)
    api("PUT", "/fhir/RiskAssessment/r1", {**made, "basis": [{"reference": "Observation/w2"}]})
    rows = f"SELECT count(*) FROM idx_reference WHERE param = {INHERITS}"
    before = store.db.one(rows)
    assert before != (0,)
    store.db.write(lambda tx: tx.run("DELETE FROM idx_reference"))
    api("POST", "/fhir/$reindex")
    Reindexing(store).finish()
    assert store.db.one(rows) == before


@pytest.mark.conformance(AREA, "a job that fails says so without its text, and another $reindex begins it anew")
def test_a_failed_job_says_so_and_is_tried_again(api: Api, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    api("PUT", "/fhir/Patient/p1", of_race("p1", "2106-3"))
    api("PUT", "/fhir/SearchParameter/race", RACE_PARAMETER)

    def fail(*_: object) -> None:
        raise ValueError("Mr Smith")

    with monkeypatch.context() as patched:
        patched.setitem(steps._STEPS, "fill", fail)
        Reindexing(store).finish()
    answer = api("GET", "/fhir/$reindex")
    assert b"ValueError" in answer.data
    assert b"Smith" not in answer.data
    assert api("GET", "/fhir/Patient?race=2106-3").status_code == 400
    api("POST", "/fhir/$reindex")
    Reindexing(store).finish()
    assert found(api, "Patient?race=2106-3") == ["p1"]
