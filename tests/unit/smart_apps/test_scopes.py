"""What a registered app is granted, and what its token then carries."""

import pytest

from chartloop.kernel.access.subject import Subject
from smart_apps.server.clients import Client
from smart_apps.server.launches import LaunchContext
from smart_apps.server.tokens import token_subject


@pytest.mark.conformance("SMART App Launch 2.2", "scopes that were not registered are not granted")
@pytest.mark.parametrize(
    ("requested", "registered", "granted"),
    [
        ("launch user/Task.rs", "launch user/Task.rus", "launch user/Task.rs"),
        ("user/Task.cruds", "user/Task.rus", None),
        ("user/*.cruds", "user/Task.cruds user/Claim.rs", None),
        ("user/Task.rs user/Task.rs", "user/*.rs", "user/Task.rs"),
        ("user/*.rs", "user/Task.rs", None),
        ("patient/Task.rs", "user/Task.rs", None),
        ("user/Observation.rs?category=laboratory", "user/Observation.rs", "user/Observation.rs?category=laboratory"),
        ("user/Observation.rs", "user/Observation.rs?category=laboratory", None),
        ("user/Observation.rs?b=2&a=1", "user/Observation.rs?a=1&b=2", None),
        ("user/Observation.rs?a=1&b=2", "user/Observation.rs?a=1", None),
        ("user/Observation.read?a=1", "user/Observation.read?a=1 user/*.cruds", None),
        ("openid fhirUser offline_access", "openid fhirUser", "openid fhirUser"),
        ("offline_access nonsense", "offline_access nonsense", "offline_access"),
        ("launch/questionnaire nonsense", "launch/questionnaire nonsense", None),
        ("", "user/*.cruds", None),
        (None, "user/*.cruds", None),
    ],
)
def test_what_is_granted_is_asked_for_and_registered(requested, registered, granted):
    app = Client("app", "An app", ("https://app.example/callback",), "https://app.example/launch", registered)
    assert app.get_allowed_scope(requested) == granted


def test_the_access_decision_sees_resource_scopes_only():
    person = Subject("user:7", "coder", "Practitioner/1")
    granted = "launch openid user/Claim.read patient/Task.rus"
    subject = token_subject(person, granted, LaunchContext(), session="s1", client_id="app")
    assert subject.scopes == ("user/Claim.rs", "patient/Task.rus")
    assert (subject.session, subject.client) == ("s1", "app")
