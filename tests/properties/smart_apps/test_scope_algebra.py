"""A grant never exceeds what was asked for, nor what was registered."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chartloop.kernel.access.smart_scopes import narrow, parse_all

rights = st.sets(st.sampled_from("cruds"), min_size=1).map(lambda letters: "".join(c for c in "cruds" if c in letters))
scope = st.builds(
    lambda level, kind, letters: f"{level}/{kind}.{letters}",
    st.sampled_from(["patient", "user", "system"]),
    st.sampled_from(["*", "Claim", "Task", "Observation"]),
    rights | st.sampled_from(["read", "write", "*"]),
)
scopes = st.lists(scope | st.sampled_from(["launch", "openid", "nonsense"]), max_size=6)


def held(scopes):
    """Give every (level, type, right) that a scope opens, over a small world of types."""
    world = ["Claim", "Task", "Observation"]
    return {(s.context, kind, letter) for s in parse_all(scopes) for kind in (world if s.type == "*" else [s.type]) for letter in s.letters}


@pytest.mark.conformance("Attacks", "99: scopes never widen")
@given(requested=scopes, registered=scopes)
def test_a_grant_narrows_and_is_stable(requested, registered):
    granted = narrow(requested, registered)
    assert held(granted) <= held(requested)
    assert held(granted) <= held(registered)
    assert set(granted) <= set(requested)
    assert narrow(granted, registered) == granted
