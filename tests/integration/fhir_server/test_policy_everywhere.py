"""One edited policy file changes the answer on every path that leads to a resource, on both databases."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from chartloop.kernel.access.engine import Access
from chartloop.kernel.access.policy_set import SHIPPED
from chartloop.kernel.audit.journal import Audit
from chartloop.kernel.broker_table import TableBus
from chartloop.kernel.db import Database
from chartloop.kernel.outbox import Outbox
from fhir_server.labels.service import LabelService
from fhir_server.opening import open_store
from tests.integration.fhir_server.conftest import BASE, SECRET
from tests.integration.fhir_server.test_http import Api

Open = Callable[[Path], Api]
Said = tuple[int, str, int | None]

RULE = 'Group::"note", Group::"money", Group::"trace"\n  ]\n};'
GROUP_TAKEN_OUT = RULE.replace('Group::"note", ', "")
ONE_NOTE_TAKEN_OUT = RULE.replace("};", '}\n unless { resource.type == "DocumentReference" && resource.patient == "Patient/1" };')


def _chart(number: int) -> list[dict[str, Any]]:
    """A patient, a visit, its note and where the note comes from."""
    patient = {"reference": f"Patient/{number}"}
    act = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
    return [
        {"resourceType": "Patient", "id": f"{number}", "active": True},
        {"resourceType": "Encounter", "id": f"{number}", "status": "finished", "subject": patient, "class": {"system": act, "code": "AMB"}},
        {
            "resourceType": "DocumentReference", "id": f"{number}", "status": "current", "subject": patient,
            "identifier": [{"system": "urn:note", "value": f"{number}"}], "context": {"encounter": [{"reference": f"Encounter/{number}"}]},
            "content": [{"attachment": {"contentType": "text/plain", "data": "Q291Z2gu"}}],
        },
        {
            "resourceType": "Provenance", "id": f"{number}", "recorded": "2026-01-02T00:00:00Z",
            "target": [{"reference": f"DocumentReference/{number}"}], "agent": [{"who": {"reference": "Practitioner/1"}}],
        },
    ]  # fmt: skip


# Path: status, notes and total that a clinician gets; under the policies that ship, without the notes, without one note.
ANSWERS: dict[str, tuple[Said, Said, Said]] = {
    "DocumentReference/1": ((200, "1", None), (403, "", None), (404, "", None)),
    "DocumentReference/1/_history/1": ((200, "1", None), (403, "", None), (404, "", None)),
    "DocumentReference/1/_history": ((200, "1", 1), (403, "", None), (404, "", None)),
    "DocumentReference/_history": ((200, "1 2", None), (403, "", None), (200, "2", None)),
    "_history?_count=50": ((200, "1 2", None), (200, "", None), (200, "2", None)),
    "DocumentReference?_total=accurate": ((200, "1 2", 2), (403, "", None), (200, "2", 1)),
    "DocumentReference?_summary=count": ((200, "", 2), (403, "", None), (200, "", 1)),
    "DocumentReference?patient=1,2&_total=accurate": ((200, "1 2", 2), (403, "", None), (200, "2", 1)),
    "DocumentReference?_id=1": ((200, "1", None), (403, "", None), (200, "", None)),
    "Provenance?_include=Provenance:target": ((200, "1 2", None), (200, "", None), (200, "2", None)),
    "Patient?_revinclude=DocumentReference:subject": ((200, "1 2", None), (403, "", None), (200, "2", None)),
    "Patient/1/$everything": ((200, "1", None), (200, "", None), (200, "", None)),
    "DocumentReference/1/$meta": ((200, "", None), (403, "", None), (404, "", None)),
    "DocumentReference/1?_summary=true": ((200, "1", None), (403, "", None), (404, "", None)),
    "DocumentReference?_summary=true": ((200, "1 2", None), (403, "", None), (200, "2", None)),
    "batch DocumentReference/1": ((200, "1", None), (403, "", None), (404, "", None)),
    "batch DocumentReference?_total=accurate": ((200, "1 2", 2), (403, "", None), (200, "2", 1)),
    "transaction DocumentReference/1": ((200, "1", None), (403, "", None), (404, "", None)),
    "transaction DocumentReference?_total=accurate": ((200, "1 2", 2), (403, "", None), (200, "2", 1)),
}


def _notes(said: dict[str, Any]) -> str:
    found = [said, *(entry.get("resource", {}) for entry in said.get("entry", ()))]
    return " ".join(sorted(each["id"] for each in found if each.get("resourceType") == "DocumentReference"))


def _ask(api: Api, request: str) -> Said:
    kind, _, url = request.rpartition(" ")
    if not kind:
        answer = api("GET", f"/fhir/{url}", role="clinician")
        said = json.loads(answer.data)
        return answer.status_code, _notes(said), said.get("total")
    bundle = {"resourceType": "Bundle", "type": kind, "entry": [{"request": {"method": "GET", "url": url}}]}
    answer = api("POST", "/fhir", bundle, role="clinician")
    said = json.loads(answer.data)
    if answer.status_code != 200:
        return answer.status_code, _notes(said), None
    (entry,) = said["entry"]
    inner = entry.get("resource", {})
    return int(entry["response"]["status"][:3]), _notes(inner), inner.get("total")


@pytest.fixture
def opened(database: Database, tmp_path: Path) -> Iterator[Open]:
    """A store with two charts, opened with the policies of a directory."""
    audits: list[Audit] = []

    def door(policies: Path) -> Api:
        audits.append(Audit(tmp_path / f"data{len(audits)}"))
        outbox = Outbox(TableBus(database), SECRET)
        return Api(open_store(database, Access(policies), audits[-1], outbox, LabelService(), secret=SECRET, base=BASE))

    operator = door(SHIPPED)
    for resource in [*_chart(1), *_chart(2)]:
        assert operator("PUT", f"/fhir/{resource['resourceType']}/{resource['id']}", resource).status_code == 201
    yield door
    for audit in audits:
        audit.close()


def _edited(folder: Path, new: str) -> Path:
    """The policies that ship, with one rule of one file written anew."""
    shutil.copytree(SHIPPED, folder)
    text = (folder / "clinical.cedar").read_text()
    assert text.count(RULE) == 1
    (folder / "clinical.cedar").write_text(text.replace(RULE, new))
    return folder


@pytest.mark.conformance("The loop", "6 Access: a test that edits one policy changes the answer on every path")
@pytest.mark.conformance("Access", "editing one policy changes the answer on every path: read, vread, search, totals, includes, histories, batch, transaction")
@pytest.mark.parametrize(("new", "column"), [(GROUP_TAKEN_OUT, 1), (ONE_NOTE_TAKEN_OUT, 2)], ids=["the notes are taken out", "one note is taken out"])
def test_one_edited_policy_changes_the_answer_on_every_path(opened: Open, tmp_path: Path, new: str, column: int) -> None:
    shipped, edited = opened(SHIPPED), opened(_edited(tmp_path / "policies", new))
    assert {path: _ask(shipped, path) for path in ANSWERS} == {path: said[0] for path, said in ANSWERS.items()}
    assert {path: _ask(edited, path) for path in ANSWERS} == {path: said[column] for path, said in ANSWERS.items()}
    assert edited("GET", "/fhir/Encounter/1", role="clinician").status_code == 200


@pytest.mark.conformance("Attacks", "48: a conditional create matches only what the policy shows")
@pytest.mark.conformance("Access", "a conditional create matches only what the edited policy lets its author see")
def test_a_conditional_create_matches_only_what_the_policy_shows(opened: Open, tmp_path: Path) -> None:
    note = {name: value for name, value in _chart(1)[2].items() if name != "id"}
    shipped, edited = opened(SHIPPED), opened(_edited(tmp_path / "policies", ONE_NOTE_TAKEN_OUT))
    once = {"role": "clinician", "If_None_Exist": "identifier=urn:note|1"}
    found = shipped("POST", "/fhir/DocumentReference", note, **once)
    assert (found.status_code, json.loads(found.data)["id"]) == (200, "1")
    made = edited("POST", "/fhir/DocumentReference", note, **once)
    assert (made.status_code, made.data) == (201, b"")
    assert f"{BASE}/DocumentReference/1/" not in made.headers["Location"]
