"""One coder's work on one Task, with colleagues who get in the way."""

import pytest

from smart_apps.client.fhir import ChangedError
from smart_apps.coder_app.review import Decision
from smart_apps.coder_app.sitting import give_back, open_sitting, refresh, submit
from tests.journeys import chart

ME = "Practitioner/7"


class Ehr:
    """An EHR in memory; `rival` writes just before our next write."""

    def __init__(self):
        self.resources = {f"{r['resourceType']}/{r['id']}": {**r, "meta": {"versionId": "1"}} for r in chart.resources()}
        self.rival = None

    def read(self, reference):
        return self.resources.get(reference)

    def update(self, resource):
        reference = f"{resource['resourceType']}/{resource['id']}"
        if self.rival:
            self.resources[reference] = self.bump({**self.resources[reference], **self.rival})
            self.rival = None
        if resource["meta"] != self.resources[reference]["meta"]:
            raise ChangedError
        self.resources[reference] = self.bump(resource)
        return self.resources[reference]

    @staticmethod
    def bump(resource):
        return {**resource, "meta": {"versionId": str(int(resource["meta"]["versionId"]) + 1)}}


@pytest.fixture
def ehr():
    return Ehr()


def test_opening_a_task_takes_it_from_the_queue(ehr):
    sitting = open_sitting(ehr, "Task/t1", ME)
    assert sitting.mine(ME)
    assert ehr.resources["Task/t1"]["owner"] == {"reference": ME}
    assert [s.id for s in sitting.ordered()] == ["s1", "s3", "s4", "s2"]
    assert sitting.current == "s1"


def test_a_task_that_is_not_visible_opens_nothing(ehr):
    assert open_sitting(ehr, "Task/unknown", ME) is None


@pytest.mark.conformance("Review app", "of two coders who open one Task the faster keeps it")
def test_a_colleague_who_is_faster_keeps_the_task(ehr):
    ehr.rival = {"status": "in-progress", "owner": {"reference": "Practitioner/8"}}
    sitting = open_sitting(ehr, "Task/t1", ME)
    assert not sitting.mine(ME)
    assert sitting.review.owner == "Practitioner/8"


def test_decisions_are_submitted_once_and_complete_the_task(ehr):
    sitting = open_sitting(ehr, "Task/t1", ME)
    sitting.decisions.decide(Decision("accept", "I50.23", suggestion="s1"))
    assert submit(ehr, sitting, ME)
    stored = ehr.resources["Task/t1"]
    assert stored["status"] == "completed"
    assert len(stored["output"]) == 2
    assert not sitting.mine(ME)


@pytest.mark.conformance("Review app", "a change by somebody else stops the submission and keeps the decisions")
def test_a_change_by_somebody_else_stops_the_submission_and_keeps_the_decisions(ehr):
    sitting = open_sitting(ehr, "Task/t1", ME)
    sitting.decisions.decide(Decision("accept", "I50.23", suggestion="s1"))
    sitting.decisions.decide(Decision("reject", "J18.9", suggestion="s4"))
    ehr.rival = {"input": chart.task()["input"][:4]}  # s4 is gone
    assert not submit(ehr, sitting, ME)
    assert sitting.changed
    assert ehr.resources["Task/t1"]["status"] == "in-progress"
    refresh(ehr, sitting)
    assert not sitting.changed
    assert list(sitting.decisions.by_suggestion) == ["s1"]
    assert submit(ehr, sitting, ME)


def test_a_task_can_be_given_back(ehr):
    sitting = open_sitting(ehr, "Task/t1", ME)
    ehr.rival = {"priority": "urgent"}
    assert not give_back(ehr, sitting)
    refresh(ehr, sitting)
    assert give_back(ehr, sitting)
    assert ehr.resources["Task/t1"]["status"] == "requested"
    assert "owner" not in ehr.resources["Task/t1"]


def test_going_on_walks_through_the_cards(ehr):
    sitting = open_sitting(ehr, "Task/t1", ME)
    sitting.advance()
    assert sitting.current == "s3"
    sitting.advance(-2)
    assert sitting.current == "s2"
    sitting.decisions.decide(Decision("accept", "I50.23", suggestion="s1"))
    sitting.advance_to_open()
    assert sitting.current == "s3"
    for id_ in ("s3", "s4"):
        sitting.decisions.decide(Decision("accept", "x", suggestion=id_))
    sitting.advance_to_open()
    assert sitting.current == "s3"
