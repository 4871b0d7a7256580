"""Schemathesis sends what the generated OpenAPI document allows, and what it does not, to the running application.

A longer run: CHARTLOOP_FUZZ_EXAMPLES=500 python -m pytest -m long tests/integration/fhir_server/test_openapi_fuzz.py
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from chartloop.kernel.access.subject import Subject
from fhir_server.background.jobs import AsyncJobs
from fhir_server.http.calls import Gate, Limits
from fhir_server.repository import Repository
from fhir_server.store import Store
from fhir_server.wsgi import fhir_wsgi
from tests.integration.fhir_server.conftest import BASE, scope

EXAMPLES = int(os.environ.get("CHARTLOOP_FUZZ_EXAMPLES", "8"))
PATHS = r"^(?!/[A-Z][A-Za-z]+(/_search)?$)|^/(Patient|Observation|AuditEvent|Bundle)(/_search)?$"
"""Every address that is not of one type, and those of a few types: the others are made by the same lines."""


def _subject(_token: str) -> Subject:
    return scope("operator").subject


def _seeded(store: Store) -> Repository:
    door = Repository(store)
    for resource in (
        {"resourceType": "Patient", "id": "0", "name": [{"family": "Ann"}]},
        {"resourceType": "Observation", "id": "0", "status": "final", "code": {"text": "x"}, "subject": {"reference": "Patient/0"}},
    ):
        door.update(scope("operator"), str(resource["resourceType"]), "0", resource)
    return door


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.conformance("FHIR R4: interactions", "schemathesis over the generated OpenAPI finds no 500, no undocumented status and no answer of another kind")
def test_no_request_is_answered_with_an_undocumented_status(store: Store) -> None:
    import schemathesis
    from schemathesis.checks import load_all_checks
    from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance

    load_all_checks()
    jobs = AsyncJobs(store, per_subject=5)
    app = fhir_wsgi(Gate(_seeded(store), _subject, BASE, Limits(), jobs=jobs))
    schema = schemathesis.openapi.from_wsgi("/fhir/openapi.json", app).include(path_regex=PATHS)
    checks = [schemathesis.checks.not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
    asked = 0

    def explore(operation: Any, mode: Any) -> None:
        nonlocal asked

        @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy(generation_mode=mode))
        def send(case: Any) -> None:
            nonlocal asked
            asked += 1
            answer = case.call(headers={"Authorization": "Bearer operator", "Accept-Encoding": "identity"})
            case.validate_response(answer, checks=checks)

        send()

    operations = [found.ok() for found in schema.get_all_operations()]
    for operation in operations:
        for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):
            explore(operation, mode)
    assert asked >= len(operations) > 40
