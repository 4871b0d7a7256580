"""SMART scopes v1 and v2: read, compared, narrowed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chartloop.kernel.access.smart_scopes import SmartScope, covers, meet, narrow, parse, parse_all


@pytest.mark.conformance("SMART App Launch 2.2", "SMART-2.2.0@135: resource scopes of version 2, and of version 1, are read")
@pytest.mark.conformance("SMART App Launch 2.2", "SMART-2.2.0@369: version 1 scopes mean read and search, or create, update and delete")
@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("patient/Observation.rs", "patient/Observation.rs"),
        ("user/*.cruds", "user/*.cruds"),
        ("user/*.read", "user/*.rs"),
        ("system/Claim.write", "system/Claim.cud"),
        ("patient/*.*", "patient/*.cruds"),
        ("user/Observation.rs?category=laboratory&code=1", "user/Observation.rs?category=laboratory&code=1"),
    ],
)
def test_a_resource_scope_is_read_in_both_versions(text, written):
    assert str(parse(text)) == written


@pytest.mark.parametrize("text", ["", "openid", "fhirUser", "launch", "launch/patient", "offline_access", "patient/Observation.", "patient/Observation.sr", "patient/observation.r", "team/*.r", "user/*.rs?", "user/*.rs extra", "user/*.readwrite", "user/**.r", "USER/*.r"])
def test_what_is_no_resource_scope_grants_nothing(text):
    assert parse(text) is None


def test_a_wide_scope_covers_a_narrow_one_and_never_the_reverse():
    wide, small = SmartScope("user", "*", "rs"), SmartScope("user", "Claim", "r")
    assert covers(wide, small)
    assert not covers(small, wide)
    assert not covers(SmartScope("patient", "*", "cruds"), small)
    assert covers(small, SmartScope("user", "Claim", "r", frozenset({"a=b"})))
    assert not covers(SmartScope("user", "Claim", "r", frozenset({"a=b"})), small)


def test_a_request_is_granted_as_far_as_it_is_allowed():
    allowed = ["openid", "launch", "user/Claim.rs", "user/Task.*", "patient/*.read"]
    assert narrow(["openid", "profile", "user/Task.cruds"], allowed) == ("openid", "user/Task.cruds")
    assert narrow(["user/*.cruds"], allowed) == ("user/Claim.rs", "user/Task.cruds")
    assert narrow(["user/Claim.write", "system/*.cruds"], allowed) == ()
    assert narrow(["patient/Observation.rs", "patient/Observation.rs"], allowed) == ("patient/Observation.rs",)
    assert narrow(["user/*.rs"], []) == ()


scopes = st.builds(
    SmartScope,
    st.sampled_from(["patient", "user", "system"]),
    st.sampled_from(["*", "Claim", "Task"]),
    st.sets(st.sampled_from("cruds"), min_size=1).map(lambda letters: "".join(letter for letter in "cruds" if letter in letters)),
    st.frozensets(st.sampled_from(["a=1", "b=2"]), max_size=2),
)


@settings(deadline=None)
@given(scopes)
def test_a_scope_that_is_written_is_read_as_the_same(scope):
    assert parse(str(scope)) == scope


@settings(deadline=None)
@given(scopes, scopes)
def test_what_two_scopes_share_is_covered_by_both(first, second):
    shared = meet(first, second)
    if shared is None:
        assert not covers(first, second)
        assert not covers(second, first)
    else:
        assert covers(first, shared)
        assert covers(second, shared)


@pytest.mark.conformance("Attacks", "99: scopes never widen")
@settings(deadline=None)
@given(st.lists(scopes.map(str), max_size=4), st.lists(scopes.map(str), max_size=4))
def test_narrowing_never_widens(requested, allowed):
    for granted in parse_all(narrow(requested, allowed)):
        assert any(covers(wide, granted) for wide in parse_all(allowed))
        assert any(covers(wide, granted) for wide in parse_all(requested))
