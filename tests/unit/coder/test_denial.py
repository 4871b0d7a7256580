"""A denial behind a finding closes the gate; what only stands near it does not."""

import pytest

from predictions.coder_denial import denied_behind


@pytest.mark.conformance("Coding", "a finding that is denied behind it is never appended by itself")
@pytest.mark.parametrize(
    "text",
    [
        "Gout ruled out.",
        "Gout was ruled out by aspiration.",
        "Gout: excluded",
        "Gout is felt to be unlikely.",
        "Gout not confirmed, continue to observe.",
        "Gout (ruled out)",
        "gout has been effectively excluded",
    ],
)
def test_a_denial_behind_the_finding_is_seen(text):
    assert denied_behind(text, 4)


@pytest.mark.parametrize(
    "text",
    [
        "Gout.",
        "Gout, infection ruled out.",
        "Gout. Infection ruled out.",
        "Gout, improving on colchicine.",
        "Gout but fracture unlikely",
        "Gout; HIV negative",
        "Gout",
    ],
)
def test_a_denial_of_something_else_is_not(text):
    assert not denied_behind(text, 4)


def test_the_shipped_coder_marks_what_was_ruled_out():
    from predictions.coder import Coder

    found = {suggestion.code: suggestion.negated for suggestion in Coder.open().suggest("Assessment: Gout ruled out.")}
    assert found["M10.9"] is True
