"""A request that is answered later ends with the token that asked for it, on both databases."""

from __future__ import annotations

import json
from typing import Any

import pytest
from werkzeug.test import Client

from chartloop.kernel import (
    auth,
    auth_tables,  # noqa: F401  (declares what the database fixture makes)
)
from chartloop.kernel.clock import FakeClock
from chartloop.kernel.db import OneRow
from fhir_server.background.jobs import AsyncJobs
from fhir_server.background.runner import AsyncRunner
from fhir_server.http.calls import Gate, Limits
from fhir_server.repository import Repository
from fhir_server.store import Store
from fhir_server.wsgi import fhir_wsgi
from tests.integration.fhir_server.conftest import BASE, scope
from tests.integration.fhir_server.test_async import ANN, LATER, Later, _bundle


def _revoked(session: OneRow, token: str) -> bool:
    return auth.is_revoked(session, bytes.fromhex(token))


class WithTokens(Later):
    """A client whose roles are real tokens."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.jobs = AsyncJobs(store, revoked=_revoked)
        self.app = fhir_wsgi(Gate(Repository(store), lambda token: auth.authenticate(store.db, token), BASE, Limits(), jobs=self.jobs))
        self._client = Client(self.app)

    def token(self, role: str = "operator") -> str:
        """Issue a token of a role."""
        return self.store.db.write(lambda tx: auth.issue(tx, scope(role).subject))

    def revoke(self, token: str) -> None:
        """End it."""
        assert self.store.db.write(lambda tx: auth.revoke(tx, token))

    def work(self) -> int:
        """Let another process carry out what waits."""
        return AsyncRunner(AsyncJobs(self.store, revoked=_revoked)).work_off(self.app)


@pytest.fixture
def api(store: Store) -> WithTokens:
    """A store with one patient."""
    api = WithTokens(store)
    assert api("PUT", "/fhir/Patient/p", ANN, role=api.token()).status_code == 201
    return api


def _states(api: WithTokens) -> list[tuple[Any, ...]]:
    with api.store.db.read() as session:
        return [tuple(row) for row in session.all("SELECT state, status FROM async_job")]


@pytest.mark.conformance("Access", "a job whose token was revoked does not begin: nothing is read or stored, and nobody is handed its result")
@pytest.mark.parametrize(("method", "path", "body"), [("GET", "/fhir/Patient", None), ("POST", "/fhir", _bundle("transaction", "q")), ("POST", "/fhir", _bundle("batch", "q"))])
def test_a_job_does_not_begin_when_its_token_was_revoked(api: WithTokens, method: str, path: str, body: object) -> None:
    asking, other = api.token(), api.token()
    place = api.place(api(method, path, body, role=asking, **LATER))
    api.revoke(asking)
    assert api("GET", place, role=asking).status_code == 401
    assert api("GET", place, role=other).status_code == 404  # the same person, with another token
    assert api.work() == 1
    assert _states(api) == [(3, 401)]
    assert api("GET", place, role=other).status_code == 404
    assert api("GET", "/fhir/Patient/q", role=other).status_code == 404
    assert api("DELETE", place, role=other).status_code == 202


@pytest.mark.conformance("Attacks", "55: a result is not handed out when its token was revoked")
@pytest.mark.conformance("Access", "the result of a job is handed out no more once its token was revoked; another token's jobs go on")
def test_a_result_is_not_handed_out_when_its_token_was_revoked(api: WithTokens) -> None:
    asking, other = api.token(), api.token()
    place, kept = (api.place(api("GET", "/fhir/Patient", role=token, **LATER)) for token in (asking, other))
    assert api.work() == 2
    assert api.entry(place, other)["response"]["status"] == "200 OK"  # jobs are the subject's, whichever token asks
    api.revoke(asking)
    assert api("GET", place, role=other).status_code == 404
    assert api.entry(kept, other)["response"]["status"] == "200 OK"


@pytest.mark.conformance("Attacks", "56: a running transaction is rolled back")
@pytest.mark.conformance("Access", "a transaction that runs while its token is revoked is rolled back")
def test_a_running_transaction_is_rolled_back(api: WithTokens) -> None:
    asking, other = api.token(), api.token()
    api.place(api("POST", "/fhir", _bundle("transaction", "q"), role=asking, **LATER))
    runner = AsyncRunner(AsyncJobs(api.store, revoked=_revoked))
    begin = runner.jobs.begin

    def begin_and_revoke(job: Any) -> None:
        begin(job)
        api.revoke(asking)

    runner.jobs.begin = begin_and_revoke  # type: ignore[method-assign]
    assert runner.work_off(api.app) == 1
    assert _states(api) == [(3, 401)]
    assert api("GET", "/fhir/Patient/q", role=other).status_code == 404


@pytest.mark.conformance("Access", "a job goes on when its token merely expires: what was asked in time is answered, to who has a token then")
def test_a_token_that_expires_ends_no_job(store: Store, fake_clock: FakeClock) -> None:
    api = WithTokens(store)
    place = api.place(api("GET", "/fhir/Patient", role=api.token(), **LATER))
    fake_clock.advance(auth.DEFAULT_TTL_S + 1)
    assert api.work() == 1
    assert json.dumps(api.entry(place, api.token())["response"]["status"]) == '"200 OK"'
    store.db.write(lambda tx: auth.forget_expired(tx, older_than_s=0))  # of a token of which nothing is known, nothing is handed out
    assert api("GET", place, role=api.token()).status_code == 404
