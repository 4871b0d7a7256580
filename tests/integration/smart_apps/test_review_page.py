"""The review app's page without a browser: Streamlit runs it, the test clicks."""

import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from smart_apps.client.fhir import ChangedError, EhrError, SessionEndedError
from smart_apps.client.sessions import AppSession
from tests.journeys import chart

ME = "Practitioner/7"
WORLD: dict[str, Any] = {}


class Ehr:
    """An EHR in memory."""

    def __init__(self, session: AppSession | None = None) -> None:
        self.resources = {f"{r['resourceType']}/{r['id']}": {**r, "meta": {"versionId": "1"}} for r in chart.resources()}
        self.codes: list[tuple[str, str]] | None = [("I11.0", "Hypertensive heart disease"), ("I11.9", "Hypertensive heart disease, other")]
        self.collide = False
        self.fail: Exception | None = None

    def read(self, reference: str) -> dict[str, Any] | None:
        if self.fail:
            raise self.fail
        return self.resources.get(reference)

    def search(self, resource_type: str, **params: str) -> list[dict[str, Any]]:
        return [r for r in self.resources.values() if r["resourceType"] == resource_type and (resource_type != "Task" or r["status"] in params["status"])]

    def update(self, resource: dict[str, Any]) -> dict[str, Any]:
        if self.collide:
            self.collide = False
            raise ChangedError
        self.resources[f"Task/{resource['id']}"] = resource
        return resource

    def find_codes(self, text: str) -> list[tuple[str, str]] | None:
        return self.codes


@pytest.fixture(autouse=True)
def main_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streamlit's test puts its script into the place of __main__; whoever spawns a process later would run it."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])


@pytest.fixture
def ehr(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ehr]:
    stored = Ehr()
    WORLD.update(ehr=stored, session=AppSession("https://ehr.example/fhir", "t", "", "", ME, "p1", expires=2**62, references=("Task/t1",)))
    yield stored
    WORLD.clear()


def script() -> None:
    """What Streamlit runs: the page, with this test's EHR and session."""
    from unittest.mock import patch

    from smart_apps.coder_app import page
    from tests.integration.smart_apps.test_review_page import WORLD

    class Store:
        def find(self, secret: str | None) -> object:
            return WORLD["session"]

    with patch.object(page, "Ehr", lambda session: WORLD["ehr"]), patch.object(page, "store", Store):
        page.main()


@pytest.fixture
def opened(ehr: Ehr) -> Callable[..., AppTest]:
    def run(task: str = "") -> AppTest:
        app = AppTest.from_function(script, default_timeout=30)
        if task:
            app.query_params["task"] = task
        app.run()
        assert not app.exception, app.exception
        return app

    return run


def press(app: AppTest, label: str) -> AppTest:
    next(b for b in app.button if b.label.startswith(label)).click().run()
    assert not app.exception, app.exception
    return app


def shown(app: AppTest) -> str:
    return "\n".join(str(m.value) for kind in (app.markdown, app.caption, app.warning, app.info, app.success, app.error, app.title) for m in kind)


@pytest.mark.conformance("The loop", "4 Review: a coder accepts, replaces, rejects and submits")
def test_suggestions_are_accepted_replaced_rejected_and_submitted(ehr: Ehr, opened: Callable[..., AppTest]) -> None:
    app = opened()
    assert ehr.resources["Task/t1"]["owner"] == {"reference": ME}
    press(app, "Accept")
    press(app, "Replace")
    app.text_input(key="replace-s3-text").set_value("hypertensive").run()
    assert not any(b.label.startswith("Use") for b in app.button)  # several match: a person chooses
    app.selectbox[0].set_value(("I11.0", "Hypertensive heart disease")).run()
    press(app, "Use I11.0 instead")
    press(app, "Reject")
    app.pills(key="why-s4").set_value("negated").run()
    press(app, "Submit decisions")
    assert "Your decisions were submitted." in shown(app)
    kinds = [o["type"]["coding"][0]["code"] for o in ehr.resources["Task/t1"]["output"]]
    assert kinds == ["accept", "replace", "reject", "chart-complete"]


def test_a_decision_can_be_taken_back_and_cards_be_walked(ehr: Ehr, opened: Callable[..., AppTest]) -> None:
    app = opened()
    press(app, "Accept")
    press(app, "**I50\\.23**")
    assert "1 of 4 decided" in shown(app)
    press(app, "Undo")
    assert "0 of 4 decided" in shown(app)
    press(app, "Next")
    press(app, "Give back")
    assert ehr.resources["Task/t1"]["status"] == "requested"


@pytest.mark.conformance("The loop", "4 Review: a coder adds a missed code")
def test_a_missed_code_is_added_and_removed(ehr: Ehr, opened: Callable[..., AppTest]) -> None:
    ehr.codes = None
    app = opened()
    app.text_input(key="add-text").set_value("no code").run()
    assert "A code looks like E11.9" in shown(app)
    app.text_input(key="add-text").set_value("z87.891").run()
    press(app, "Add Z87.891")
    assert "added by you" in shown(app)
    press(app, "Remove")
    assert "added by you" not in shown(app)
    ehr.codes = []
    app.text_input(key="add-text").set_value("nothing like it").run()
    assert "No billable code matches." in shown(app)


@pytest.mark.conformance("Review app", "a change by somebody else is announced, and nothing is overwritten")
def test_a_collision_is_announced_and_resolved(ehr: Ehr, opened: Callable[..., AppTest]) -> None:
    app = opened()
    ehr.collide = True
    press(app, "Submit decisions")
    assert "Somebody else changed this task" in shown(app)
    press(app, "Load it as it is now")
    press(app, "Submit decisions")
    assert "Your decisions were submitted." in shown(app)


def test_a_review_that_came_back_says_why_and_keeps_its_decisions(ehr: Ehr, opened: Callable[..., AppTest]) -> None:
    app = opened()
    press(app, "Accept")
    press(app, "Submit decisions")
    ehr.resources["Task/t1"] = {**ehr.resources["Task/t1"], "status": "in-progress", "statusReason": {"text": "No such code."}}
    app.run()
    app.run()
    assert "This review came back: No such code" in shown(app)
    assert "1 of 4 decided" in shown(app)


def test_the_claim_is_followed_with_the_payers_answer(ehr: Ehr, opened: Callable[..., AppTest]) -> None:
    coding = {"coding": [{"code": "I10", "display": "Hypertension"}]}
    ehr.resources["Claim/c1"].update(status="active", diagnosis=[{"sequence": 1, "diagnosisCodeableConcept": coding}])
    ehr.resources["ClaimResponse/r"] = {"resourceType": "ClaimResponse", "outcome": "complete", "disposition": "Paid"}
    app = opened()
    press(app, "Submit decisions")
    assert "Released to the payer" in shown(app)
    assert "Payer: **complete** Paid" in shown(app)
    del ehr.resources["Claim/c1"]
    app.run()
    assert "The claim is not visible to you." in shown(app)
    press(app, "Next task")
    assert "Nothing waits for review." in shown(app)


def test_the_queue_lists_mine_and_free_ones(ehr: Ehr, opened: Callable[..., AppTest]) -> None:
    mine = {**chart.task("t2"), "status": "in-progress", "owner": {"reference": ME}, "meta": {"versionId": "1"}}
    other = {**mine, "id": "t3", "owner": {"reference": "Practitioner/8"}}
    ehr.resources.update({"Task/t2": mine, "Task/t3": other})
    app = opened("queue")
    assert [h.value for h in app.subheader] == ["In your hands (1)", "Waiting (1)"]
    press(app, "Open")
    assert "Suggested codes" in shown(app)
    press(app, "Queue")
    assert "Coding review queue" in shown(app)


def test_what_cannot_be_seen_or_decided_says_so(ehr: Ehr, opened: Callable[..., AppTest]) -> None:
    assert "There is no such task for you." in shown(opened("unknown"))
    ehr.resources["Task/t1"].update(status="in-progress", owner={"reference": "Practitioner/8"})
    ehr.resources["Task/t1"]["input"].append({"type": ehr.resources["Task/t1"]["input"][1]["type"]})
    del ehr.resources["DocumentReference/note-1"]
    app = opened()
    assert "Somebody else works on this task" in shown(app)
    assert "This note cannot be shown to you." in shown(app)
    assert "This input cannot be read" in shown(app)
    assert next(b for b in app.button if b.label.startswith("Submit")).disabled


def test_an_ehr_that_fails_and_a_session_that_ended_say_so(ehr: Ehr, opened: Callable[..., AppTest]) -> None:
    ehr.fail = EhrError("The EHR did not answer. Nothing was lost; try again.")
    assert "Nothing was lost" in shown(opened())
    ehr.fail = SessionEndedError("Ended.")
    assert "Your session has ended" in shown(opened())
    WORLD["session"] = None
    assert "Open this app from your EHR" in shown(opened())
