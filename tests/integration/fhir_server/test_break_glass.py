"""Breaking the glass over HTTP: a reason, one patient, one session of one client, minutes; and a record before anything opens."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from chartloop.kernel import auth, auth_tables  # noqa: F401  (declares its table)
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.clock import FakeClock
from chartloop.kernel.db import Database
from chartloop.kernel.errors import Unavailable
from fhir_server.background.jobs import READ, AsyncJobs, Request
from fhir_server.http.calls import Gate, Limits
from fhir_server.repository import Repository
from fhir_server.store import Store
from fhir_server.wsgi import fhir_wsgi
from tests.integration.audited import recorded_changes
from tests.integration.fhir_server.conftest import BASE, fill, scope
from tests.integration.fhir_server.test_care import note, person, pulse

PSY = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PSY"}]}
THERAPY = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PSYTHPN"}]}
MINUTE = 60.0


class Ward:
    """A server with two charts, and tokens of sessions."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.database = store.db
        self._client = Client(fhir_wsgi(Gate(Repository(store), lambda token: auth.authenticate(store.db, token), BASE, Limits())))
        labelled = {**note(1), "id": "psy", "meta": PSY}, {**note(1), "id": "therapy", "meta": THERAPY}
        fill(Repository(store), scope("operator"), [person(1), person(2), *map(pulse, (1, 2)), note(1), *labelled])

    def token(self, role: str = "clinician", session: str = "s1", client: str = "", user: str = "Practitioner/ada") -> str:
        subject = Subject(f"user:{user}", role, user, scopes=("user/*.cruds",), session=session, client=client)
        return self.database.write(lambda tx: auth.issue(tx, subject, 86_400))

    def ask(self, method: str, path: str, token: str, body: object = None) -> TestResponse:
        said = {"Authorization": f"Bearer {token}", **({"Content-Type": "application/fhir+json"} if body is not None else {})}
        return self._client.open(f"/fhir/{path}", method=method, data=json.dumps(body) if body is not None else None, headers=said)

    def smash(self, token: str, patient: str = "p1", code: str | None = "ETREAT", reason: str | None = "Unconscious in the ED.") -> TestResponse:
        values = {"code": ("valueCode", code), "reason": ("valueString", reason)}
        parameters = [{"name": name, key: value} for name, (key, value) in values.items() if value is not None]
        return self.ask("POST", f"Patient/{patient}/$break-glass", token, {"resourceType": "Parameters", "parameter": parameters})

    def sees(self, token: str, path: str) -> bool:
        return self.ask("GET", path, token).status_code == 200

    def grants(self) -> int:
        with self.database.read() as session:
            return int(session.all("SELECT count(*) FROM access_grant WHERE kind = 2")[0][0])

    def records(self) -> list[dict[str, Any]]:
        return recorded_changes(self.database)


@pytest.fixture
def ward(store: Store) -> Ward:
    return Ward(store)


@pytest.mark.conformance("Access", "breaking the glass opens one chart to one session of one client, with its labelled notes, and never a psychotherapy note")
@pytest.mark.conformance("Attacks", "63: broken glass helps no other patient, session or client")
def test_broken_glass_opens_one_chart_to_one_session(ward: Ward) -> None:
    token = ward.token()
    assert not ward.sees(token, "Observation/o1")
    answer = ward.smash(token)
    assert answer.status_code == 200, answer.data
    assert json.loads(answer.data)["parameter"][0]["name"] == "expires"
    assert ward.sees(token, "Observation/o1")
    assert ward.sees(token, "DocumentReference/psy")
    assert not ward.sees(token, "DocumentReference/therapy")
    assert not ward.sees(token, "Observation/o2")
    assert b"secret" in ward.ask("GET", "Patient/p1", token).data
    refreshed = ward.token()
    assert ward.sees(refreshed, "Observation/o1")  # the same session, the same client: a refreshed token
    for other in (ward.token(session="s2"), ward.token(client="app"), ward.token(user="Practitioner/jon"), ward.token(session="")):
        assert not ward.sees(other, "Observation/o1")
        assert not json.loads(ward.ask("GET", "Observation?_total=accurate", other).data)["total"]


@pytest.mark.conformance("Attacks", "61: no reason, a blank reason, an unlisted code: 400")
@pytest.mark.parametrize(("code", "reason"), [(None, "x"), ("", "x"), ("FUN", "x"), ("etreat", "x"), ("ETREAT", None), ("ETREAT", " \t"), ("ETREAT", "x" * 501)])
def test_without_a_reason_nothing_opens(ward: Ward, code: str | None, reason: str | None) -> None:
    token = ward.token()
    assert ward.smash(token, code=code, reason=reason).status_code in (400, 422)
    assert not ward.sees(token, "Observation/o1")
    assert ward.grants() == 0


@pytest.mark.conformance("Attacks", "64: billing, research and everybody who does not treat: 403")
@pytest.mark.parametrize("role", ["billing-administrator", "researcher", "coder", "patient", "payer", "privacy-officer", "auditor", "integration-engine", "operator"])
def test_who_does_not_treat_breaks_nothing(ward: Ward, role: str) -> None:
    assert ward.smash(ward.token(role)).status_code == 403
    assert ward.grants() == 0


def test_a_token_without_a_person_or_a_session_breaks_nothing(ward: Ward) -> None:
    assert ward.smash(ward.token(session="")).status_code == 403
    assert ward.smash(ward.token(user="")).status_code == 403
    assert ward.smash(ward.token(), patient="nobody").status_code == 404
    assert ward.grants() == 0


@pytest.mark.conformance("Attacks", "08: after its minutes the chart is closed also in the middle of paging")
@pytest.mark.conformance("Attacks", "62: a second after its end the chart is closed, also to the next page of a search")
def test_after_its_minutes_the_chart_is_closed_also_in_the_middle_of_paging(ward: Ward, fake_clock: FakeClock) -> None:
    token = ward.token()
    ward.smash(token)
    fill(Repository(ward.store), scope("operator"), [{**pulse(1), "id": "o1b"}])
    first = json.loads(ward.ask("GET", "Observation?_count=1&_sort=_id", token).data)
    following = next(link["url"] for link in first["link"] if link["relation"] == "next").removeprefix(f"{BASE}/")
    fake_clock.advance(15 * MINUTE - 1)
    assert ward.sees(token, "Observation/o1")
    assert json.loads(ward.ask("GET", following, token).data).get("entry")
    fake_clock.advance(2)
    assert not ward.sees(token, "Observation/o1")
    assert not json.loads(ward.ask("GET", following, token).data).get("entry")


def test_it_ends_when_it_is_mended_and_with_the_session(ward: Ward) -> None:
    token = ward.token()
    ward.smash(token)
    mended = ward.ask("POST", "Patient/p1/$mend-glass", token)
    assert json.loads(mended.data)["parameter"] == [{"name": "closed", "valueBoolean": True}]
    assert not ward.sees(token, "Observation/o1")
    assert json.loads(ward.ask("POST", "Patient/p1/$mend-glass", token).data)["parameter"][0]["valueBoolean"] is False
    ward.smash(token)
    assert ward.sees(token, "Observation/o1")
    ward.database.write(lambda tx: auth.revoke_session(tx, "s1"))
    assert not ward.sees(ward.token(), "Observation/o1")


@pytest.mark.conformance("Access", "broken glass is recorded with its reason, and what is read through it as an emergency")
def test_it_is_recorded_with_its_reason_and_so_is_what_follows(ward: Ward) -> None:
    token = ward.token()
    ward.smash(token)
    record = next(each for each in ward.records() if each["interaction"] == "break-glass")
    assert (record["patients"], record["subject"]["purpose"], record["reason"]) == (["Patient/p1"], "BTG", "ETREAT: Unconscious in the ED.")
    written = ward.ask("POST", "Observation", token, {name: value for name, value in pulse(1).items() if name != "id"})
    assert written.status_code == 201
    assert ward.records()[-1]["subject"]["purpose"] == "BTG"
    with ward.database.read() as session:
        assert session.all("SELECT count(*) FROM event WHERE type = 'GlassBroken'")[0][0] == 1
        assert "ED" not in str(session.all("SELECT * FROM access_grant"))


@pytest.mark.conformance("Attacks", "65: where the record cannot be written nothing opens")
def test_where_the_record_cannot_be_written_nothing_opens(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    token = ward.token()

    def full(*_: object) -> None:
        raise Unavailable

    with monkeypatch.context() as patched:
        patched.setattr(type(ward.store.audit), "change", full)
        assert ward.smash(token).status_code == 503
    assert ward.grants() == 0
    assert not ward.sees(token, "Observation/o1")


@pytest.mark.conformance("Attacks", "66: grants and ends at once leave one answer, and the last end closes")
def test_many_grants_and_ends_at_once(ward: Ward) -> None:
    token = ward.token()

    def act(number: int) -> int:
        return (ward.smash(token) if number % 2 else ward.ask("POST", "Patient/p1/$mend-glass", token)).status_code

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(act, range(24))) == {200}
    ward.ask("POST", "Patient/p1/$mend-glass", token)
    assert not ward.sees(token, "Observation/o1")
    taken = [each for each in ward.records() if each["interaction"] == "break-glass"]
    assert len(taken) == ward.grants() == 12


@pytest.mark.conformance("Access", "a grant made by one process holds in another from the next request on, and so does its end")
def test_another_process_follows_at_once(ward: Ward, make_store: Callable[[Database], Store], tmp_path: Path) -> None:
    token, other = ward.token(), Client(fhir_wsgi(Gate(Repository(make_store(ward.database)), lambda text: auth.authenticate(ward.database, text), BASE, Limits())))

    def seen() -> bool:
        return other.get("/fhir/Observation/o1", headers={"Authorization": f"Bearer {token}"}).status_code == 200

    assert not seen()
    ward.smash(token)
    assert seen()
    ward.ask("POST", "Patient/p1/$mend-glass", token)
    assert not seen()


@pytest.mark.conformance("Attacks", "62: an answer that is kept for later holds nothing that only broken glass showed")
def test_a_request_that_is_answered_later_is_answered_without_the_glass(ward: Ward) -> None:
    token = ward.token()
    ward.smash(token)
    subject = auth.authenticate(ward.database, token)
    assert subject.emergency == ("Patient/p1",)
    jobs = AsyncJobs(ward.store)
    jobs.accept(Scope(subject, "search", "r"), Request(READ, {"PATH_INFO": "/fhir/Observation"}, b""))
    job = jobs.take()
    assert job is not None
    assert (job.subject.user, job.subject.session, job.subject.emergency) == ("Practitioner/ada", "", ())
