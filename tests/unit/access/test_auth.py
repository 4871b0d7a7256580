"""Bearer tokens, on both databases."""

from __future__ import annotations

import hashlib

import pytest

from chartloop.kernel import auth, auth_tables
from chartloop.kernel.access.policy_set import load
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.errors import Invalid, Unauthenticated

ANNA = Subject("user:7", "coder", "Practitioner/7", "Patient/1", ("openid", "user/*.rs"), "TREAT", "s1", "review-app")


def _who(database, token):
    with database.read() as session:
        return auth.authenticate(session, token)


def _refused(database, token):
    with pytest.raises(Unauthenticated) as refusal:
        _who(database, token)
    if token:
        assert token not in str(refusal.value)
    return True


@pytest.mark.conformance("Access", "a bearer token is stored as a hash only")
def test_a_token_gives_back_the_whole_subject_and_is_stored_as_a_hash(database):
    token = database.write(lambda tx: auth.issue(tx, ANNA, 60))
    assert _who(database, token) == ANNA
    with database.read() as session:
        stored = session.all(f"SELECT * FROM {auth_tables.ACCESS_TOKEN.name}")
    assert bytes(stored[0][0]) == hashlib.sha256(token.encode()).digest()
    assert token not in str(stored)


@pytest.mark.conformance("Attacks", "08: a token ends when its time is over")
@pytest.mark.conformance("SMART App Launch 2.2", "SMART-2.2.0@77: an expired access token is not accepted")
def test_a_token_ends_when_its_time_is_over(database, fake_clock):
    token = database.write(lambda tx: auth.issue(tx, ANNA, 60))
    fake_clock.advance(59.9)
    assert _who(database, token) == ANNA
    fake_clock.advance(0.1)
    assert _refused(database, token)


@pytest.mark.conformance("Attacks", "08: a revoked token is refused at once and revoked once")
@pytest.mark.conformance("Access", "a revoked token is refused at once")
def test_a_revoked_token_is_refused_at_once_and_revoked_once(database):
    token = database.write(lambda tx: auth.issue(tx, ANNA))
    assert database.write(lambda tx: auth.revoke(tx, token))
    assert _refused(database, token)
    assert not database.write(lambda tx: auth.revoke(tx, token))


@pytest.mark.conformance("Access", "a session ends with all of its tokens")
def test_a_session_ends_with_all_its_tokens(database):
    tokens = [database.write(lambda tx: auth.issue(tx, ANNA)) for _ in range(2)]
    other = database.write(lambda tx: auth.issue(tx, Subject("user:8", "coder")))
    assert database.write(lambda tx: auth.revoke_session(tx, "s1")) == 2
    assert all(_refused(database, token) for token in tokens)
    assert database.write(lambda tx: auth.revoke_session(tx, "")) == 0
    assert _who(database, other).id == "user:8"


@pytest.mark.parametrize("token", ["", "x", "x" * 513, "é", "' OR 1=1 --", "\x00"])
def test_what_was_never_issued_is_refused(database, token):
    assert _refused(database, token)


def test_tokens_that_ended_long_ago_are_forgotten(database, fake_clock):
    database.write(lambda tx: auth.issue(tx, ANNA, 60))
    assert database.write(auth.forget_expired) == 0
    fake_clock.advance(86_461)
    assert database.write(auth.forget_expired) == 1


@pytest.mark.conformance("Command line", "token speaks for a role that the policies know, with a user and a patient")
def test_the_command_line_issues_a_token_for_a_role_that_exists(database):
    policies = load()
    token = database.write(lambda tx: auth.issue_for_cli(tx, policies, "patient", patient="1"))
    subject = _who(database, token)
    assert (subject.role, subject.user, subject.patient, subject.scopes) == ("patient", "Patient/1", "Patient/1", ("system/*.cruds",))
    with pytest.raises(Invalid, match="psychiatric-clinician"):
        database.write(lambda tx: auth.issue_for_cli(tx, policies, "doctor"))


@pytest.mark.conformance("Command line", "token --scope narrows the token")
def test_the_command_line_narrows_by_scope(database):
    token = database.write(lambda tx: auth.issue_for_cli(tx, load(), "coder", user="Practitioner/1", scopes=["user/Task.rs"]))
    assert _who(database, token).scopes == ("user/Task.rs",)
