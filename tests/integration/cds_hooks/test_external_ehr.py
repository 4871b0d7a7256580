"""A call of another EHR: its patient is one of ours by a configured rule and on its own word, or is nobody here."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from cds_hooks.ehrs import EhrRule
from tests.integration.cds_hooks.conftest import World
from tests.unit.cds_hooks.samples import RISK, authorization, bundle, risk

MRN = "urn:oid:2.16.840.1.113883.19.5"
KEY = "their-token"


class Elsewhere:
    """The FHIR server of another EHR, which gives a Patient to whoever holds its token."""

    def __init__(self) -> None:
        self.patients: dict[str, Any] = {}
        self.asked: list[str] = []
        ehr = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                ehr.asked.append(self.path)
                found = ehr.patients.get(self.path.rpartition("/")[2])
                allowed = self.headers["Authorization"] == f"Bearer {KEY}"
                body = json.dumps(found).encode() if found and allowed else b"{}"
                self.send_response(200 if found and allowed else 403)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.base = f"http://127.0.0.1:{self._server.server_port}/r4"

    def admit(self, id_: str, *values: str, system: str = MRN, **more: Any) -> None:
        self.patients[id_] = {"resourceType": "Patient", "id": id_, "identifier": [{"system": system, "value": value, **more} for value in values]}

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    made = Elsewhere()
    yield made
    made.close()


@pytest.fixture
def ours(world: World, elsewhere: Elsewhere) -> World:
    """Two patients of ours, a prediction for the first, and a rule for the EHR elsewhere."""
    world.rules = (EhrRule(elsewhere.base, MRN),)
    world.__post_init__()
    world.put(
        {"resourceType": "Patient", "id": "p1", "identifier": [{"system": MRN, "value": "M,1|2"}]},
        {"resourceType": "Patient", "id": "p2", "identifier": [{"system": MRN, "value": "M-2"}, {"system": MRN, "value": "shared"}]},
        {"resourceType": "Patient", "id": "p3", "identifier": [{"system": MRN, "value": "shared"}]},
        {"resourceType": "Patient", "id": "p4", "identifier": [{"system": MRN, "value": "merged"}], "link": [{"other": {"reference": "Patient/p1"}, "type": "replaced-by"}]},
        RISK,
        risk(id="r9", identifier=None, subject={"reference": "Patient/p2"}, prediction=[{"probabilityDecimal": 0.4}]),
    )
    return world


def asking(elsewhere: Elsewhere, id_: str, token: str = KEY, **more: Any) -> dict[str, Any]:
    return {"prefetch": None, "fhirServer": elsewhere.base, "fhirAuthorization": authorization(token), "context": {"userId": "Practitioner/77", "patientId": id_}, **more}


def mapped(world: World) -> list[tuple[str, list[str], list[str], str]]:
    return [(each["outcome"], each["targets"], each["patients"], each["reason"]) for each in world.every_record() if each["interaction"] == "patient-mapped"]


@pytest.mark.conformance("Access", "(fhirServer, patient id) of an external EHR is our Patient by a configured rule and on that EHR's own word; the record names the rule")
def test_their_patient_is_ours_by_the_identifier_that_their_server_gives(ours: World, elsewhere: Elsewhere) -> None:
    elsewhere.admit("e-17", "M,1|2")
    (card,) = ours.cards(**asking(elsewhere, "e-17"))
    assert "5.4 %" in card["summary"]
    assert elsewhere.asked == ["/r4/Patient/e-17"]
    theirs = f"{elsewhere.base}/Patient/e-17"
    assert mapped(ours) == [("0", [theirs, "Patient/p1"], ["Patient/p1"], f"identifier of {MRN}")]
    (shown,) = ours.shown()
    assert (shown["targets"], shown["patients"]) == (["RiskAssessment/r1"], ["Patient/p1"])


@pytest.mark.conformance("Access", "an external EHR's patient that matches nobody for sure, or of whom its server says nothing, gets no card, whatever the call claims")
@pytest.mark.parametrize(
    ("values", "more", "why"),
    [
        (("nobody",), {}, "0 patients"),
        (("shared",), {}, "2 patients"),
        (("merged",), {}, "0 patients"),
        (("M,1|2", "M-2"), {}, "2 identifiers"),
        ((), {}, "0 identifiers"),
        (("M,1|2",), {"use": "old"}, "0 identifiers"),
        (("M,1|2",), {"system": "urn:other"}, "0 identifiers"),
    ],
)
def test_without_one_match_there_is_no_card(ours: World, elsewhere: Elsewhere, values: tuple[str, ...], more: dict[str, Any], why: str) -> None:
    elsewhere.admit("e-17", *values, **more)
    claimed = {"resourceType": "Patient", "id": "e-17", "identifier": [{"system": MRN, "value": "M,1|2"}]}
    assert ours.cards(**asking(elsewhere, "e-17", prefetch={"patient": claimed})) == []
    ((outcome, _, patients, reason),) = mapped(ours)
    assert (outcome, patients, reason) == ("4", [], f"identifier of {MRN}: {why}")
    assert ours.shown() == []


@pytest.mark.conformance("Attacks", "60: a call that names a known EHR without a token of it that opens the patient reads nothing of the store")
def test_without_a_token_of_that_ehr_nothing_is_read(ours: World, elsewhere: Elsewhere) -> None:
    elsewhere.admit("e-17", "M,1|2")
    elsewhere.patients["e-18"] = {"resourceType": "Patient", "id": "e-17", "identifier": [{"system": MRN, "value": "M,1|2"}]}
    for call in (asking(elsewhere, "e-17", "stolen"), asking(elsewhere, "e-17", ours.token()), asking(elsewhere, "e-18"), asking(elsewhere, "e-19")):
        assert ours.cards(**call) == []
    assert [each["interaction"] for each in ours.every_record()] == ["patient-mapped"] * 4
    claimed = {"patient": {"resourceType": "Patient", "id": "e-17", "identifier": [{"system": MRN, "value": "M,1|2"}]}}
    assert ours.ask(**asking(elsewhere, "e-17", prefetch=claimed, fhirAuthorization=None)).status_code == 412


def test_a_server_without_a_rule_is_not_called_and_maps_to_nobody(ours: World, elsewhere: Elsewhere) -> None:
    elsewhere.admit("e-17", "M,1|2")
    for server in (f"{elsewhere.base}/other", elsewhere.base.replace("127.0.0.1", "localhost"), elsewhere.base.upper()):
        assert ours.ask(**asking(elsewhere, "e-17", fhirServer=server)).status_code == 412
    assert (elsewhere.asked, mapped(ours)) == ([], [])


def test_a_prefix_maps_ids_and_prefetched_predictions_are_shown_as_they_came(ours: World, elsewhere: Elsewhere) -> None:
    ours.rules = (EhrRule(f"{elsewhere.base}/", prefix="p"),)
    ours.__post_init__()
    elsewhere.admit("1")
    elsewhere.admit("x" * 64)
    assert len(ours.cards(**asking(elsewhere, "1"))) == 1
    assert mapped(ours)[0][2:] == (["Patient/p1"], "id after p")
    assert ours.cards(**asking(elsewhere, "x" * 64)) == []
    brought = risk(subject={"reference": "Patient/1"})
    assert len(ours.cards(**asking(elsewhere, "1", prefetch={"risk": bundle(brought)}))) == 1
    assert len(elsewhere.asked) == 2


@pytest.mark.conformance("Access", "what a patient denied is not told to another EHR either")
def test_a_patient_who_said_no_gets_no_card_elsewhere(ours: World, elsewhere: Elsewhere) -> None:
    elsewhere.admit("e-17", "M,1|2")
    scope = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": "patient-privacy"}]}
    ours.put({
        "resourceType": "Consent", "id": "c", "status": "active", "scope": scope, "category": [{"text": "consent"}], "patient": {"reference": "Patient/p1"},
        "policyRule": {"text": "as signed"}, "provision": {"type": "deny", "class": [{"system": "http://hl7.org/fhir/resource-types", "code": "RiskAssessment"}]},
    })  # fmt: skip
    assert ours.cards(**asking(elsewhere, "e-17")) == []
