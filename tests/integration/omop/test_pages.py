"""The researcher's pages through the whole server: who gets in, what they show, what is recorded, on SQLite.

Spec: https://build.fhir.org/ig/HL7/fhir-omop-ig/conformance.html
"""

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.test import Client

from chartloop.app import open_door, open_kernel
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.audit.journal import audit_directory
from chartloop.kernel.audit.record import opened
from chartloop.kernel.audit.segment import MAGIC, frames, segments
from chartloop.kernel.auth import issue, issue_for_cli
from chartloop.kernel.config import load_settings
from chartloop.web import build_wsgi
from omop_bridge.database import open_cdm, open_lineage
from smart_apps.sessions import Sessions
from tests.integration.omop.rows import measurement, person, put

CHART = [
    "Patient",
    "Patient/p1",
    "Observation",
    "Observation/o1",
    "Observation/_history",
    "Encounter",
    "Condition",
    "DocumentReference",
    "Claim",
    "AuditEvent",
    "metadata",
]
PAGES = ["/omop", "/omop/tables/measurement", "/omop/tables/measurement/1"]


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A server with a small CDM behind it."""
    data = tmp_path_factory.mktemp("house")
    kernel = open_kernel(load_settings({"data": data}))
    _fill(kernel.settings)
    with kernel:
        door = open_door(kernel)
        operator = Subject("user:0", "operator", scopes=("system/*.cruds",))
        door.repository.update(
            Scope(operator, "update"), "Patient", "p1", json.dumps({"resourceType": "Patient", "id": "p1", "birthDate": "1967-08-02"}).encode()
        )
        yield House(kernel, build_wsgi(kernel, door.repository), data)


def _fill(settings):
    cdm, lineage = open_cdm(settings.omop_url), open_lineage(settings.omop_lineage_url)
    person(cdm, 1)
    person(cdm, 2)
    measurement(
        cdm,
        1,
        "8480-6",
        3004249,
        measurement_date="2026-11-20",
        value_as_number=148.0,
        unit_concept_id=8876,
        unit_source_value="mm[Hg]",
        value_source_value="148",
    )
    for number in range(2, 121):
        measurement(cdm, number, "75328-5", of=2)
    put(
        cdm, "note", note_id=1, person_id=1, note_type_concept_id=32831, note_title="Psychiatry", note_text="Feels watched <b>always</b>", language_concept_id=0
    )
    put(cdm, "observation_period", observation_period_id=1, person_id=1, period_type_concept_id=32882)
    rows = [
        ("Patient", "p1", "person", "person", 1, 1),
        ("Patient", "p2", "person", "person", 2, 2),
        ("Observation", "o1", "component[0]", "measurement", 1, 1),
    ]
    rows += [("Observation", f"x{number}", "code", "measurement", number, 2) for number in range(2, 121)]
    insert = "INSERT INTO omop_row (type, id, key, cdm_table, row_id, person_id, version, live) VALUES (?, ?, ?, ?, ?, ?, ?, 1)"
    lineage.write(lambda tx: tx.many(insert, [(*row, 3) for row in rows]))
    excluded = [("Observation", "o9", "", "entered-in-error"), ("Observation", "o8", "", "entered-in-error"), ("Encounter", "e9", "", "cancelled")]
    lineage.write(lambda tx: tx.many("INSERT INTO omop_excluded (type, id, key, reason) VALUES (?, ?, ?, ?)", excluded))
    run = (1, "rebuild", 1_795_000_000_000_000, 1_795_000_012_000_000, 1_794_999_000_000_000, 321, 123, "chartloop seed 1", "chartloop 0.1.0", "{}")
    lineage.write(lambda tx: tx.run(f"INSERT INTO omop_run VALUES ({', '.join('?' * 10)})", run))
    cdm.close()
    lineage.close()


class House:
    def __init__(self, kernel, wsgi, data):
        self.kernel, self.wsgi, self.data = kernel, wsgi, data

    def token(self, role, **more):
        return self.kernel.database.write(lambda tx: issue_for_cli(tx, self.kernel.access.policies, role, **more))

    def get(self, path, role=None, *, accept="text/html", **query):
        headers = {"Accept": accept} | ({"Authorization": f"Bearer {self.token(role)}"} if role else {})
        return Client(self.wsgi).get(path, headers=headers, query_string=query or None)

    def data_of(self, path, role, **query):
        answer = self.get(path, role, accept="application/json", **query)
        assert answer.status_code == 200, answer.text
        assert answer.headers["Content-Type"] == "application/json"
        return answer.json

    def audited(self):
        """Every record of the journal."""
        vault = self.kernel.vault
        kept = [framed for file in segments(audit_directory(self.data)) for framed in frames(file.read_bytes()[len(MAGIC) :], len(MAGIC))]
        return [msgspec.json.decode(opened(framed.codec, framed.body, vault)) for framed in kept]


@pytest.mark.conformance("Attacks", "70: a researchers token reaches the tables and not the live chart")
@pytest.mark.conformance("OMOP", "A researcher's token reaches the OMOP pages and not the live chart")
def test_a_researchers_token_reaches_the_tables_and_not_the_live_chart(house):
    for page in PAGES:
        assert house.get(page, "researcher").status_code == 200
    statuses = {path: house.get(f"/fhir/{path}", "researcher", accept="application/fhir+json").status_code for path in CHART if path != "metadata"}
    assert statuses == dict.fromkeys(statuses, 403)


@pytest.mark.conformance("OMOP", "Who has no right to the research database gets 403, whatever they may see in the chart")
@pytest.mark.parametrize("role", ["clinician", "coder", "billing-administrator", "operator", "omop-bridge", "payer"])
def test_the_people_of_the_chart_have_no_right_to_the_tables(house, role):
    for page in [*PAGES, "/omop/tables/nonsense", "/omop/tables/measurement/999"]:
        assert house.get(page, role).status_code == 403
    assert house.get("/omop", role, accept="application/json").json == {
        "error": {"code": "forbidden", "text": "Your role has no right to the research database."}
    }


def test_nobody_gets_in_without_a_token_or_a_session(house):
    answer = house.get("/omop")
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert Client(house.wsgi).get("/omop", headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert Client(house.wsgi).get("/omop", headers={"Authorization": "Basic eDp5"}).status_code == 401


def test_scopes_narrow_what_a_token_of_a_researcher_reaches(house):
    for scopes, status in ((("user/Patient.rs",), 403), (("patient/*.rs",), 403), (("user/*.c",), 403), (("user/*.rs",), 200)):
        subject = Subject("user:5", "researcher", user="Practitioner/5", scopes=scopes)
        token = house.kernel.database.write(lambda tx, subject=subject: issue(tx, subject))
        assert Client(house.wsgi).get("/omop", headers={"Authorization": f"Bearer {token}"}).status_code == status


@pytest.mark.conformance(
    "OMOP", "The first page tells the rows of every table, the last run, the share with a concept, and what was left out by reason (f2o-062, f2o-122)"
)
def test_the_first_page_tells_what_is_there_and_what_is_not(house):
    told = house.data_of("/omop", "researcher")
    tables = {table["table"]: table for table in told["tables"]}
    assert len(tables) == 39
    assert (tables["measurement"]["rows"], tables["drug_exposure"]["rows"]) == (120, 0)
    assert tables["measurement"]["fields"][0] == {"field": "measurement_concept_id", "coded": 120, "mapped": 1, "share": 1 / 120}
    assert told["exclusions"] == [
        {"type": "Observation", "reason": "entered-in-error", "excluded": 2},
        {"type": "Encounter", "reason": "cancelled", "excluded": 1},
    ]
    assert told["unmapped"][0] == {"table": "measurement", "field": "measurement_concept_id", "code": "75328-5", "vocabulary": "LOINC", "rows": 119}
    assert {key: told["run"][key] for key in ("number", "kind", "watermark", "resources", "rows")} == {
        "number": 1,
        "kind": "rebuild",
        "watermark": "2026-11-18T10:50:00.000Z",
        "resources": 321,
        "rows": 123,
    }
    page = house.get("/omop", "researcher").text
    for words in ("rebuild 1", "entered in error", "75328-5", "drug_exposure", "chartloop seed 1"):
        assert words in page


def test_rows_are_paged_by_key_and_every_row_comes_once(house):
    seen, path = [], "/omop/tables/measurement"
    while path:
        told = house.data_of(path, "researcher")
        assert len(told["rows"]) <= 50
        seen += [row["measurement_id"] for row in told["rows"]]
        path = told["next"]
    assert seen == list(range(1, 121))
    assert house.data_of("/omop/tables/measurement", "researcher")["concepts"]["3004249"] == "Systolic blood pressure"


@pytest.mark.parametrize(
    "query",
    [
        "page=2",
        "page=WzEsMl0",
        "page=WyJhIl0",
        "page=WzFd%00",
        "page=////",
        "page=WzFd&page=WzFd",
        "pages=WzFd",
        "page=W3RydWVd",
        "page=WzFlOTk5XQ",
        "page=" + "W" * 3000,
    ],
)
def test_a_page_that_the_table_never_gave_is_refused(house, query):
    answer = Client(house.wsgi).get(
        f"/omop/tables/measurement?{query}", headers={"Authorization": f"Bearer {house.token('researcher')}", "Accept": "application/json"}
    )
    assert (answer.status_code, answer.json["error"]["code"]) == (400, "invalid")


@settings(max_examples=150, deadline=None)
@given(cursor=st.text(max_size=40) | st.binary(max_size=20).map(lambda raw: __import__("base64").urlsafe_b64encode(raw).decode()))
def test_no_cursor_breaks_the_page(house, cursor):
    token = getattr(house, "kept", None) or house.token("researcher")
    house.kept = token
    for table in ("person", "death", "concept_relationship"):
        assert Client(house.wsgi).get(f"/omop/tables/{table}", headers={"Authorization": f"Bearer {token}"}, query_string={"page": cursor}).status_code in (
            200,
            400,
        )


def test_every_table_has_a_page(house):
    for table in house.data_of("/omop", "researcher")["tables"]:
        assert house.get(f"/omop/tables/{table['table']}", "researcher").status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "tables/nonsense",
        "tables/omop_row",
        "tables/concept%3B",
        "tables/measurement/999",
        "tables/measurement/-1",
        "tables/measurement/x",
        "tables/measurement/99999999999999999999",
        "tables/concept_ancestor/1",
        "tables/person/%C2%B2",
    ],
)
def test_what_is_not_there_is_not_found(house, path):
    assert house.get(f"/omop/{path}", "researcher").status_code == 404


@pytest.mark.conformance("Attacks", "70: where a row came from is told to those who may")
@pytest.mark.conformance("OMOP", "Lineage by row for those who may: resource, version and element; nothing of it for a researcher (f2o-024, f2o-100)")
def test_where_a_row_came_from_is_told_to_those_who_may(house):
    assert house.data_of("/omop/tables/measurement/1", "privacy-officer")["lineage"] == [
        {"reference": "Observation/o1", "version": 3, "element": "component[0]"}
    ]
    page = house.get("/omop/tables/measurement/1", "auditor").text
    assert "Observation/o1" in page
    assert "component[0]" in page
    assert house.data_of("/omop/tables/observation_period/1", "auditor")["lineage"] == []
    assert "derived from other rows" in house.get("/omop/tables/observation_period/1", "auditor").text
    for accept in ("text/html", "application/json"):
        answer = house.get("/omop/tables/measurement/1", "researcher", accept=accept)
        assert answer.status_code == 200
        assert "Observation" not in answer.text.replace("observation", "")
        assert "o1" not in answer.text
    assert house.data_of("/omop/tables/measurement/1", "researcher")["lineage"] is None


@pytest.mark.conformance("OMOP", "Lineage followed forwards, from a resource to its rows, for those who may; a researcher's question is refused and recorded")
def test_the_rows_of_a_resource_are_told_to_those_who_may(house):
    told = house.data_of("/omop/lineage?resource=Observation/o1", "privacy-officer")
    assert told["resource"] == "Observation/o1"
    assert {"table": "measurement", "id": 1, "element": "component[0]"} in told["rows"]
    assert house.data_of("/omop/lineage?resource=Observation/nobody", "auditor")["rows"] == []
    refused = house.get("/omop/lineage?resource=Observation/o1", "researcher", accept="application/json")
    assert refused.status_code == 403
    assert "measurement" not in refused.text
    for resource in ("", "o1", "Observation/", "Observation/o1;", "Observation/o1/_history/2"):
        assert house.get(f"/omop/lineage?resource={resource}", "auditor").status_code == 400
    shown, refusal = [record for record in house.audited() if record["interaction"].startswith("omop-") and "Observation/o1" in record["targets"]][-2:]
    assert (shown["interaction"], shown["outcome"], shown["patients"]) == ("omop-lineage", "0", ["Patient/p1"])
    assert (refusal["outcome"], refusal["subject"]["role"]) == ("4", "researcher")


@pytest.mark.conformance("Attacks", "70: words are on no page")
@pytest.mark.conformance("OMOP", "No page shows free text: the columns that may hold words or names are named and left out")
@pytest.mark.parametrize("role", ["researcher", "privacy-officer", "auditor"])
def test_words_are_on_no_page(house, role):
    for path in ("/omop/tables/note", "/omop/tables/note/1"):
        told = house.data_of(path, role)
        assert told["withheld"] == ["note_text", "note_title"]
        both = json.dumps(told) + house.get(path, role).text
        assert "watched" not in both
        assert "Psychiatry" not in both
    assert "148" not in json.dumps(house.data_of("/omop/tables/measurement/1", role)["row"].get("value_source_value"))


def test_a_policy_may_open_the_words(house, tmp_path, monkeypatch):
    import shutil

    from chartloop.kernel.access.engine import Access
    from chartloop.kernel.access.policy_set import SHIPPED
    from chartloop.kernel.audit.journal import Audit
    from omop_bridge.guard import Guard

    folder = tmp_path / "policies"
    shutil.copytree(SHIPPED, folder)
    (folder / "project.cedar").write_text(
        '@id("project-7") permit (principal in Role::"researcher", action == Action::"omop-text", resource) when { resource.type == "omop" };'
    )
    audit = Audit(tmp_path)
    guard = Guard(Access(folder), audit, lambda: Subject("user:5", "researcher", scopes=("user/*.rs",)))
    assert guard.let_in("r1", "omop").words
    audit.close()
    assert not Guard(house.kernel.access, house.kernel.audit, guard.who).let_in("r2", "omop").words


@pytest.mark.conformance("OMOP", "Every view of the research database is in the audit log, with the patients that it concerns; so is every refusal")
def test_every_view_and_every_refusal_is_audited(house):
    house.get("/omop/tables/measurement", "researcher")
    house.get("/omop/tables/measurement/1", "privacy-officer")
    house.get("/omop/tables/measurement/1", "clinician")
    house.get("/omop")
    records = [record for record in house.audited() if record["interaction"].startswith("omop-")]
    listed, lineage, refused, nobody = records[-4:]
    assert (listed["interaction"], listed["outcome"], listed["targets"], listed["patients"]) == (
        "omop-read",
        "0",
        ["omop/measurement"],
        ["Patient/p1", "Patient/p2"],
    )
    assert (lineage["interaction"], lineage["targets"], lineage["patients"]) == ("omop-lineage", ["omop/measurement/1", "Observation/o1"], ["Patient/p1"])
    assert (refused["outcome"], refused["reason"], refused["subject"]["role"]) == ("4", "forbidden", "clinician")
    assert (nobody["outcome"], nobody["reason"], nobody["subject"]["id"]) == ("4", "unauthenticated", "anonymous")


@pytest.mark.parametrize(
    ("path", "category", "target"),
    [
        ("/omop/tables/nothing", "not-found", "omop/nothing"),
        ("/omop/tables/person/999", "not-found", "omop/person/999"),
        ("/omop/tables/person?page=x", "invalid", "omop/person"),
        ("/omop/tables/person?pgae=x", "invalid", "omop/person"),
        ("/omop/lineage?resource=Observation/o1", "forbidden", "Observation/o1"),
    ],
)
@pytest.mark.conformance("OMOP", "A question of a researcher that gets no answer is in the audit log too, once")
def test_what_a_researcher_asked_for_in_vain_is_audited_once(house, path, category, target):
    before = len(house.audited())
    token = house.token("researcher")
    Client(house.wsgi).get(path, headers={"Authorization": f"Bearer {token}"})
    (record,) = [each for each in house.audited()[before:] if each["interaction"].startswith("omop-")]
    assert (record["outcome"], record["reason"], record["targets"], record["subject"]["role"]) == ("4", category, [target], "researcher")
    assert record["query"] == path.partition("?")[2]


def test_a_page_has_a_strict_policy_and_no_script_or_style_of_its_own(house):
    for path in PAGES:
        answer = house.get(path, "researcher")
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'self'")
        assert "script-src" not in answer.headers["Content-Security-Policy"]
        assert answer.headers["Cache-Control"] == "no-store"
        assert "<script" not in answer.text
        assert " style=" not in answer.text
    with Client(house.wsgi).get("/omop/static/omop.css") as sheet:
        assert sheet.status_code == 200


def test_what_a_source_wrote_stands_on_the_page_as_text(house):
    cdm = open_cdm(house.kernel.settings.omop_url)
    measurement(cdm, 900, "<img src=x onerror=alert(1)>")
    cdm.close()
    assert "<img" not in house.get("/omop/tables/measurement/900", "researcher").text
    cdm = open_cdm(house.kernel.settings.omop_url)
    cdm.write(lambda tx: tx.run("DELETE FROM measurement WHERE measurement_id = 900"))
    cdm.close()


@pytest.mark.conformance("OMOP", "Whoever enters the EHR with a role that has only the research database is led to it")
def test_the_ehr_leads_a_researcher_to_the_research_database(house):
    ticket = Sessions(house.kernel.database).mint_ticket(Subject("user:5", "researcher", user="Practitioner/5", scopes=("user/*.rs",)), "Rosa")
    browser = Client(house.wsgi)
    assert browser.get("/ehr/enter", query_string={"ticket": ticket}).status_code == 303
    led = browser.get("/ehr/")
    assert (led.status_code, led.headers["Location"]) == (303, "/omop")
    assert browser.get("/omop").status_code == 200
    assert "Your role opens no page" not in browser.get("/ehr/").text
    assert browser.get("/fhir/Patient").status_code == 401
