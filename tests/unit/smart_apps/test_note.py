"""Notes cut at their evidence."""

import base64

import pytest

from smart_apps.coder_app.note import Segment, Span, note_text, note_title, segments


def test_a_text_is_cut_where_evidence_begins_and_ends():
    assert segments("heart failure today", [Span("a", 0, 13), Span("b", 6, 13)]) == [
        Segment("heart ", ("a",)),
        Segment("failure", ("a", "b")),
        Segment(" today", ()),
    ]


def test_offsets_count_code_points_not_bytes_or_utf_16_units():
    assert segments("🫀 fails", [Span("a", 2, 7)]) == [Segment("🫀 ", ()), Segment("fails", ("a",))]


@pytest.mark.parametrize("span", [Span("a", 3, 3), Span("a", 4, 2), Span("a", -1, 3), Span("a", 0, 99)])
def test_evidence_outside_the_text_is_ignored(span):
    assert segments("short", [span]) == [Segment("short", ())]


def test_an_empty_note_has_no_segments():
    assert segments("", []) == []


def attachment(data, content_type="text/plain; charset=utf-8"):
    return {"content": [{"attachment": {"contentType": content_type, "data": data, "title": "Consult"}}]}


def test_the_text_of_a_note_is_its_decoded_attachment():
    assert note_text(attachment(base64.b64encode("Łódź\n".encode()).decode())) == "Łódź\n"


@pytest.mark.parametrize(
    "document",
    [{}, attachment("not base64!"), attachment(base64.b64encode(b"\xff\xfe").decode()), attachment("AAAA", "application/pdf")],
)
def test_what_is_not_text_is_not_shown(document):
    assert note_text(document) is None


def test_a_note_is_named_by_title_then_type():
    assert note_title(attachment("")) == "Consult"
    assert note_title({"type": {"coding": [{"display": "Progress note"}]}}) == "Progress note"
    assert note_title({}) == "Clinical note"
