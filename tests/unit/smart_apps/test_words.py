"""Data as words for the review app's page."""

import pytest

from smart_apps.coder_app.words import age, person_name, plain, reason_words


@pytest.mark.conformance("Attacks", "97: markdown and markup in data stay text in EHR pages and the review app")
def test_markdown_in_data_stays_text():
    assert plain("**bold** [x](javascript:1) <b> $x$ :red[y] ~~z~~") == (
        "\\*\\*bold\\*\\* \\[x\\]\\(javascript\\:1\\) \\<b\\> \\$x\\$ \\:red\\[y\\] \\~\\~z\\~\\~"
    )


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "just now"), (119, "1 min ago"), (3600, "60 min ago"), (7200, "2 h ago"), (86400 * 3, "3 days ago"), (-60, "just now")]
)
def test_an_age_is_said_in_words(fake_clock, seconds, words):
    fake_clock.advance(seconds)
    assert age("2026-11-22T08:00:00Z") == words


def test_an_age_of_nothing_is_nothing():
    assert age("") == ""
    assert age("yesterday") == ""


def test_people_and_reasons_are_said_in_words():
    assert person_name(None) == "Patient not visible to you"
    assert person_name({}) == "Unnamed patient"
    assert person_name({"name": [{"family": "Nowak", "given": ["Ewa"]}]}) == "Nowak, Ewa"
    assert reason_words(("negated", "new-reason")) == "the text seems to negate it, new-reason"
