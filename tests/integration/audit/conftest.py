"""The whole product over WSGI in this process, on a directory of its own, and its audit log read back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from chartloop.app import Kernel, open_door, open_kernel
from chartloop.kernel import auth
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.audit.journal import audit_directory
from chartloop.kernel.audit.reading import sealed_records
from chartloop.kernel.audit.sealer import Sealer
from chartloop.kernel.config import load_settings
from chartloop.kernel.keys import signing_key
from chartloop.web import build_wsgi
from smart_apps.sessions import Sessions

SYSTEM = ("system/*.cruds",)
HOME = "127.0.0.1"


class House:
    """A server without sockets, and who may ask it."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel, self.settings, self.data = kernel, kernel.settings, kernel.settings.data
        self.door = open_door(kernel)
        self.wsgi = build_wsgi(kernel, self.door.repository)
        self.sealer = Sealer(kernel.database, self.data, signing_key(self.settings.keys), heads_file=self.settings.audit.heads_file)

    def subject(self, role: str, user: str = "", **more: Any) -> Subject:
        return Subject(id=f"test:{user or role}", role=role, user=user, scopes=SYSTEM, **more)

    def token(self, role: str, user: str = "", **more: Any) -> str:
        return self.kernel.database.write(lambda tx: auth.issue(tx, self.subject(role, user, **more)))

    def browser(self, role: str, user: str = "") -> Client:
        """Somebody who is signed in to the EHR."""
        sessions = Sessions(self.kernel.database)
        client = Client(self.wsgi)
        client.set_cookie("chartloop_ehr", sessions.enter(sessions.mint_ticket(self.subject(role, user), user or role)))
        return client

    def ask(self, method: str, path: str, token: str = "", number: str = "", **more: Any) -> TestResponse:
        headers = {**({"Authorization": f"Bearer {token}"} if token else {}), **({"X-Request-Id": number} if number else {}), **more.pop("headers", {})}
        return Client(self.wsgi).open(path, method=method, headers=headers, environ_overrides={"REMOTE_ADDR": HOME}, buffered=True, **more)

    def put(self, resource: dict[str, Any], token: str) -> None:
        answer = self.ask("PUT", f"/fhir/{resource['resourceType']}/{resource['id']}", token, json=resource, content_type="application/fhir+json")
        assert answer.status_code in (200, 201), answer.text

    def records(self, **wanted: Any) -> list[dict[str, Any]]:
        """Records whose members have these values, the oldest first."""
        self.sealer.seal()
        with self.kernel.database.read(snapshot=True) as session:
            found = sealed_records(session, audit_directory(self.data), None, 100_000)
        kept = [json.loads(record.body) | {"seq": record.seq} for record in reversed(found)]
        return [record for record in kept if all(record.get(name) == value for name, value in wanted.items())]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A server that the tests of one module share."""
    with open_kernel(load_settings({"data": Path(tmp_path_factory.mktemp("house"))})) as kernel:
        yield House(kernel)


@pytest.fixture(scope="module")
def operator(house: House) -> str:
    """The token of who sets up."""
    return house.token("operator")
