"""SMART scopes v1 and v2: read, compared, narrowed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chartloop.kernel.access.smart_scopes import SmartScope, covers, narrow, parse, parse_all


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
        ("user/Claim.rs", "user/Claim.rs"),
        ("user/Claim.read", "user/Claim.rs"),
        ("user/Claim.write", "user/Claim.cud"),
        ("user/Observation.rs?category=laboratory", "user/Observation.rs?category=laboratory"),
        ("user/Observation.rs?code=1&category=laboratory", "user/Observation.rs?code=1&category=laboratory"),
    ],
)
def test_a_resource_scope_is_read_in_both_versions(text, written):
    assert str(parse(text)) == written


NO_RESOURCE_SCOPE = [
    *["", "openid", "fhirUser", "launch", "launch/patient", "offline_access"],
    *["patient/Observation.", "patient/Observation", "patient/Observation.sr", "patient/Observation.x", "user/*.readwrite", "user/*.rr"],
    *["patient/observation.r", "user/A.r", "user/**.r", "team/*.r", "somebody/Claim.rs", "USER/*.r"],
    *["user/*.rs?", "user/*.rs extra", "user/*.rs?a=1 b", 'user/*.rs?a="1"', "user/*.rs?a=\\1", "user/*.rs\n", "user/*.rs?a=ä"],
]


@pytest.mark.parametrize("text", NO_RESOURCE_SCOPE)
def test_what_is_no_resource_scope_grants_nothing(text):
    assert parse(text) is None
    assert narrow([text], ["user/*.cruds", "patient/*.cruds"]) == ()


@pytest.mark.parametrize("text", ["user/Claim.read?x=1", "user/Claim.write?x=1", "user/Claim.*?x=1"])
def test_a_scope_of_version_1_has_no_search_parameters(text):
    assert parse(text) is None
    assert narrow([text], ["user/*.cruds"]) == ()


def test_a_wide_scope_covers_a_narrow_one_and_never_the_reverse():
    wide, small = SmartScope("user", "*", "rs"), SmartScope("user", "Claim", "r")
    assert covers(wide, small)
    assert not covers(small, wide)
    assert not covers(SmartScope("patient", "*", "cruds"), small)
    assert covers(small, SmartScope("user", "Claim", "r", "a=b"))
    assert not covers(SmartScope("user", "Claim", "r", "a=b"), small)


@pytest.mark.parametrize("other", ["a=2", "b=2&a=1", "a=1&b=2&c=3", "a=1", "a=1&b=2&b=2", "a=1&b=2 "])
def test_search_parameters_are_the_same_only_when_they_are_written_the_same(other):
    wide = SmartScope("user", "Claim", "rs", "a=1&b=2")
    assert covers(wide, wide)
    assert not covers(wide, SmartScope("user", "Claim", "rs", other))


def test_a_request_is_granted_as_far_as_it_is_allowed():
    allowed = ["openid", "launch", "user/Claim.rs", "user/Task.*", "patient/*.read"]
    assert narrow(["openid", "profile", "user/Task.cruds"], allowed) == ("openid", "user/Task.cruds")
    assert narrow(["user/*.cruds"], allowed) == ()  # as a whole, or not at all
    assert narrow(["user/Claim.write", "system/*.cruds"], allowed) == ()
    assert narrow(["patient/Observation.rs", "patient/Observation.rs"], allowed) == ("patient/Observation.rs",)
    assert narrow(["user/*.rs"], []) == ()


@pytest.mark.parametrize("text", ["nonsense", "user/Claim.sr", "user/Claim.read?x=1", "launch/observation", "offline"])
def test_what_is_neither_a_resource_scope_nor_the_launch_context_is_not_granted_although_it_was_registered(text):
    assert narrow([text, "launch"], [text, "launch", "user/*.cruds"]) == ("launch",)


scopes = st.builds(
    SmartScope,
    st.sampled_from(["patient", "user", "system"]),
    st.sampled_from(["*", "Claim", "Task"]),
    st.sets(st.sampled_from("cruds"), min_size=1).map(lambda letters: "".join(letter for letter in "cruds" if letter in letters)),
    st.sampled_from(["", "a=1", "b=2", "a=1&b=2"]),
)


@settings(deadline=None)
@given(scopes)
def test_a_scope_that_is_written_is_read_as_the_same(scope):
    assert parse(str(scope)) == scope


def opened(scope):
    """Every (context, type, letter, search parameters) that a scope opens, over a small world; without parameters it opens all of them."""
    types = ["Claim", "Task", "Observation"] if scope.type == "*" else [scope.type]
    queries = [scope.query] if scope.query else ["", "a=1", "b=2", "a=1&b=2"]
    return {(scope.context, type_, letter, query) for type_ in types for letter in scope.letters for query in queries}


@settings(deadline=None)
@given(scopes, scopes)
def test_a_scope_covers_another_exactly_when_it_opens_all_that_the_other_opens(first, second):
    assert covers(first, second) == (opened(second) <= opened(first))


@pytest.mark.conformance("Attacks", "99: scopes never widen")
@settings(deadline=None)
@given(st.lists(scopes.map(str), max_size=4), st.lists(scopes.map(str), max_size=4))
def test_narrowing_never_widens(requested, allowed):
    for granted in parse_all(narrow(requested, allowed)):
        assert any(covers(wide, granted) for wide in parse_all(allowed))
        assert any(covers(wide, granted) for wide in parse_all(requested))
