"""Parts of tokens and addresses: a system alone, texts, typed identifiers, what lies below; on both databases."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.clock import FakeClock
from chartloop.kernel.db import Database
from chartloop.kernel.errors import Conflict, Invalid
from fhir_server.hashing import value_hash
from fhir_server.indexing.vocabulary import declare_whole
from fhir_server.repository import Repository
from fhir_server.search import conditions, frequency, words
from fhir_server.store import Store
from tests.integration.fhir_server.conftest import fill, scope

LOINC, SNOMED, V2 = "http://loinc.org", "http://snomed.info/sct", "http://terminology.hl7.org/CodeSystem/v2-0203"
PSY = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "PSY"}]}


def _observation(id_: str, *codings: tuple[str, str, str], text: str = "", **rest: Any) -> dict[str, Any]:
    coding = [{key: value for key, value in zip(("system", "code", "display"), each, strict=True) if value} for each in codings]
    code = {**({"coding": coding} if coding else {}), **({"text": text} if text else {})}
    return {"resourceType": "Observation", "id": id_, "status": "final", "code": code, "subject": {"reference": "Patient/p1"}, **rest}


RESOURCES: list[dict[str, Any]] = [
    {
        "resourceType": "Patient", "id": "p1", "birthDate": "2006-11-22", "communication": [{"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": "de"}]}}],
        "identifier": [{"system": "urn:mrn", "value": "1", "type": {"coding": [{"system": V2, "code": "MR"}, {"system": "urn:local", "code": "M"}], "text": "Medical record"}},
                       {"system": "urn:ssn", "value": "2", "type": {"coding": [{"system": V2, "code": "SS"}]}}],
    },
    {"resourceType": "Patient", "id": "p2", "birthDate": "2024", "identifier": [{"value": "1", "type": {"coding": [{"system": V2, "code": "SS"}]}}]},
    _observation("o1", (LOINC, "8302-2", "Body height"), (SNOMED, "50373000", "Körpergröße")),
    _observation("o2", (LOINC, "29463-7", "Body weight"), text="Weight (measured)"),
    _observation("o3", ("", "8302-2", "")),
    _observation("o4", text="body  TEMPERATURE"),
    _observation("o5", (LOINC, "", "")),
    _observation("o6", (f"{LOINC}/x", "1-8", ""), subject={"identifier": {"system": "urn:mrn", "value": "9"}}),
    {"resourceType": "ValueSet", "id": "v1", "status": "draft", "url": "http://a.example/fhir/ValueSet/1", "version": "1.0"},
    {"resourceType": "ValueSet", "id": "v2", "status": "draft", "url": "http://a.example/fhir", "version": "2"},
    {"resourceType": "ValueSet", "id": "v3", "status": "draft", "url": "http://a.example/fhirs/" + "x" * 300},
    {"resourceType": "ValueSet", "id": "v4", "status": "draft", "url": "urn:oid:1.2"},
    *({"resourceType": "QuestionnaireResponse", "id": f"q{number}", "status": "completed", "questionnaire": f"http://a.example/q{version}"}
      for number, version in enumerate(("", "|1.0", "|1.1", "|10", "|2.0-beta"))),
]  # fmt: skip


@pytest.fixture
def filled(repository: Repository, operator: Scope) -> Repository:
    """Resources whose values have parts."""
    return fill(repository, operator, RESOURCES)


@pytest.fixture(params=["listed", "common", "unlisted", "unlisted and common"])
def limits(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every way in which a statement may say it, however few the words are."""
    monkeypatch.setattr(words, "MAX_LISTED", 0 if "unlisted" in request.param else 5_000)
    monkeypatch.setattr(frequency, "COMMON", 0 if "common" in request.param else 5_000)
    monkeypatch.setattr(frequency, "CHEAP", 0)
    for module in (words, frequency, conditions):
        monkeypatch.setattr(module, "SHORT", 0)


@pytest.mark.usefixtures("limits")
@pytest.mark.conformance("FHIR R4: search", "token parameters: system| alone, of every kind of token")
@pytest.mark.conformance("FHIR R4: search", "token parameters: :text over CodeableConcept.text, Coding.display and Identifier.type.text, as a string search")
@pytest.mark.conformance("FHIR R4: search", "token parameters: :of-type by system, code and value of an identifier")
@pytest.mark.conformance("FHIR R4: search", "uri parameters: :below by segments of the path, and url|version")
@pytest.mark.conformance("FHIR R4: search", "reference parameters: :below of a canonical address by its version")
@pytest.mark.parametrize(
    ("query", "ids"),
    [
        (f"Observation?code={LOINC}|", "o1 o2 o5"),
        (f"Observation?code={SNOMED}|", "o1"),
        (f"Observation?code={SNOMED}|,1-8", "o1 o6"),
        (f"Observation?code={SNOMED}|,{LOINC}|8302-2,{LOINC}/x|", "o1 o6"),
        (f"Observation?code={LOINC}|&code={SNOMED}|", "o1"),
        (f"Observation?code:not={LOINC}|", "o3 o4 o6"),
        ("Observation?code=urn:none|", ""),
        ("Observation?code:not=urn:none|", "o1 o2 o3 o4 o5 o6"),
        ("Observation?status=http://hl7.org/fhir/observation-status|&_id=o1", "o1"),
        (f"Observation?combo-code={LOINC}|&code:not={SNOMED}|", "o2 o5"),
        ("Observation?subject:identifier=urn:mrn|", "o6"),
        ("Patient?identifier=urn:ssn|", "p1"),
        ("Patient?language=urn:ietf:bcp:47|", "p1"),
        (f"Patient?_has:Observation:patient:code={SNOMED}|", "p1"),
        (f"Patient?_has:Observation:patient:code={LOINC}/x|", ""),
        ("Observation?patient.language=urn:ietf:bcp:47|&code:text=body", "o1 o2 o4"),
        ("Observation?code:text=body", "o1 o2 o4"),
        ("Observation?code:text=BODY%20%20w", "o2"),
        ("Observation?code:text=korpergrosse", "o1"),
        ("Observation?code:text=weight", "o2"),
        ("Observation?code:text=measured", ""),
        ("Observation?code:text=8302-2", ""),
        ("Observation?code:text=weight,body%20t", "o2 o4"),
        ("Observation?code:text=%25,_", ""),
        ("Patient?identifier:text=medical", "p1"),
        (f"Patient?identifier:of-type={V2}|MR|1", "p1"),
        ("Patient?identifier:of-type=urn:local|M|1", "p1"),
        (f"Patient?identifier:of-type={V2}|SS|1", "p2"),
        (f"Patient?identifier:of-type={V2}|SS|1,{V2}|SS|2", "p1 p2"),
        (f"Patient?identifier:of-type={V2}|MR|2", ""),
        ("Observation?code:missing=false", "o1 o2 o3 o4 o5 o6"),
        ("ValueSet?url:below=http://a.example", "v1 v2 v3"),
        ("ValueSet?url:below=http://a.example/fhir", "v1 v2"),
        ("ValueSet?url:below=http://a.example/fhir/", "v1"),
        ("ValueSet?url:below=http://a.example/fhirs", "v3"),
        ("ValueSet?url:below=http://a.example/fhir/ValueSet/1,http://a.example/fhirs", "v1 v3"),
        ("ValueSet?url:below=http://a.exampl", ""),
        ("ValueSet?url:above=http://a.example/fhir/ValueSet/1/x", "v1 v2"),
        ("ValueSet?url=http://a.example/fhir/ValueSet/1|1.0", "v1"),
        ("ValueSet?url=http://a.example/fhir/ValueSet/1|1", ""),
        ("QuestionnaireResponse?questionnaire=http://a.example/q", "q0 q1 q2 q3 q4"),
        ("QuestionnaireResponse?questionnaire=http://a.example/q|1.0", "q1"),
        ("QuestionnaireResponse?questionnaire:below=http://a.example/q", "q0 q1 q2 q3 q4"),
        ("QuestionnaireResponse?questionnaire:below=http://a.example/q|1", "q1 q2"),
        ("QuestionnaireResponse?questionnaire:below=http://a.example/q|10", "q3"),
        ("QuestionnaireResponse?questionnaire:below=http://a.example/q|2.0", ""),
        ("QuestionnaireResponse?questionnaire:below=http://a.example", ""),
    ],
)  # fmt: skip
def test_a_part_of_a_value_finds_what_has_it(filled: Repository, operator: Scope, query: str, ids: str) -> None:
    type_, _, rest = query.partition("?")
    page = filled.search(operator, type_, f"{rest}&_total=accurate&_count=100")
    assert sorted(entry.id for entry in page.entries) == ids.split()
    assert page.total == len(ids.split())
    assert sorted(stored.id for stored in filled.all(operator, type_, f"{rest}&_count=1")) == ids.split()


@pytest.mark.conformance("FHIR R4: search", "date parameters: ap, within a tenth of the distance from now")
@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("birthdate=ap2006-11-22", "p1"), ("birthdate=ap2008", "p1"), ("birthdate=ap2009-06", ""), ("birthdate=ap2025-01-01", "p2"), ("birthdate=ap2026-11", ""),
        ("_lastUpdated=ap2026-11-22T08:00:00Z", "p1 p2"), ("_lastUpdated=ap2026-11-21", ""), ("birthdate=ap1980", ""),
    ],
)  # fmt: skip
def test_a_date_is_about_another(fake_clock: FakeClock, filled: Repository, operator: Scope, query: str, ids: str) -> None:
    assert sorted(entry.id for entry in filled.search(operator, "Patient", query).entries) == ids.split()


@pytest.mark.conformance("Attacks", "12: parts of hidden values find nothing")
@pytest.mark.conformance("Access", "a system alone and a text find nothing in hidden rows, in chains and totals neither")
def test_parts_of_hidden_values_find_nothing(repository: Repository, operator: Scope) -> None:
    repository.update(operator, "Patient", "p1", RESOURCES[0])
    repository.update(operator, "Observation", "secret", {**_observation("secret", (SNOMED, "1", "Voices")), "meta": PSY})
    for query in (f"code={SNOMED}|", "code:text=voices", "patient.identifier=urn:mrn|&code:text=v"):
        for role, total in (("clinician", 0), ("psychiatric-clinician", 1)):
            page = repository.search(scope(role), "Observation", f"{query}&_total=accurate")
            assert (len(page.entries), page.total) == (total, total), (query, role)
    assert repository.search(scope("clinician"), "Patient", "_has:Observation:patient:code:text=voices").entries == ()


@pytest.mark.conformance("FHIR R4: search", "the vocabulary follows writes, updates, deletions, rollbacks and other processes")
def test_words_come_with_their_resource_and_no_failed_write_is_remembered(database: Database, make_store: Callable[[Database], Store], operator: Scope) -> None:
    one, other = Repository(make_store(database)), Repository(make_store(database))

    def found(repository: Repository, query: str) -> list[str]:
        return [entry.id for entry in repository.search(operator, "Observation", query).entries]

    def fail(_: object) -> None:
        raise Conflict("no")

    with pytest.raises(Conflict):
        one.update(operator, "Observation", "o1", RESOURCES[2], also=fail)
    assert database.one("SELECT count(*) FROM vocabulary WHERE param > 0") == (0,)
    assert found(one, f"code={LOINC}|") == []
    one.update(operator, "Observation", "o1", RESOURCES[2])  # the process has not taken the words for known
    assert found(one, f"code={LOINC}|") == found(other, "code:text=body") == ["o1"]
    other.update(operator, "Observation", "o2", RESOURCES[3])  # some of its words are there, which it does not know
    assert sorted(found(one, f"code={LOINC}|")) == ["o1", "o2"]
    one.update(operator, "Observation", "o1", {**RESOURCES[2], "code": {"coding": [{"system": SNOMED, "code": "1"}]}})
    one.delete(operator, "Observation", "o2")
    assert found(other, f"code={LOINC}|") == found(other, "code:text=body") == []
    assert found(other, f"code={SNOMED}|") == ["o1"]
    one.update(operator, "Observation", "o2", RESOURCES[3])
    assert found(other, f"code={LOINC}|") == ["o2"]


@pytest.mark.conformance("FHIR R4: search", "a store that was filled before there was a vocabulary finds its codes, and says what must be indexed again first")
def test_a_store_from_before_the_vocabulary_finds_its_codes(database: Database, make_store: Callable[[Database], Store], operator: Scope) -> None:
    Repository(make_store(database)).update(operator, "Observation", "o1", RESOURCES[2])
    (param,) = database.one("SELECT param FROM vocabulary WHERE word = ?", ("8302-2",)) or ()
    (rid, rank) = database.one("SELECT rid, rank FROM resource") or ()
    old = (param, value_hash("8302-2"), rank, rid)
    database.write(lambda tx: [tx.run("DELETE FROM vocabulary"), tx.run("INSERT INTO idx_token (param, value, rank, rid) VALUES (?, ?, ?, ?)", old)])
    repository = Repository(make_store(database))
    repository.update(operator, "Observation", "o3", RESOURCES[4])
    for query, ids in (("code=8302-2", ["o1", "o3"]), ("code=8302-2&_total=accurate", ["o1", "o3"]), (f"code={LOINC}|8302-2", ["o1"]), ("code:not=8302-2", [])):
        assert sorted(entry.id for entry in repository.search(operator, "Observation", query).entries) == ids, query
    for query in (f"code={LOINC}|", "code:text=body"):
        with pytest.raises(Invalid, match=r"\$reindex"):
            repository.search(operator, "Observation", query)
    database.write(declare_whole)
    assert repository.search(operator, "Observation", "code:text=body").entries == ()


@pytest.mark.conformance("FHIR R4: interactions", "a condition may ask for a system alone or a text, and many who ask make one resource")
def test_a_condition_may_speak_of_parts(filled: Repository, operator: Scope) -> None:
    weight = json.dumps(_observation("x", (LOINC, "29463-7", "Body weight"))).encode()
    assert filled.create(operator, weight, type_="Observation", if_none_exist="code:text=body%20w").stored.id == "o2"
    made = [filled.create(operator, json.dumps(_observation("x", ("urn:new", "1", "New"))).encode(), type_="Observation", if_none_exist="code=urn:new|") for _ in range(3)]
    assert [written.created for written in made] == [True, False, False]


@pytest.mark.conformance("FHIR R4: search", "malformed parts of values answer 400")
@pytest.mark.parametrize("query", ["code:text=", "code:text=%20", "code:of-type=a|b|c", "status:text=final", "subject:text=Anna", "subject:below=Patient/1", "code=|"])
def test_malformed_parts_are_refused(filled: Repository, operator: Scope, query: str) -> None:
    with pytest.raises(Invalid):
        filled.search(operator, "Observation", query)
