"""The CapabilityStatement, all of it: what it declares works, what works it declares, and the rows of the R4 specification say the same."""

from __future__ import annotations

import json
import re
import tarfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from chartloop.kernel.errors import Invalid
from fhir_server.api import OPEN, ROUTES
from fhir_server.operations.table import INSTANCE, OPERATIONS, SYSTEM, TYPE
from fhir_server.search.query import parse
from fhir_server.store import Store
from fhir_server.type_ids import TYPE_IDS
from tests.conformance.r4_matrix import Row, asked, tables
from tests.integration.fhir_server.test_http import PATIENT, Api

pytestmark = pytest.mark.parametrize("filled", ["sqlite"], indirect=True, scope="module")  # it says the same on both databases
AREA = "FHIR R4: interactions"
TYPES = ("Basic", "Encounter", "Group", "Location", "Observation", "Patient", "Provenance", "ValueSet")
"""Asked over HTTP, and for what is not declared."""
PATCHES = {"application/json-patch+json": b"[]", "application/fhir+json": b'{"resourceType":"Parameters"}', "application/fhir+xml": b'<Parameters xmlns="http://hl7.org/fhir"/>'}
OUTCOMES = {
    "read": ("GET", "{type}/none", 404), "vread": ("GET", "{type}/none/_history/1", 404), "update": ("PUT", "{type}/none", 400), "patch": ("PATCH", "{type}/none", 404),
    "delete": ("DELETE", "{type}/none", 404), "history-instance": ("GET", "{type}/none/_history", 404), "history-type": ("GET", "{type}/_history", 200),
    "create": ("POST", "{type}", 400), "search-type": ("GET", "{type}", 200), "transaction": ("POST", "", 200), "batch": ("POST", "", 200),
    "history-system": ("GET", "_history", 200), "search-system": ("GET", "?_id=none", 200),
}  # fmt: skip
"""What each interaction answers to a request that changes nothing."""


@pytest.fixture(scope="module")
def statement(served: Api) -> dict[str, Any]:
    """What the server says of itself, to everybody."""
    answer = served("GET", "/fhir/metadata", role="")
    assert answer.status_code == 200
    return dict(json.loads(answer.data))


@pytest.fixture(scope="module")
def rest(statement: dict[str, Any]) -> dict[str, Any]:
    """Its RESTful part."""
    [only] = statement["rest"]
    return dict(only)


def _of(rest: dict[str, Any], type_: str) -> dict[str, Any]:
    return next(dict(each) for each in rest["resource"] if each["type"] == type_)


@cache
def _rows(title: str) -> dict[str, Row]:
    return {row.words: row for table in tables() if table.title == title for row in table.rows}


def _ask(api: Api, interaction: str, type_: str = "") -> int:
    method, path, _ = OUTCOMES[interaction]
    body: object = None
    headers = {}
    if interaction in ("transaction", "batch"):
        body = {"resourceType": "Bundle", "type": interaction}
    elif method in ("PUT", "POST"):
        body = b"{"
    elif method == "PATCH":
        body, headers = b"[]", {"Content_Type": "application/json-patch+json"}
    return api(method, f"/fhir/{path.format(type=type_)}", body, **headers).status_code


@pytest.mark.conformance(AREA, "CapabilityStatement: every interaction that is declared answers, on every type and on the system, and every route is declared")
def test_every_declared_interaction_answers_and_every_route_is_declared(served: Api, rest: dict[str, Any]) -> None:
    types = {each["type"]: {said["code"] for said in each["interaction"]} for each in rest["resource"]}
    assert set(TYPE_IDS) - set(types) <= {"AuditEvent"}
    routed = {route.interaction for route in ROUTES if route.interaction}
    system = {each["code"] for each in rest["interaction"]}
    for type_, codes in types.items():
        assert codes | system == routed or type_ == "AuditEvent"
        statuses = {code: _ask(served, code, type_) for code in codes} if type_ in TYPES else {}
        assert {code: status for code, status in statuses.items() if status != OUTCOMES[code][2]} == {}, type_
    assert {code: _ask(served, code) for code in system} == {code: OUTCOMES[code][2] for code in system}
    words = " ".join(words for words, row in _rows("Interactions").items() if not row.reason)
    assert [code for code in routed if code.partition("-")[0] not in words] == []


@pytest.mark.conformance(AREA, "CapabilityStatement: versioning, readHistory, updateCreate and the conditional interactions are as they are declared")
def test_versions_and_conditions_are_as_declared(served: Api, rest: dict[str, Any]) -> None:
    said = {(each["versioning"], each["readHistory"], each["updateCreate"], each["conditionalCreate"], each["conditionalRead"], each["conditionalUpdate"], each["conditionalDelete"])
            for each in rest["resource"] if each["type"] != "AuditEvent"}  # fmt: skip
    assert said == {("versioned-update", True, False, True, "full-support", True, "single")}
    first = {"resourceType": "Basic", "id": "v", "code": {"coding": [{"code": "v"}]}}
    weight = {"resourceType": "Observation", "id": "w", "status": "final", "code": {"text": "weight"}}
    assert served("PUT", "/fhir/Observation/w", weight, role="clinician").status_code == 405  # updateCreate
    assert served("PUT", "/fhir/Basic/v", first).status_code == 201  # but for who may assign ids, as the documentation says
    assert "where the client may assign ids" in rest["documentation"]
    assert served("PUT", "/fhir/Basic/v", {**first, "created": "2024"}, If_Match='W/"1"').headers["ETag"] == 'W/"2"'
    assert served("PUT", "/fhir/Basic/v", first, If_Match='W/"1"').status_code == 412
    assert served("GET", "/fhir/Basic/v/_history/1").status_code == 200  # readHistory
    read = served("GET", "/fhir/Basic/v")
    assert served("GET", "/fhir/Basic/v", If_None_Match=read.headers["ETag"]).status_code == 304
    assert served("GET", "/fhir/Basic/v", If_Modified_Since=read.headers["Last-Modified"]).status_code == 304
    assert served("POST", "/fhir/Basic", first, If_None_Exist="code=v").status_code == 200
    assert served("PUT", "/fhir/Basic?code=v", {**first, "created": "2025"}).status_code == 200
    assert served("POST", "/fhir/Basic", first).status_code == 201
    assert [served(method, "/fhir/Basic?code=v", first).status_code for method in ("PUT", "DELETE")] == [412, 412]
    for entry in json.loads(served("GET", "/fhir/Basic?code=v").data)["entry"]:
        served("DELETE", f"/fhir/Basic/{entry['resource']['id']}")


@cache
def _published(package: Path) -> dict[str, dict[str, str]]:
    """Type -> code -> kind, of the SearchParameters that R4 publishes; examples and those of extension packs have a row of their own."""
    found: dict[str, dict[str, str]] = {}
    with tarfile.open(package) as archive:
        for member in archive:
            content = archive.extractfile(member) if Path(member.name).name.startswith("SearchParameter-") else None
            parameter = json.load(content) if content is not None else {"id": ""}
            of_r4 = "-extensions-" not in parameter["id"] and "extension(" not in parameter.get("expression", "").lower() and not parameter["id"].startswith("example")
            for base in parameter.get("base", ()) if of_r4 else ():
                found.setdefault(base, {})[parameter["code"]] = parameter["type"]
    return found


@pytest.mark.conformance(AREA, "CapabilityStatement: the search parameters of every type are those that R4 publishes, but for those that the matrix gives a reason for")
def test_the_declared_parameters_are_those_that_r4_publishes(rest: dict[str, Any], published: Path) -> None:
    found, own = _published(published), {"_filter": "special", "_has": "string", "_list": "string"}
    absent = {"_query", "_text", "_content"}  # no named queries; this store has no index of words
    for each in rest["resource"]:
        if each["type"] == "AuditEvent":
            continue
        wanted = {**found["Resource"], **found["DomainResource"], **found.get(each["type"], {})}
        said = {param["name"]: param["type"] for param in each["searchParam"]}
        assert said == {**{code: kind for code, kind in wanted.items() if code not in absent}, **own}, each["type"]
    of_all = {param["name"]: param["type"] for param in rest["searchParam"]}
    assert of_all == {**{code: kind for code, kind in found["Resource"].items() if code not in absent}, **own, "_type": "token"}


@pytest.mark.conformance(AREA, "CapabilityStatement: every search parameter that is declared is answered, of every type and of the system, and no other is")
def test_every_declared_parameter_is_answered_and_no_other_is(served: Api, filled: Store, rest: dict[str, Any]) -> None:
    said = {each["type"]: {param["name"]: param["type"] for param in each["searchParam"]} for each in rest["resource"]}
    for type_, params in said.items():
        for code in params.keys() - {"_id", "_lastUpdated", "_filter", "_has", "_list"}:
            assert parse(type_, f"{code}:missing=true", filled.parameters.now).criteria, (type_, code)
        for code in {name for others in said.values() for name in others} - params.keys() if type_ in TYPES else ():
            with pytest.raises(Invalid):
                parse(type_, f"{code}=1", filled.parameters.now)
    values = {"_id": "x", "_lastUpdated": "2026", "_filter": "_id%20eq%20x", "_list": "x", "_type": "Patient", "_has": ""}
    for type_ in TYPES:
        for code in said[type_]:
            query = f"{code}={values[code]}" if values.get(code) else "_has:Provenance:target:_id=x" if code == "_has" else f"{code}:missing=true"
            assert served("GET", f"/fhir/{type_}?{query}").status_code == 200, (type_, code)
    for param in rest["searchParam"]:
        query = f"{param['name']}={values[param['name']]}" if values.get(param["name"]) else "_has:Provenance:target:_id=x" if param["name"] == "_has" else f"{param['name']}:missing=true"
        assert served("GET", f"/fhir?{query}&_type=Patient").status_code == 200, param
    for text in ("_text=x", "_content=x", "_query=x"):
        assert served("GET", f"/fhir/Patient?{text}").status_code == 400


@pytest.mark.conformance(AREA, "CapabilityStatement: every include and reverse include that is declared is answered, and no other is")
def test_every_declared_include_is_answered_and_no_other_is(served: Api, filled: Store, rest: dict[str, Any]) -> None:
    references = {f"{each['type']}:{param['name']}" for each in rest["resource"] for param in each["searchParam"] if param["type"] == "reference" and each["type"] != "AuditEvent"}
    for each in (one for one in rest["resource"] if one["type"] != "AuditEvent"):
        type_, declared = each["type"], set(each.get("searchInclude", ()))
        assert declared == ({"*", f"{type_}:*", *(one for one in references if one.startswith(f"{type_}:"))} if declared else set())
        for include in declared:
            parse(type_, f"_include={include}&_include:iterate={include}", filled.parameters.now)
        back = set(each["searchRevInclude"])
        assert back <= references | {"*"}
        for source in references if type_ in TYPES else ():
            leads = _leads(filled, source, type_)
            assert (source in back) == leads, (type_, source)
    for type_ in TYPES:
        each = _of(rest, type_)
        for name, values in (("_include", each.get("searchInclude", ())), ("_revinclude", each["searchRevInclude"])):
            for value in list(values)[:10]:
                assert served("GET", f"/fhir/{type_}?{name}={value}&_count=1").status_code == 200, (type_, value)


def _leads(store: Store, source: str, target: str) -> bool:
    try:
        parse(target, f"_revinclude={source}:{target}", store.parameters.now)
    except Invalid:
        return False
    return True


@pytest.mark.conformance(AREA, "CapabilityStatement: operations are those that are routed and those that the matrix calls tested; each has its definition and answers")
def test_operations_are_those_that_are_routed_and_tested(served: Api, rest: dict[str, Any]) -> None:
    routed = {(type_, each.name, each.canonical) for each in OPERATIONS for type_ in (each.types or TYPE_IDS) if each.levels != (SYSTEM,)}
    declared = {(each["type"], one["name"], one["definition"]) for each in rest["resource"] for one in each.get("operation", ())}
    assert {each for each in routed if each[0] != "AuditEvent"} == {each for each in declared if each[0] != "AuditEvent"}
    assert {(one["name"], one["definition"]) for one in rest["operation"]} == {(each.name, each.canonical) for each in OPERATIONS if SYSTEM in each.levels}
    tested = {f"http://hl7.org/fhir/OperationDefinition/{words}" for words, row in _rows("Operations").items() if not row.reason}
    own = {each.canonical for each in OPERATIONS if not each.canonical.startswith("http://hl7.org/fhir/")}
    assert {canonical for _, _, canonical in declared} | {one["definition"] for one in rest["operation"]} == tested | own
    for operation in OPERATIONS:
        path = {TYPE: "Patient", INSTANCE: f"{(operation.types or ('Patient',))[0]}/p-smith", SYSTEM: ""}
        for level in (each for each in operation.levels if each in path):
            for method in operation.methods:
                answer = served(method, f"/fhir/{path[level]}/${operation.name}".replace("//", "/"))
                assert answer.status_code not in (405, 500), (operation.name, level)
                assert answer.status_code != 404 or (operation.types and operation.types[0] != "Patient"), (operation.name, level)
    for name in ("lookup", "expand", "export", "graphql", "match", "document"):
        assert served("GET", f"/fhir/Patient/${name}").status_code == 404


@pytest.mark.conformance(AREA, "CapabilityStatement: format and patchFormat are what is read and written, and nothing else is")
def test_formats_are_those_that_are_read_and_written(served: Api, statement: dict[str, Any]) -> None:
    for name in statement["format"]:
        answer = served("GET", f"/fhir/Patient/p-smith?_format={name}")
        assert (answer.status_code, "xml" in answer.headers["Content-Type"]) == (200, "xml" in name)
    assert {served("GET", f"/fhir/Patient/p-smith?_format={name}").status_code for name in ("ttl", "application/fhir+turtle", "html", "ndjson", "application/fhir+ndjson")} == {406}
    assert set(statement["patchFormat"]) == set(PATCHES)
    for media, body in PATCHES.items():
        assert served("PATCH", "/fhir/Patient/none", body, Content_Type=media).status_code == 404
    assert served("PATCH", "/fhir/Patient/none", b"<diff/>", Content_Type="application/xml-patch+xml").status_code == 415
    assert _rows("Interactions")["XML Patch: application/xml-patch+xml"].reason
    assert (statement["fhirVersion"], statement["kind"], statement["status"]) == ("4.0.1", "instance", "active")
    assert served("GET", "/fhir/Patient/p-smith", Accept="application/fhir+json;fhirVersion=5.0").status_code == 406


@pytest.mark.conformance(AREA, "CapabilityStatement: compartments are those that are searched; security names SMART, its addresses and CORS")
def test_compartments_and_security_are_as_declared(served: Api, rest: dict[str, Any]) -> None:
    declared = {each.rpartition("/")[2] for each in rest["compartment"]}
    assert declared == {"device", "encounter", "patient", "practitioner", "relatedPerson"}
    for type_ in ("Device", "Encounter", "Patient", "Practitioner", "RelatedPerson", "Organization", "Location"):
        status = served("GET", f"/fhir/{type_}/{'p-smith' if type_ == 'Patient' else 'none'}/*").status_code
        expected = 200 if type_ == "Patient" else 404 if type_[0].lower() + type_[1:] in declared else 405
        assert status == expected, type_
    assert rest["security"]["cors"] is True
    assert rest["security"]["service"][0]["coding"][0]["code"] == "SMART-on-FHIR"
    assert served("GET", "/fhir/Patient", role="").status_code == 401
    assert [served("GET", f"/fhir{rule.replace('<id_>', 'Patient-everything')}", role="").status_code for rule in OPEN] == [200] * len(OPEN)


@pytest.mark.conformance(AREA, "CapabilityStatement: the modifiers and prefixes that its words name are those that the tables of this page find supported")
def test_its_words_name_the_modifiers_and_prefixes_that_are_supported(rest: dict[str, Any]) -> None:
    words = rest["documentation"]
    said = {kind: set(re.findall(r":[a-z-]+|:\[type\]", re.search(rf"(?:^|[;.] (?:Of kinds: )?){kind}: ([^;.]*)", words)[1])) for kind in ("string", "token", "uri")}  # type: ignore[index]
    shown = {kind: {each.word for each in asked("r4_modifiers.toml") if each.kind == kind and not each.reason} - {":missing"} for kind in said}
    assert said == shown
    assert {":identifier", ":[type]"} <= {each.word for each in asked("r4_modifiers.toml") if each.kind == "reference" and not each.reason}
    assert "reference: :identifier and :[type]" in words
    assert all(not each.reason for each in asked("r4_modifiers.toml") if each.word == ":missing")
    prefixes = re.search(r"Prefixes of numbers, dates and quantities: ([a-z ]*)\.", words)
    assert prefixes is not None
    assert set(prefixes[1].split()) == {each.word for each in asked("r4_prefixes.toml") if each.kind == "date"} - {"none"}


@pytest.mark.conformance(AREA, "CapabilityStatement: it says what is refused, and it is refused")
def test_what_it_says_is_refused(served: Api, rest: dict[str, Any]) -> None:
    assert "no _query and no _score" in rest["documentation"]
    for query in ("_query=x", "_sort=_score"):
        assert served("GET", f"/fhir/Patient?{query}").status_code == 400
    assert served("POST", "/fhir/Patient", {**PATIENT, "resourceType": "Colour"}).status_code == 400
