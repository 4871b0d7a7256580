"""How large a body may be, with the limits that are configured by default."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from werkzeug.test import Client

from chartloop.kernel.access.subject import Subject
from chartloop.kernel.config import Settings
from fhir_server.http.calls import Gate, Limits
from fhir_server.repository import Repository
from fhir_server.store import Store
from fhir_server.wsgi import fhir_wsgi
from tests.integration.fhir_server.conftest import BASE, scope

Send = Callable[[str, str, dict[str, object], int], int]
SYSTEM, USER = "system", "user"
PATIENT = {"resourceType": "Patient", "name": [{"family": "Smith"}]}
BUNDLE = {"resourceType": "Bundle", "type": "transaction", "entry": [{"resource": PATIENT, "request": {"method": "POST", "url": "Patient"}}]}
FIVE, SIXTY_FOUR = 5_000_000, 64_000_000


def _authenticate(token: str) -> Subject:
    operator = scope("operator").subject
    return operator if token == SYSTEM else replace(operator, user="Practitioner/1", scopes=("user/*.cruds",))


@pytest.fixture
def send(store: Store) -> Send:
    """Send a resource padded with white space to a length; give the status."""
    server = Settings().server
    limits = Limits(server.body_max_bytes, server.bulk_body_max_bytes)
    client = Client(fhir_wsgi(Gate(Repository(store), _authenticate, BASE, limits)))

    def padded(token: str, path: str, resource: dict[str, object], length: int) -> int:
        body = json.dumps(resource).encode().ljust(length)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/fhir+json"}
        return client.post(path, data=body, headers=headers).status_code

    return padded


@pytest.mark.conformance("HTTP", "by default a transaction of a system scope may have 64 MB, every other body 5 MB")
def test_the_limits_are_64_mb_for_system_scopes_and_5_mb_for_others_by_default() -> None:
    assert (Settings().server.body_max_bytes, Settings().server.bulk_body_max_bytes) == (FIVE, SIXTY_FOUR)
    assert Limits() == Limits(FIVE, SIXTY_FOUR)


@pytest.mark.conformance("The loop", "1 Patients: transactions of system scopes may be 64 MB")
@pytest.mark.conformance("HTTP", "by default a transaction of a system scope may have 64 MB, every other body 5 MB")
@pytest.mark.parametrize(
    ("token", "path", "length", "status"),
    [
        (SYSTEM, "/fhir", SIXTY_FOUR, 200),
        (SYSTEM, "/fhir", SIXTY_FOUR + 1, 413),
        (USER, "/fhir", FIVE, 200),
        (USER, "/fhir", FIVE + 1, 413),
        (SYSTEM, "/fhir/Patient", FIVE, 201),
        (SYSTEM, "/fhir/Patient", FIVE + 1, 413),
        (USER, "/fhir/Patient", FIVE, 201),
        (USER, "/fhir/Patient", FIVE + 1, 413),
    ],
)
def test_a_body_may_be_as_large_as_its_limit_and_not_a_byte_larger(send: Send, token: str, path: str, length: int, status: int) -> None:
    assert send(token, path, BUNDLE if path == "/fhir" else PATIENT, length) == status
