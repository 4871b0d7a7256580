"""A grant never exceeds what was asked for, nor what was registered."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smart_apps.server.scopes import granted_scope, parse_scope

rights = st.sets(st.sampled_from("cruds"), min_size=1).map(lambda letters: "".join(c for c in "cruds" if c in letters))
scope = st.builds(
    lambda level, kind, letters: f"{level}/{kind}.{letters}",
    st.sampled_from(["patient", "user", "system"]),
    st.sampled_from(["*", "Claim", "Task", "Observation"]),
    rights | st.sampled_from(["read", "write", "*"]),
)
scopes = st.lists(scope | st.sampled_from(["launch", "openid", "nonsense"]), max_size=6).map(" ".join)


def held(text):
    """Give every (level, type, right) that a scope opens, over a small world of types."""
    world = ["Claim", "Task", "Observation"]
    parsed = [s for s in map(parse_scope, text.split()) if s]
    return {(s.level, kind, letter) for s in parsed for kind in (world if s.type == "*" else [s.type]) for letter in s.rights}


@pytest.mark.conformance("Attacks", "99: scopes never widen")
@given(requested=scopes, registered=scopes)
def test_a_grant_narrows_and_is_stable(requested, registered):
    granted = granted_scope(requested, registered)
    assert held(granted) <= held(requested)
    assert held(granted) <= held(registered)
    assert set(granted.split()) <= set(requested.split())
    assert granted_scope(granted, registered) == granted
