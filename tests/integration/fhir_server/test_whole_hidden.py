"""Search on the system, in compartments, by lists and with includes answers like a store that never held the hidden notes."""

from __future__ import annotations

import pytest

from tests.integration.fhir_server.conftest import *  # noqa: F403  the store and who asks
from tests.integration.fhir_server.test_hidden import Api, _said, twins  # noqa: F401  a full store and a bare one

REQUESTS = [
    "?_lastUpdated=gt2020", "?_lastUpdated=gt2020&_count=2", "?_lastUpdated=gt2020&_count=1&_total=accurate&_sort=-_id", "?_summary=count", "?_id=secret,plain",
    "?_type=DocumentReference&_total=accurate", "?_type=DocumentReference,Encounter&patient=p1&_count=1&_sort=-date", "?_type=DocumentReference,Claim&_total=estimate",
    "?_id=p1&_revinclude=*", "?_type=DocumentReference&_include:iterate=*", "?_security=PSY", "?_type=DocumentReference&_security=PSY&_total=accurate",
    "DocumentReference?_security:not=PSY", "DocumentReference?_security:missing=false", "DocumentReference?_sort=relatesto&_count=1", "DocumentReference?_sort=-type",
    "DocumentReference?_sort=-status,date&_count=1", "DocumentReference?_list=secret", "Patient?_list=none", "DocumentReference?_total=estimate&_count=1",
    "Patient/p1/DocumentReference", "Patient/p1/DocumentReference?_count=1&_total=accurate", "Patient/p1/*", "Patient/p1/*?_count=1&_total=accurate", "Encounter/e1/*",
    "Encounter/e1/DocumentReference?_summary=count", "Patient/p1/*?_type=DocumentReference&_security=PSY", "Patient/p1/Encounter?_revinclude=DocumentReference:encounter",
    "Encounter?_id=e1&_revinclude=*", "Patient?_id=p1&_revinclude:iterate=*&_include:iterate=*", "DocumentReference?_id=plain&_revinclude:iterate=DocumentReference:relatesto",
    "DocumentReference?_include:iterate=DocumentReference:relatesto", "Patient/nobody/*", "Patient/p1/Claim?_include=*",
]  # fmt: skip


@pytest.mark.conformance("Attacks", "15: every search answers as if the notes had never been")
@pytest.mark.conformance("Attacks", "04: every search answers as if the notes had never been")
@pytest.mark.conformance("Access", "a search on the system, in a compartment, by a list, by a label, in any order and with any include answers as if hidden rows had never been")
@pytest.mark.parametrize("role", ["billing-administrator", "coder", "clinician", "operator"])
def test_every_search_answers_as_if_the_notes_had_never_been(twins: tuple[Api, Api], role: str) -> None:  # noqa: F811
    full, bare = twins
    for path in REQUESTS:
        assert _said(full, role, path) == _said(bare, role, path), path
