"""`_filter` on both databases: literal resources in, literal ids out, also for readers with hidden rows and hidden elements."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest

from chartloop.kernel.access.scope import Scope
from chartloop.kernel.errors import Forbidden, Invalid
from fhir_server.capability import Built, capability_statement
from fhir_server.repository import Page, Repository
from fhir_server.search import hops as search_hops
from fhir_server.search.registry import Snapshot
from tests.integration.fhir_server.conftest import scope
from tests.integration.fhir_server.test_chains import RESOURCES

MORE = [
    {"resourceType": "Observation", "id": "day", "status": "amended", "code": {"coding": [{"system": "http://loinc.org", "code": "1-8"}]},
     "effectiveDateTime": "2026-02-03", "valueQuantity": {"value": 5.4, "system": "http://unitsofmeasure.org", "code": "mg"}},
    {"resourceType": "Observation", "id": "month", "status": "preliminary", "code": {"coding": [{"code": "1-8"}]}, "effectiveDateTime": "2026-02",
     "valueQuantity": {"value": 12, "system": "http://unitsofmeasure.org", "code": "mg"}},
    {"resourceType": "Observation", "id": "period", "status": "final", "code": {"coding": [{"code": "1-8"}]}, "effectivePeriod": {"start": "2026-02-10", "end": "2026-03-10"}},
    {"resourceType": "Patient", "id": "muller", "name": [{"family": "Müller-Lüdenscheidt", "given": ["Ève", "100%_x"]}, {"text": "Peter"}], "gender": "other"},
    {"resourceType": "RiskAssessment", "id": "risk", "status": "final", "subject": {"reference": "Patient/anna"}, "prediction": [{"probabilityDecimal": 0.25}]},
]  # fmt: skip

FILTERS: list[tuple[str, str, str, str]] = [
    # type, filter, what a clinician finds, what psychiatry finds
    ("Patient", 'name eq "smith"', "anna", "anna cleo"),
    ("Patient", "name eq smi", "", ""),
    ("Patient", "name co ITH", "anna", "anna cleo"),
    ("Patient", "name sw jo or name ew enscheidt", "bert muller", "bert muller"),
    ("Patient", "name ew Mu", "", ""),
    ("Patient", "given co %_", "muller", "muller"),
    ("Patient", "given eq eve", "muller", "muller"),
    ("Patient", "name ne smith", "bert muller", "bert muller"),
    ("Patient", "name gt peter", "anna", "anna cleo"),
    ("Patient", "name ge peter and not (name eq smith)", "muller", "muller"),
    ("Patient", "name lt jz", "bert muller", "bert muller"),
    ("Patient", "name le peter", "bert muller", "bert muller"),
    ("Patient", "gender eq male or gender eq female", "anna bert", "anna bert"),
    ("Patient", "gender ne male", "anna muller", "anna muller"),
    ("Patient", "not (gender eq male)", "anna muller", "anna cleo muller"),
    ("Patient", "gender pr false", "", "cleo"),
    ("Patient", "gender pr true and (name eq smith or name eq jones)", "anna bert", "anna bert"),
    ("Patient", "name eq smith or gender eq male and gender eq female", "anna", "anna"),
    ("Patient", "name eq smith or (gender eq male and gender eq female)", "anna", "anna cleo"),
    ("Patient", "not (not (gender eq male))", "bert", "bert"),
    ("Patient", "_id eq anna or identifier eq urn:mrn|2", "anna bert", "anna bert"),
    ("Patient", "_id ne anna and not(_id eq muller)", "bert", "bert cleo"),
    ("Patient", "_lastUpdated gt 2020-01-01 and gender eq male", "bert", "bert"),
    ("Patient", "_lastUpdated lt 2020-01-01 or gender eq male", "bert", "bert"),
    ("Patient", "organization re Organization/south", "bert", "bert"),
    ("Patient", "organization re http://127.0.0.1:8080/fhir/Organization/south or gender eq female", "anna bert", "anna bert"),
    ("Patient", "_has:Observation:patient:code eq loinc|29463-7 or gender eq other", "anna muller", "anna cleo muller"),
    ("Patient", "not (_has:Observation:patient:code eq 44261-6)", "anna bert muller", "anna cleo muller"),
    ("Observation", 'subject:Patient.name co "mit"', "weight", "closed weight"),
    ("Observation", "not (subject:Patient.name eq smith)", "closed day device height month period", "day device height month mood period"),
    ("Observation", "subject:Patient.name ne smith", "height", "height mood"),
    ("Observation", "subject:Patient.gender pr false or subject:Device.identifier eq urn:mrn|1", "device", "closed device"),
    ("Observation", "patient.general-practitioner:PractitionerRole.organization.name sw south", "weight", "weight"),
    ("Observation", "subject:Patient.gender ne male and code eq 29463-7", "weight", "weight"),
    ("Observation", "date eq 2026-02", "day month", "day month"),
    ("Observation", "date co 2026-02-03", "day month", "day month"),
    ("Observation", "date co 2026-02-20T10:00:00Z", "month period", "month period"),
    ("Observation", "date po 2026-02-10", "month period", "month period"),
    ("Observation", "date po 2026-03", "period", "period"),
    ("Observation", "date sa 2026-02-03 or date eb 2026", "period", "period"),
    ("Observation", "date ne 2026-01-01 and date pr true", "day month period", "day month period"),
    ("Observation", "value-quantity gt 5|ucum|mg", "day month", "day month"),
    ("Observation", "value-quantity eq 5.4|ucum|mg or value-quantity ge 12||mg", "day month", "day month"),
    ("Observation", "not (value-quantity lt 10) and code eq |1-8", "month period", "month period"),
    ("RiskAssessment", "probability gt 0.2 and probability ne 0.26", "risk", "risk"),
]  # fmt: skip


def asked(text: str, more: str = "") -> str:
    """A query of one filter."""
    return f"_filter={quote(text)}{more}"


@pytest.fixture
def filled(repository: Repository, operator: Scope) -> Repository:
    """What chains are tested on, and dates and names that only a filter tells apart."""
    for resource in [*RESOURCES, *MORE]:
        repository.update(operator, resource["resourceType"], resource["id"], resource)
    return repository


def _page(repository: Repository, reader: Scope, type_: str, text: str, limit: int) -> Page | None:
    """The first page; None where a low limit of the hops refuses the search."""
    try:
        return repository.search(reader, type_, asked(text, "&_total=accurate&_sort=_id"))
    except Invalid as refused:
        if limit == 2 and refused.issues[0].code == "too-costly":
            return None
        raise


@pytest.mark.conformance("FHIR R4: search", "_filter: eq ne co sw ew gt lt ge le sa eb pr po re, and, or, not, chains and _has, with totals and sorting")
@pytest.mark.conformance("Access", "not in a filter is not over the visible rows, and a chain in it does not pass through what is hidden")
@pytest.mark.parametrize("limit", [10_000, 2])
@pytest.mark.parametrize(("type_", "text", "seen", "all_of_it"), FILTERS)
def test_a_filter_finds_what_it_says(
    filled: Repository, monkeypatch: pytest.MonkeyPatch, type_: str, text: str, seen: str, all_of_it: str, limit: int
) -> None:
    monkeypatch.setattr(search_hops, "MAX_LINKED", limit)
    for role, ids in (("clinician", seen), ("psychiatric-clinician", all_of_it)):
        page = _page(filled, scope(role), type_, text, limit)
        if page is None:
            continue
        assert (" ".join(entry.id for entry in page.entries), page.total) == (ids, len(ids.split())), role


@pytest.mark.conformance("FHIR R4: search", "_filter with other parameters, more than once, with pages, and in its self link")
def test_a_filter_is_one_condition_among_others(filled: Repository, operator: Scope) -> None:
    query = asked("code eq 1-8 or code eq 29463-7", "&status=final&" + asked("not (date pr false)"))
    page = filled.search(operator, "Observation", query + "&_count=1&_sort=_id")
    assert [each.id for each in filled.all(operator, "Observation", query + "&_count=1&_sort=_id")] == ["closed", "device", "period", "weight"]
    assert page.self_query.count("_filter=") == 2
    assert "_cursor" in str(page.next)


@pytest.mark.conformance("FHIR R4: search", "_filter in conditional create, update and delete, and refused in the far end of a chain")
def test_a_condition_may_be_a_filter(filled: Repository, operator: Scope) -> None:
    body = {key: value for key, value in RESOURCES[4].items() if key != "id"}
    assert filled.create(operator, body, if_none_exist=asked("name eq smith and gender pr true")).stored.id == "anna"
    assert filled.conditional_update(operator, "Patient", asked("name eq jones or name eq jonas"), {**body, "id": "bert"}).stored.id == "bert"
    assert filled.conditional_delete(operator, "Patient", asked("not (name eq smith)")).stored.id == "muller"
    with pytest.raises(Invalid):
        filled.search(operator, "Observation", "subject:Patient._filter=name%20eq%20x")


@pytest.mark.conformance("Attacks", "11: a hidden element is not filtered on")
@pytest.mark.conformance("Access", "a filter on a hidden element is refused as the plain parameter is, also under not and at the far end of a chain")
def test_a_hidden_element_is_not_filtered_on(filled: Repository) -> None:
    biller, engine = scope("billing-administrator"), scope("risk-engine")
    for query in ("name eq smith", "not (birthdate lt 1980-01-01)"):
        filled.search(biller, "Patient", asked(query))
    for reader, type_, text in (
        (biller, "Encounter", "reason-code eq 1"), (biller, "Encounter", "status eq finished or not (reason-code eq 1)"),
        (biller, "Encounter", "patient.name eq smith or reason-reference:Observation.code eq 1"),
        (biller, "Patient", "gender eq male or not (_has:Observation:patient:code eq 1)"),
        (engine, "Patient", "not (general-practitioner:Organization.name eq north)"),
    ):  # fmt: skip
        with pytest.raises(Forbidden):
            filled.search(reader, type_, asked(text))
            pytest.fail(text)
    with pytest.raises(Forbidden):
        filled.create(biller, {"resourceType": "Encounter", "status": "planned", "class": {"code": "AMB"}}, if_none_exist=asked("not (reason-code eq 1)"))


@pytest.mark.conformance("FHIR R4: search", "_filter stands in the CapabilityStatement of every type")
def test_the_capability_statement_says_it() -> None:
    rest = json.loads(capability_statement("http://x/fhir", ("search-type",), Built(Snapshot(0))))["rest"][0]
    assert all({"name": "_filter", "type": "special"} in each["searchParam"] for each in rest["resource"] if each["type"] != "AuditEvent")
    assert "token: eq, in, ne, ni, pr, sb, ss;" in rest["documentation"]


@pytest.mark.conformance("FHIR R4: search", "_filter: at most 50 criteria and 8 chains in one search, filters and plain parameters together")
def test_a_search_has_a_bounded_number_of_conditions(filled: Repository, operator: Scope) -> None:
    many = " or ".join(["gender pr true"] * 30)
    filled.search(operator, "Patient", asked(many))
    with pytest.raises(Invalid) as caught:
        filled.search(operator, "Patient", asked(many, "&" + asked(many)))
    assert caught.value.issues[0].text == "A search has at most 50 criteria."
    with pytest.raises(Invalid) as caught:
        filled.search(operator, "Observation", asked(" or ".join(["subject:Patient.name eq x"] * 9)))
    assert caught.value.issues[0].text == "A search has at most 8 chained parameters."
