"""The review Task as a coder sees it, and decisions as its output."""

from smart_apps.coder_app.review import Decision, Decisions, claimed, completed, decisions_to_output, output_to_decisions, released, task_to_review
from tests.journeys import chart

S = "https://chartloop.example/fhir"


def test_a_review_task_is_read_with_its_suggestions_notes_and_references():
    review, problems = task_to_review({**chart.task(), "meta": {"versionId": "4"}})
    assert problems == []
    assert (review.id, review.version, review.status, review.owner) == ("t1", "4", "requested", "")
    assert (review.patient, review.encounter, review.claim) == ("Patient/p1", "Encounter/e1", "Claim/c1")
    assert review.notes == ("DocumentReference/note-1",)
    assert [s.code for s in review.suggestions] == ["I50.23", "E11.42", "I10", "J18.9"]
    pneumonia = review.suggestions[3]
    assert pneumonia.reasons == ("below-threshold", "negated")
    assert chart.NOTE[pneumonia.start : pneumonia.end] == "Pneumonia"
    assert pneumonia.model == "chartloop-coder 1.0.0"
    assert [s.needs_review for s in review.suggestions] == [True, False, True, True]
    assert review.is_open


def test_an_input_that_cannot_be_read_is_named_and_the_rest_is_shown():
    task = chart.task()
    task["input"].append({"type": task["input"][1]["type"], "valueCoding": {"code": "I10"}})
    task["input"].append({"type": {"coding": [{"system": f"{S}/CodeSystem/task-input", "code": "note"}]}})
    task["input"].append({"type": {"text": "something else"}, "valueString": "ignored"})
    review, problems = task_to_review(task)
    assert len(review.suggestions) == 4
    assert [p.expression for p in problems] == ["Task.input[5]", "Task.input[6].valueReference"]


def test_a_task_without_anything_is_still_a_review():
    review, problems = task_to_review({})
    assert problems == []
    assert not review.is_open
    assert review.suggestions == ()


def test_decisions_become_the_output_that_the_claim_is_made_from():
    output = decisions_to_output(
        [
            Decision("accept", "I50.23", "Heart failure", suggestion="s1"),
            Decision("replace", "I11.0", suggestion="s3"),
            Decision("reject", "J18.9", suggestion="s4", reason="negated"),
            Decision("add", "Z87.891", "History", note="DocumentReference/note-1", start=10, end=23),
        ],
        chart_complete=True,
    )
    assert output == [
        {
            "type": {"coding": [{"system": f"{S}/CodeSystem/task-output", "code": "accept"}]},
            "valueCoding": {"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "I50.23", "display": "Heart failure"},
            "extension": [{"url": f"{S}/StructureDefinition/decision", "extension": [{"url": "suggestion", "valueString": "s1"}]}],
        },
        {
            "type": {"coding": [{"system": f"{S}/CodeSystem/task-output", "code": "replace"}]},
            "valueCoding": {"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "I11.0"},
            "extension": [{"url": f"{S}/StructureDefinition/decision", "extension": [{"url": "suggestion", "valueString": "s3"}]}],
        },
        {
            "type": {"coding": [{"system": f"{S}/CodeSystem/task-output", "code": "reject"}]},
            "valueCoding": {"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "J18.9"},
            "extension": [
                {
                    "url": f"{S}/StructureDefinition/decision",
                    "extension": [{"url": "suggestion", "valueString": "s4"}, {"url": "reason", "valueString": "negated"}],
                }
            ],
        },
        {
            "type": {"coding": [{"system": f"{S}/CodeSystem/task-output", "code": "add"}]},
            "valueCoding": {"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "Z87.891", "display": "History"},
            "extension": [
                {
                    "url": f"{S}/StructureDefinition/decision",
                    "extension": [
                        {"url": "note", "valueReference": {"reference": "DocumentReference/note-1"}},
                        {"url": "start", "valueUnsignedInt": 10},
                        {"url": "end", "valueUnsignedInt": 23},
                    ],
                }
            ],
        },
        {"type": {"coding": [{"system": f"{S}/CodeSystem/task-output", "code": "chart-complete"}]}, "valueBoolean": True},
    ]


def test_an_added_code_without_evidence_has_no_extension():
    added, complete = decisions_to_output([Decision("add", "I10")], chart_complete=False)
    assert "extension" not in added
    assert complete["valueBoolean"] is False


def test_claiming_completing_and_giving_back_change_nothing_else():
    task = chart.task()
    mine = claimed(task, "Practitioner/7")
    assert (mine["status"], mine["owner"]) == ("in-progress", {"reference": "Practitioner/7"})
    done = completed(mine, "Practitioner/7", [], chart_complete=False)
    assert done["status"] == "completed"
    assert done["input"] == task["input"]
    back = released(mine)
    assert back == task
    assert task["status"] == "requested"


def test_the_last_decision_on_a_suggestion_counts_and_can_be_taken_back():
    review, _ = task_to_review(chart.task())
    decisions = Decisions()
    decisions.decide(Decision("accept", "I10", suggestion="s3"))
    decisions.decide(Decision("reject", "I10", suggestion="s3"))
    decisions.decide(Decision("accept", "I50.23", suggestion="s1"))
    decisions.decide(Decision("add", "Z87.891"))
    decisions.decide(Decision("add", "Z87.891"))
    assert [(d.kind, d.code) for d in decisions.all(review)] == [("accept", "I50.23"), ("reject", "I10"), ("add", "Z87.891")]
    assert [s.id for s in decisions.undecided(review)] == ["s4"]
    decisions.undo("s1")
    assert [s.id for s in decisions.undecided(review)] == ["s1", "s4"]


def test_decisions_are_read_back_from_a_task_that_came_back():
    decisions = [
        Decision("accept", "I50.23", "Heart failure", suggestion="s1"),
        Decision("reject", "J18.9", "Pneumonia", suggestion="s4", reason="negated"),
        Decision("add", "Z87.891", "History", note="DocumentReference/note-1", start=10, end=23),
    ]
    task = {**completed(chart.task(), "Practitioner/7", decisions, chart_complete=True), "statusReason": {"text": "Task.output[0]: no."}}
    review, _ = task_to_review(task)
    assert review.returned == "Task.output[0]: no."
    read = output_to_decisions(task)
    assert read.all(review) == decisions
    assert read.chart_complete
    assert output_to_decisions({"output": [{"type": {"coding": []}}, {}]}) == Decisions()
