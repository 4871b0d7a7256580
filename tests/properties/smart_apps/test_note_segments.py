"""A note that is cut is still the note."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smart_apps.coder_app.note import Span, segments

spans = st.lists(st.builds(Span, st.sampled_from("abcdef"), st.integers(-3, 40), st.integers(-3, 40)), max_size=8)


@pytest.mark.conformance("The loop", "4 Review: the note is shown with its evidence highlighted, and is still the note")
@given(text=st.text(max_size=40), found=spans)
def test_the_pieces_join_to_the_text_and_carry_exactly_their_evidence(text, found):
    cut = segments(text, found)
    assert "".join(piece.text for piece in cut) == text
    at = 0
    for piece in cut:
        assert piece.text
        for offset in range(at, at + len(piece.text)):
            covering = [s.id for s in found if 0 <= s.start < s.end <= len(text) and s.start <= offset < s.end]
            assert list(piece.ids) == covering
        at += len(piece.text)
