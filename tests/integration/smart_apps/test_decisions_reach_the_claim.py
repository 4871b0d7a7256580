"""What the review app writes is what the coding workflow reads."""

import pytest

from claims.coding.review import task_to_review as read_outputs
from smart_apps.coder_app.review import Decision, completed
from terminology.icd10cm import load
from tests.journeys import chart


@pytest.mark.conformance("Review app", "every kind of decision that the app writes is understood by the coding workflow")
def test_every_kind_of_decision_is_understood_without_an_issue():
    at = chart.NOTE.index("Former smoker")
    decisions = [
        Decision("accept", "I50.23", "Acute on chronic systolic (congestive) heart failure", suggestion="s1"),
        Decision("replace", "I11.0", suggestion="s3"),
        Decision("reject", "J18.9", suggestion="s4", reason="negated"),
        Decision("add", "Z87.891", note="DocumentReference/note-1", start=at, end=at + 13),
    ]
    task = completed(chart.task(), "Practitioner/7", decisions, chart_complete=True)
    review, issues = read_outputs(task, load())
    assert issues == []
    assert review.chart_complete
    assert [(d.kind, d.code) for d in review.decisions] == [(d.kind, d.code) for d in decisions]
    added = review.decisions[3]
    assert (added.note, chart.NOTE[added.start : added.end]) == ("DocumentReference/note-1", "Former smoker")
