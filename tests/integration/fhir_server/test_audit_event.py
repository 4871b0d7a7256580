"""The audit log as AuditEvents, through a permission of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.audit.sealer import Sealer
from chartloop.kernel.errors import Forbidden, Invalid, NotFound
from fhir_server.audit_event import AuditEvents
from fhir_server.json_tree import canonical, read_tree
from fhir_server.repository import Repository
from fhir_server.store import Store
from fhir_server.validation.resources import validate
from fhir_server.xml.reading import xml_to_json
from fhir_server.xml.writing import json_to_xml
from tests.integration.fhir_server.conftest import scope


@pytest.mark.conformance("Audit", "who may read the log finds as valid AuditEvents who saw a patient; others are forbidden")
@pytest.mark.conformance("Attacks", "80: reading the audit log is recorded once, without an endless loop")
def test_who_may_read_the_log_sees_who_saw_a_patient_and_that_is_logged_once(
    store: Store, repository: Repository, operator: Scope, tmp_path: Path
) -> None:
    data = tmp_path / "data0"
    events, sealer = AuditEvents(store.db, store.access, store.audit, data), Sealer(store.db, data, Ed25519PrivateKey.generate())
    repository.update(operator, "Patient", "p1", {"resourceType": "Patient", "id": "p1", "active": True})
    repository.read(scope("clinician", user="Practitioner/7"), "Patient", "p1")
    with pytest.raises(NotFound):
        repository.read(operator, "Patient", "p2")
    with pytest.raises(Forbidden):
        events.search(operator, "patient=Patient/p1")
    assert sealer.seal() == 4
    auditor = scope("auditor")
    page = events.search(auditor, "patient=Patient/p1")
    seen = [(entry.json()["action"], entry.json()["agent"][0]["who"]) for entry in page.entries]
    assert sorted(seen, key=str) == [("R", {"reference": "Practitioner/7"}), ("U", {"identifier": {"value": "test:operator"}})]
    for entry in page.entries:
        validate(entry.body, type_="AuditEvent")
        assert canonical(read_tree(xml_to_json(json_to_xml(entry.body)))) == canonical(read_tree(entry.body))
        assert events.read(auditor, entry.id) == entry
    assert [entry.json()["outcome"] for entry in events.search(auditor, "entity=Patient/p2").entries] == ["4"]
    first = events.search(auditor, "_count=1")
    assert first.next is not None
    assert first.entries[0].id > events.search(auditor, first.next).entries[0].id
    assert sealer.seal() == 6
    with pytest.raises(Invalid):
        events.search(auditor, "site=x")
    with pytest.raises(NotFound):
        events.read(auditor, "x")
