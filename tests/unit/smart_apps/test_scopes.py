"""SMART scopes of both versions."""

import pytest

from smart_apps.server.scopes import granted_scope, parse_scope, resource_scopes


@pytest.mark.parametrize(
    ("token", "read"),
    [
        ("user/Claim.rs", "user/Claim.rs"),
        ("user/Claim.read", "user/Claim.rs"),
        ("user/Claim.write", "user/Claim.cud"),
        ("patient/*.*", "patient/*.cruds"),
        ("user/Observation.rs?category=laboratory", "user/Observation.rs?category=laboratory"),
    ],
)
def test_both_versions_are_read_as_version_2(token, read):
    assert str(parse_scope(token)) == read


@pytest.mark.parametrize(
    "token", ["user/Claim.sr", "user/Claim.", "user/Claim", "somebody/Claim.rs", "user/claim.rs", "user/Claim.x", "openid", "", "user/Claim.read?x=1"]
)
def test_anything_else_is_no_resource_scope(token):
    assert parse_scope(token) is None


@pytest.mark.conformance("SMART App Launch 2.2", "scopes that were not registered are not granted")
@pytest.mark.parametrize(
    ("requested", "registered", "granted"),
    [
        ("launch user/Task.rs", "launch user/Task.rus", "launch user/Task.rs"),
        ("user/Task.cruds", "user/Task.rus", ""),
        ("user/Task.rs user/Task.rs", "user/*.rs", "user/Task.rs"),
        ("user/*.rs", "user/Task.rs", ""),
        ("patient/Task.rs", "user/Task.rs", ""),
        ("user/Observation.rs?category=laboratory", "user/Observation.rs", "user/Observation.rs?category=laboratory"),
        ("user/Observation.rs", "user/Observation.rs?category=laboratory", ""),
        ("openid fhirUser offline_access", "openid fhirUser", "openid fhirUser"),
        ("", "user/*.cruds", ""),
    ],
)
def test_what_is_granted_is_asked_for_and_registered(requested, registered, granted):
    assert granted_scope(requested, registered) == granted


def test_the_access_decision_sees_resource_scopes_only():
    assert resource_scopes("launch openid user/Claim.read patient/Task.rus") == ("user/Claim.rs", "patient/Task.rus")
