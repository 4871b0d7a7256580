"""Attacks by search: nothing that is hidden can be found, counted, ordered, halved or led to."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest

from fhir_server.search.params import for_type
from tests.integration.attacks.conftest import BASE, NOT_HERS, Door, pressure, said

HIDDEN_OF_NOTES = ("description", "authenticator", "relatesto", "relation", "relationship", "related", "location", "event", "security-label")
"""Search parameters of DocumentReference whose elements the billing administrator never sees."""


@pytest.mark.conformance("Attacks", "01: a value is not found by halving what a _has asks, with the right to the type or without")
@pytest.mark.parametrize(("who", "status"), [("biller", 403), ("researcher", 403), ("stranger", 200), ("ada", 200), ("bert", 200)])
def test_no_value_is_found_by_halving_what_a_has_asks(door: Door, who: str, status: int) -> None:
    asked = [f"Patient?_id=p1&_has:Observation:patient:code-value-quantity=8480-6${sign}{value}&_summary=count" for value in (130, 149, 150, 151) for sign in ("gt", "lt", "")]
    answers = [door(who, "GET", query) for query in asked]
    assert {answer.status_code for answer in answers} == {status}
    found = {json.loads(answer.data).get("total") for answer in answers}
    if who == "ada":  # her own patient, of whom she sees 120 alone
        assert [json.loads(answer.data)["total"] for answer in answers] == [0, 1, 0] * 4
    else:
        assert len(found) == 1
        assert not found & {1}


@pytest.mark.conformance("Attacks", "02: a chain through a resource that is hidden, or an element that is, leads nowhere")
def test_a_chain_through_what_is_hidden_leads_nowhere(door: Door) -> None:
    claim = {"resourceType": "Claim", "id": "c1", "status": "draft", "use": "claim", "created": "2026-01-03", "type": {"coding": [{"code": "professional"}]}, "patient": {"reference": "Patient/p1"},
             "provider": {"reference": "Organization/o"}, "priority": {"coding": [{"code": "normal"}]}, "insurance": [{"sequence": 1, "focal": True, "coverage": {"reference": "Coverage/v"}}],
             "item": [{"sequence": 1, "productOrService": {"coding": [{"code": "90837"}]}, "encounter": [{"reference": "Encounter/e1"}]}]}  # fmt: skip
    door.put(claim, {**json.loads(door("operator", "GET", "Encounter/e1").data), "diagnosis": [{"condition": {"reference": "Condition/mood"}}]})
    for code in ("F32.1", "F99"):
        assert door("biller", "GET", f"Claim?encounter:Encounter.diagnosis:Condition.code={code}").status_code == 403
        assert door.ids("ada", f"Claim?encounter:Encounter.diagnosis:Condition.code={code}") == []
    assert door.ids("psychiatrist", "Claim?encounter:Encounter.diagnosis:Condition.code=F32.1") == ["c1"]


@pytest.mark.conformance("Attacks", "03: each hop of a nested _has is filtered, and there are at most three")
def test_each_hop_of_a_nested_has_is_filtered(door: Door) -> None:
    door.put({"resourceType": "Provenance", "id": "pr", "recorded": "2026-01-02T00:00:00Z", "target": [{"reference": "Observation/secret"}], "agent": [{"who": {"reference": "Practitioner/kim"}}]})
    nested = "Patient?_has:Observation:patient:_has:Provenance:target:agent=Practitioner/kim"
    assert [door.ids(who, nested) for who in ("psychiatrist", "ada", "stranger")] == [["p1"], [], []]
    assert [door(who, "GET", nested).status_code for who in ("biller", "bert")] == [403, 403]
    deep = "Patient?" + "_has:Observation:patient:_has:Provenance:target:" * 2 + "agent=Practitioner/kim"
    assert door("ada", "GET", deep).status_code == 400


@pytest.mark.conformance("Attacks", "10: an order by a hidden element is refused, a strange name answers 400")
def test_nothing_is_ordered_by_what_is_hidden_or_strange(door: Door) -> None:
    for code in HIDDEN_OF_NOTES:
        answer = door("biller", "GET", f"DocumentReference?_sort=-{code}")
        assert answer.status_code in (400, 403), code
    assert door("biller", "GET", "DocumentReference?_sort=description").status_code == 403
    for name in ("__proto__", "constructor", "__class__", "toString", "-", "--date", "date,", "", "%00", "_sort"):
        assert door("ada", "GET", f"DocumentReference?_sort={name}").status_code in (200, 400), name
        assert door("ada", "GET", f"DocumentReference?_sort={name}").status_code == 400 or not name
        assert door("ada", "GET", f"DocumentReference?{name or 'x'}=1").status_code == 400, name


@pytest.mark.conformance("Attacks", "11: who sees no words of a note cannot search for words")
def test_nobody_searches_for_words_that_they_may_not_see(door: Door) -> None:
    for query in ("_filter=description co voices", "_filter=description pr true", "_text=voices", "_content=voices", "_query=words", "description:contains=voices", "description:exact=He hears voices"):
        for path in ("DocumentReference?", "?_type=DocumentReference&", "Patient/p1/DocumentReference?"):
            assert door("biller", "GET", path + quote(query, "=&?:")).status_code in (400, 403), (path, query)


@pytest.mark.conformance("Attacks", "12: every search parameter on a hidden element is refused, with every modifier, whatever is stored")
def test_every_parameter_on_a_hidden_element_is_refused_with_every_modifier(door: Door) -> None:
    known = for_type("DocumentReference")
    assert set(HIDDEN_OF_NOTES) <= set(known)
    for code in HIDDEN_OF_NOTES:
        value = {"date": "2026", "reference": "Practitioner/kim", "composite": "DocumentReference/a$replaces"}.get(known[code].type, "He")
        for modifier, asked in [("", value), (":missing", "true"), (":missing", "false"), (":not", value), (":not-in", "http://a.example"), (":contains", value), (":text", value), (":identifier", "a|b")]:
            answer = door("biller", "GET", f"DocumentReference?{code}{modifier}={quote(asked)}")
            assert answer.status_code in (400, 403), (code, modifier)
            assert answer.status_code == 403 or modifier not in ("", ":missing"), code


@pytest.mark.conformance("Attacks", "13: of several patients named in one search, only the permitted ones are found, in whatever place they stand")
def test_of_several_patients_the_permitted_are_found(door: Door) -> None:
    for query in ("patient=p1,p2", "patient=p2,p1", "subject=Patient/p2,Patient/p1", f"subject={BASE}/Patient/p2,{BASE}/Patient/p1", "subject:Patient=p2,p1", "patient.birthdate=1980-06-06,1970-05-05"):
        assert {who: door.ids(who, f"Observation?{query}&_sort=_id") for who in ("anna", "bert", "ada", "stranger")} == {"anna": ["o1", "secret"], "bert": ["o2"], "ada": ["o1"], "stranger": ["o2"]}, query
    assert door.ids("anna", "Observation?patient=p1&patient=p2") == []


@pytest.mark.conformance("Attacks", "14: a search by POST takes address and body together, and finds what a GET of both finds")
@pytest.mark.parametrize(("query", "form"), [("patient=p2", "patient=p1"), ("patient=p1", "patient=p2"), ("_id=o2", "_id=secret"), ("", "patient=p2&patient=p1"), ("", "_id=o1&_id=o2,secret")])
def test_address_and_body_of_a_posted_search_hold_together(door: Door, query: str, form: str) -> None:
    both = "&".join(part for part in (query, form) if part)
    for who in ("anna", "ada", "stranger"):
        posted = door(who, "POST", f"Observation/_search?{query}", form.encode(), Content_Type="application/x-www-form-urlencoded")
        assert posted.status_code == 200
        assert [entry["resource"]["id"] for entry in json.loads(posted.data).get("entry", ())] == door.ids(who, f"Observation?{both}") == []


@pytest.mark.conformance("Attacks", "15: a compartment is searched under the same policies, by GET and POST, of whatever it is about")
def test_a_compartment_shows_nothing_more(door: Door) -> None:
    for place in ("Patient/p1/Observation", "Patient/p1/*?_type=Observation", "Encounter/e1/Observation", "Practitioner/kim/DocumentReference", "Patient/p1/*", "Practitioner/kim/*"):
        for who in NOT_HERS:
            answer = door(who, "GET", place)
            assert b"secret" not in answer.data, (who, place)
            assert b"hidden" not in answer.data.replace(b"is hidden from you", b""), (who, place)
    # Only the element that is hidden from billing puts the plain note into Kim's compartment.
    assert door.ids("biller", "Practitioner/kim/DocumentReference") == []
    assert door.ids("ada", "Practitioner/kim/DocumentReference") == ["plain"]


@pytest.mark.conformance("Attacks", "18: contained resources are not searched for themselves, and a label in one closes what contains it")
def test_what_is_contained_is_not_found_past_its_container(door: Door) -> None:
    inner = {"resourceType": "Condition", "id": "in", "subject": {"reference": "Patient/p1"}, "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "F32.1"}]}}
    door.put(pressure("holder", 1, 99, contained=[inner], focus=[{"reference": "#in"}]))
    for query in ("_contained=both", "_contained=true", "_containedType=contained", "_contained=both&_containedType=container"):
        assert door("ada", "GET", f"Observation?{query}").status_code == 400
        assert b"F32" not in door("ada", "GET", f"Observation?{query}", Prefer="handling=lenient").data
    assert "holder" not in door.ids("ada", "Observation?patient=p1")
    assert "holder" in door.ids("psychiatrist", "Observation?patient=p1")


@pytest.mark.conformance("Attacks", "21: a link between patients opens nothing: there is no policy that follows it")
def test_a_link_between_patients_opens_nothing(door: Door) -> None:
    door.put({"resourceType": "Patient", "id": "p1", "link": [{"other": {"reference": "Patient/p2"}, "type": "seealso"}]})
    assert door("anna", "GET", "Patient/p2").status_code == door("anna", "GET", "Observation/o2").status_code == 404
    for path in ("Patient/p1/$everything", "Patient?_id=p1&_include=*", "Patient?_id=p1&_include:iterate=Patient:link&_revinclude:iterate=*", "Patient?link=Patient/p2&_revinclude=Observation:subject"):
        answer = door("anna", "GET", path)
        assert answer.status_code == 200
        assert b'"id":"p2"' not in answer.data, path
        assert b"Bert" not in answer.data, path
        assert b'"id":"o2"' not in answer.data, path


@pytest.mark.conformance("Attacks", "22: a row without a patient, and one without a label, is decided by what it has: closed to who needs a patient of their own")
def test_a_row_that_says_nothing_of_itself_is_nobodys(door: Door) -> None:
    bare = pressure("bare", 1, 100)
    del bare["subject"]
    door.put(bare)
    for who in ("anna", "bert", "ada", "stranger", "biller", "researcher"):
        assert door(who, "GET", "Observation/bare").status_code in (403, 404), who
    assert said(door("ada", "GET", "Observation/bare")) == said(door("ada", "GET", "Observation/nothing"))
