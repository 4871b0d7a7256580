"""One server with a chart, and browsers of several people, shared by the tests of a module."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from werkzeug.test import Client

from chartloop.app import Kernel, open_door, open_kernel
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.config import load_settings
from chartloop.migrate import migrate
from chartloop.web import build_wsgi
from smart_apps.server.routes import COOKIE
from smart_apps.sessions import Sessions
from tests.integration.smart_apps.chart import resources

OPERATOR = Subject(id="user:0", role="operator", scopes=("system/*.cruds",))
EVIL = {
    "resourceType": "Observation", "id": "evil", "status": "final", "code": {"text": "<script>alert(1)</script>"}, "subject": {"reference": "Patient/p1"},
    "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml"><p style="color:red">Seen <b>well</b> <a href="https://elsewhere.example/x">there</a></p></div>'},
    "valueString": "first\nsecond", "focus": [{"reference": "https://elsewhere.example/fhir/Observation/1"}, {"reference": "http://127.0.0.1:8080/fhir/Condition/cond"}],
}  # fmt: skip


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """The kernel of a server on SQLite, with a chart in the store."""
    data: Path = tmp_path_factory.mktemp("explorer")
    settings = load_settings({"data": str(data)})
    migrate(settings.database_url)
    with open_kernel(settings) as opened:
        entries = [{"resource": r, "request": {"method": "PUT", "url": f"{r['resourceType']}/{r['id']}"}} for r in [*resources(), EVIL]]
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        open_door(opened).repository.transaction(Scope(OPERATOR, "transaction"), json.dumps(bundle).encode())
        yield opened


@pytest.fixture(scope="module")
def as_person(kernel: Kernel) -> Callable[..., Client]:
    """A browser of somebody with a role; without one, of nobody."""
    app, sessions = build_wsgi(kernel, open_door(kernel).repository), Sessions(kernel.database)

    def browser(role: str = "", user: str = "Practitioner/7") -> Client:
        made = Client(app)
        if role:
            person = Subject(id=f"user:{role}", role=role, user=user, scopes=("user/*.cruds",))
            made.set_cookie(COOKIE, sessions.enter(sessions.mint_ticket(person, f"A {role}")), domain="127.0.0.1")
        return made

    return browser
