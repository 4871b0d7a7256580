"""A journey with words that stand nowhere by chance: with the vault on no file of the data directory holds them, nor does a log, a metric or an event."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from contextlib import closing

import httpx
import pytest

from chartloop.demo.mllp_client import MllpClient
from tests.integration.product.clinic import Clinic, until
from tests.integration.telemetry.payloads import dexcom

WORDS = {
    "note": "zanzibarquill-note", "narrative": "zanzibarquill-narrative", "attachment": "zanzibarquill-attachment", "message": "zanzibarquill-message",
    "query": "zanzibarquill-query", "refused": "zanzibarquill-refused", "later": "zanzibarquill-later", "comment": "zanzibarquill-comment",
    "device": "zanzibarquill-device", "broken": "zanzibarquill-broken",
}  # fmt: skip
"""What was said, by the way on which it came in."""

INDEXED = "zanzibarquill-result"
"""A result in words is a search value (Observation.value-string): docs/explanation/encryption.md says that the index tells it."""

ORU = (
    "MSH|^~\\&|LAB|HOSP|EHR|HOSP|20261122080000||ORU^R01|MARK1|P|2.5.1\r"
    "PID|1||100^^^HOSP^MR||Doe^Jane||19700101|F\r"
    "PV1|1|O|||||||||||||||||V1^^^HOSP\r"
    "OBR|1|O1^LAB|F1^LAB|2345-7^Glucose^LN|||20261122073000\r"
    "OBX|1|ST|2345-7^Glucose^LN||zanzibarquill-result||||||F\r"
    "NTE|1||{said}\r"
)


def requests(server, tokens):
    """Say every word on its way; give the statuses of the answers."""
    div = '<div xmlns="http://www.w3.org/1999/xhtml">{}</div>'
    with httpx.Client(base_url=f"{server}/fhir", headers={"Authorization": f"Bearer {tokens[0]}"}, trust_env=False, timeout=30) as client:
        yield client.put("/Patient/p1", json={"resourceType": "Patient", "id": "p1", "text": {"status": "generated", "div": div.format(WORDS["narrative"])}})
        observation = {"resourceType": "Observation", "status": "final", "code": {"text": "mood"}, "subject": {"reference": "Patient/p1"}, "note": [{"text": WORDS["note"]}]}
        yield client.post("/Observation", json=observation)
        entry = {"resource": {**observation, "note": [{"text": WORDS["comment"]}]}, "request": {"method": "POST", "url": "Observation"}}
        yield client.post("", json={"resourceType": "Bundle", "type": "batch", "entry": [entry]}, headers={"Prefer": "respond-async"})
        content = [{"attachment": {"contentType": "text/plain", "title": WORDS["attachment"]}}]
        yield client.post("/DocumentReference", json={"resourceType": "DocumentReference", "status": "current", "subject": {"reference": "Patient/p1"}, "content": content})
        yield client.get("/Observation", params={"patient": "Patient/p1", "code:text": WORDS["query"]})
        yield client.get("/Observation", params={"patient": WORDS["later"]}, headers={"Prefer": "respond-async"})
        yield client.post("/Observation", json={**observation, "status": WORDS["refused"]})
        yield client.post("/Observation", content=f'{{"resourceType": "Observation", "note": "{WORDS["broken"]}', headers={"Content-Type": "application/fhir+json"})
        readings = {**dexcom(("r1", "2026-03-09T11:05:00Z", "2026-03-09T07:05:00-04:00", 99, "ok")), "userId": WORDS["device"]}
        yield httpx.post(
            f"{server}/intake/telemetry/dexcom", params={"subject": "Patient/p1", "zone": "America/New_York"}, json=readings,
            headers={"Authorization": f"Bearer {tokens[1]}"}, trust_env=False, timeout=30,
        )  # fmt: skip
        yield httpx.get(f"{server}/fhir/Patient/{WORDS['query']}", headers={"Authorization": "Bearer zanzibarquill-token"}, trust_env=False)


@pytest.fixture(scope="module")
def walked(tmp_path_factory):
    """A clinic after the journey, its server stopped as an operator stops it; what was said, what it wrote."""
    with Clinic(tmp_path_factory.mktemp("marked")) as clinic:
        (clinic.data / "demo").mkdir(parents=True, exist_ok=True)
        clinic.start_server()
        tokens = [clinic.chartloop("token", "--role", role).strip() for role in ("operator", "integration-engine")]
        statuses = [answer.status_code for answer in requests(clinic.demo.server, tokens)]
        with MllpClient("127.0.0.1", clinic.mllp_port) as client:
            client.deliver(ORU.format(said=WORDS["message"]))
        until(lambda: "mapped" in clinic_states(clinic), "the message to be worked off")
        metrics = httpx.get(f"{clinic.demo.server}/metrics", trust_env=False).text
        backup = clinic.data / "backup.sqlite3"
        with closing(sqlite3.connect(clinic.data / "chartloop.sqlite3")) as store:
            store.execute("VACUUM INTO ?", (str(backup),))
        clinic.parts.running["server"].terminate()
        clinic.parts.running.pop("server").wait()
        yield clinic, statuses, tokens, metrics


def clinic_states(clinic):
    with closing(sqlite3.connect(f"file:{clinic.data / 'chartloop.sqlite3'}?mode=ro", uri=True)) as store:
        return {state for (state,) in store.execute("SELECT state FROM hl7_message")}


def columns_holding(file, word):
    """Tables of a database that hold a word."""
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as store:
        names = [name for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name for name in names for row in store.execute(f"SELECT * FROM {name}") if word in repr(row).lower()}


def holding(clinic, *words):
    """Files that hold one of some words, in any case and in UTF-16 too."""
    wanted = [form for word in words for form in (word.encode().lower(), word.encode("utf-16-le").lower())]
    files = [path for path in clinic.data.rglob("*") if path.is_file()]
    assert len(files) > 8
    return sorted((path.relative_to(clinic.data).as_posix(), word) for path in files for word in wanted if word in path.read_bytes().lower())


@pytest.mark.conformance("Attacks", "100: no file holds what was said")
@pytest.mark.long
@pytest.mark.conformance("Encryption at rest", "after a journey over HTTP, MLLP and telemetry no file of the data directory and no backup holds a word of a note, message, narrative, query or payload")
def test_no_file_holds_what_was_said(walked):
    clinic, statuses, _, _ = walked
    assert statuses == [201, 201, 202, 201, 200, 202, 422, 400, 201, 401]
    assert holding(clinic, *WORDS.values()) == []


@pytest.mark.conformance("Attacks", "90: no token and no word is in logs metrics and events")
@pytest.mark.long
@pytest.mark.conformance("Privacy", "no log, metric, event or file holds an access token")
def test_no_token_and_no_word_is_in_logs_metrics_and_events(walked):
    clinic, _, tokens, metrics = walked
    assert holding(clinic, *tokens) == []
    with closing(sqlite3.connect(f"file:{clinic.data / 'chartloop.sqlite3'}?mode=ro", uri=True)) as store:
        events = repr([store.execute(f"SELECT * FROM {table}").fetchall() for table in ("event", "delivery", "dead_letter")])
    assert "ResourceCreated" in events
    assert columns_holding(clinic.data / "chartloop.sqlite3", INDEXED) == {"idx_string", "idx_composite"}
    for text in (clinic.log(), metrics, events):
        assert "zanzibarquill" not in text
        assert not any(token in text for token in tokens)


@pytest.mark.long
def test_with_the_vault_off_the_same_search_would_have_found_it(walked, tmp_path):
    """The search of files finds what is there: else the tests above would say nothing."""
    clinic, *_ = walked
    said = clinic.data / "said.txt"
    said.write_text(json.dumps(WORDS))
    assert {file for file, _ in holding(clinic, *WORDS.values())} == {"said.txt"}
    said.unlink()
    assert subprocess.run(["grep", "-rl", "Patient/p1", str(clinic.data)], capture_output=True, text=True, check=False).stdout, "index tables tell of ids, as the document says"
