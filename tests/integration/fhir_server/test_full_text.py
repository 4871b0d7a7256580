"""`_text` and `_content` on both databases: found, forgotten, hidden, switched off and on, and equal to an index made anew."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from chartloop.kernel.access.engine import Access
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.audit.journal import Audit
from chartloop.kernel.broker_table import TableBus
from chartloop.kernel.db import Database
from chartloop.kernel.errors import Forbidden, Invalid
from chartloop.kernel.outbox import Outbox
from fhir_server.capability import Built, capability_statement
from fhir_server.labels.service import LabelService
from fhir_server.opening import open_store
from fhir_server.repository import Repository
from fhir_server.search import planner
from fhir_server.search.registry import Snapshot
from tests.integration.fhir_server.conftest import BASE, SECRET, scope

PSY = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PSY"}]}


def _note(id_: str, narrative: str, note: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "DocumentReference", "id": id_, "status": "current", "subject": {"reference": "Patient/p1"},
        "text": {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><p>{narrative}</p></div>'},
        "content": [{"attachment": {"contentType": "text/plain", "data": base64.b64encode(note.encode()).decode(), "title": f"Note {id_}"}}], **more,
    }  # fmt: skip


RESOURCES = [
    {"resourceType": "Patient", "id": "p1", "name": [{"family": "Müller", "given": ["Ève"]}]},
    _note("chest", "Severe chest pain", "Patient complains of cardiac problems."),
    _note("arm", "Pain in the arm; the chest is free", "Nothing else. Cardiogram is fine."),
    _note("liver", "Metastases of the liver", "Weight loss; see chest x-ray.", date="2026-01-01T00:00:00Z"),
    _note("voices", "Hears voices in chest", "Psychiatric pain.", meta=PSY),
]
SEARCHES = [
    ("_text=pain", "arm chest", "arm chest"),
    ("_text=PAIN chest", "arm chest", "arm chest"),
    ('_text="chest pain"', "chest", "chest"),
    ("_text=cardiac", "", ""),
    ("_content=cardiac", "chest", "chest"),
    ("_content=card*", "arm chest", "arm chest"),
    ("_content=chest", "arm chest liver", "arm chest liver voices"),
    ("_text=chest", "arm chest", "arm chest voices"),
    ("_text=chest NOT arm", "chest", "chest voices"),
    ("_text=(bone OR liver) and metastases", "liver", "liver"),
    ("_text=bone,liver,severe", "chest liver", "chest liver"),
    ("_content=x-ray", "liver", "liver"),
    ('_content="chest free"', "", ""),
    ("_content=psychiatric OR metastases", "liver", "liver voices"),
    ("_content=chest&_text=pain&status=current", "arm chest", "arm chest"),
    ("_content=chest&_filter=date%20pr%20true", "liver", "liver"),
    ("subject:Patient._content=muller&_text=pain", "arm chest", "arm chest"),
    ("_content=nothere", "", ""),
]


@pytest.fixture
def open_with(access: Access, tmp_path: Path) -> Iterator[Callable[[Database, bool], Repository]]:
    """Open a database with the index of words or without."""
    audits: list[Audit] = []

    def opened(database: Database, full_text: bool) -> Repository:
        audits.append(Audit(tmp_path / f"words{len(audits)}"))
        outbox = Outbox(TableBus(database), SECRET)
        return Repository(open_store(database, access, audits[-1], outbox, LabelService(), secret=SECRET, base=BASE, full_text=full_text))

    yield opened
    for audit in audits:
        audit.close()


@pytest.fixture
def filled(database: Database, open_with: Callable[[Database, bool], Repository], operator: Scope) -> Repository:
    """Notes that everybody sees, and one that only psychiatry does."""
    repository = open_with(database, True)
    for resource in RESOURCES:
        repository.update(operator, resource["resourceType"], resource["id"], resource)
    return repository


def index(database: Database) -> list[tuple[Any, ...]]:
    """Everything that the index holds."""
    with database.read() as session:
        if database.dialect == "postgresql":
            return session.all("SELECT rid, narrative::text, words::text FROM idx_text ORDER BY rid")
    found: list[tuple[Any, ...]] = database.write(_instances)
    return found


def _instances(tx: Any) -> list[tuple[Any, ...]]:
    tx.run("INSERT INTO idx_text (idx_text) VALUES ('integrity-check')")
    tx.run("CREATE VIRTUAL TABLE temp.idx_text_words USING fts5vocab('main', 'idx_text', 'instance')")
    found: list[tuple[Any, ...]] = tx.all('SELECT term, doc, col, "offset" FROM temp.idx_text_words ORDER BY 1, 2, 3, 4')
    tx.run("DROP TABLE temp.idx_text_words")
    return found


@pytest.mark.conformance("FHIR R4: search", "_text finds words of the narrative, _content of everything; with other parameters, chains and totals")
@pytest.mark.conformance("Access", "a search for words finds visible rows only")
@pytest.mark.parametrize("limit", [2000, 1])
def test_words_are_found(filled: Repository, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    monkeypatch.setattr(planner, "ESTIMATE_LIMIT", limit)  # one: nothing is selective, and the words are probed
    for query, seen, all_of_it in SEARCHES:
        asked = "&".join(part.partition("=")[0] + "=" + quote(part.partition("=")[2], safe="%") for part in query.split("&"))
        for role, ids in (("clinician", seen), ("psychiatric-clinician", all_of_it)):
            for more in ("", "&_sort=_id"):
                page = filled.search(scope(role), "DocumentReference", asked + more + "&_total=accurate")
                assert (" ".join(sorted(entry.id for entry in page.entries)), page.total) == (ids, len(ids.split())), (role, query)
    assert [each.id for each in filled.all(scope("clinician"), "DocumentReference", "_content=chest&_count=1&_sort=-_id")] == ["liver", "chest", "arm"]


@pytest.mark.conformance("Attacks", "11: who sees a part may not search the whole")
@pytest.mark.conformance("Access", "a reader from whom any element of a type is hidden may not search its texts, at no end of a chain")
def test_who_sees_a_part_may_not_search_the_whole(filled: Repository) -> None:
    biller = scope("billing-administrator")
    for type_, query in (
        ("DocumentReference", "_text=pain"), ("Encounter", "_content=x"), ("Encounter", "status=finished&_content=x"),
        ("Claim", "encounter._content=x"), ("Patient", "_has:DocumentReference:subject:_text=pain"),
    ):  # fmt: skip
        with pytest.raises(Forbidden):
            filled.search(biller, type_, query)
            pytest.fail(query)
    with pytest.raises(Forbidden):
        filled.create(biller, {"resourceType": "Encounter", "status": "planned", "class": {"code": "AMB"}}, if_none_exist="_content=x")


@pytest.mark.conformance("FHIR R4: search", "the index of words follows updates, deletions and returns, and equals one that is made anew")
def test_the_index_follows_what_is_stored(
    filled: Repository, database: Database, open_with: Callable[[Database, bool], Repository], operator: Scope
) -> None:
    def found(words: str) -> list[str]:
        return sorted(each.id for each in filled.search(operator, "DocumentReference", f"_content={words}").entries)

    filled.update(operator, "DocumentReference", "chest", _note("chest", "Nothing of note", "Healed."))
    filled.delete(operator, "DocumentReference", "arm")
    filled.delete(operator, "DocumentReference", "liver")
    filled.update(operator, "DocumentReference", "liver", RESOURCES[3])
    filled.create(operator, {"resourceType": "Observation", "status": "final", "code": {"text": "Cardiac output"}})
    filled.update(operator, "DocumentReference", "liver", {**RESOURCES[3], "meta": PSY})
    assert (found("cardiac"), found("healed"), found("free"), found("loss")) == ([], ["chest"], [], [])
    kept = index(database)
    open_with(database, False)
    filled = open_with(database, True)
    assert index(database) == kept
    filled.update(operator, "DocumentReference", "chest", RESOURCES[1])
    assert (found("healed"), found("cardiac")) == ([], ["chest"])


@pytest.mark.conformance("FHIR R4: search", "_text and _content are refused with the reason where their index is switched off, and then in no CapabilityStatement")
def test_without_its_index_a_search_for_words_is_refused(
    filled: Repository, database: Database, open_with: Callable[[Database, bool], Repository], operator: Scope
) -> None:
    without = open_with(database, False)
    for query in ("_text=pain", "_content=pain", "subject:Patient._content=x", "_has:Provenance:target:_content=x"):
        with pytest.raises(Invalid, match=r"fhir\.full_text"):
            without.search(operator, "DocumentReference", query)
        with pytest.raises(Invalid, match=r"fhir\.full_text"):
            without.create(operator, {**RESOURCES[1]}, if_none_exist=query)
    assert without.search(operator, "DocumentReference", "status=current").entries
    for full_text in (True, False):
        [first, *_] = json.loads(capability_statement("http://x/fhir", ("search-type",), Built(Snapshot(0), full_text)))["rest"][0]["resource"]
        assert [each["name"] for each in first["searchParam"] if each["type"] == "string" and each["name"] in ("_text", "_content")] == ["_content", "_text"] * full_text


@pytest.mark.conformance("FHIR R4: search", "a resource of very many words, or very long ones, is stored and found by its first words")
def test_a_resource_of_very_many_words_is_stored(filled: Repository, operator: Scope) -> None:
    many = " ".join(f"w{number} the" for number in range(20_000))
    for id_, narrative in (("many", many), ("wide", " ".join("ж" * 60 + str(number) for number in range(9_000))), ("long", "x" * 100_000)):
        filled.update(operator, "DocumentReference", id_, _note(id_, narrative, "x"))
        [found] = filled.search(operator, "DocumentReference", f"_text={narrative.split()[0][:900]}").entries
        assert found.id == id_
        filled.delete(operator, "DocumentReference", id_)
