"""Launches under way and people at work, in an app."""

from dataclasses import replace

import pytest

from smart_apps.client import sessions
from smart_apps.client.sessions import AppSession, Pending, SessionStore
from smart_apps.coder_app.sessions import store

PENDING = Pending("https://ehr.example/fhir", "t", "r", "j", "", "verifier", "nonce", "browser-1", expires=2**62)
AT_WORK = AppSession("https://ehr.example/fhir", "secret-token", "r", "", "Practitioner/7", "p1", expires=2**62, references=("Task/t1",))


@pytest.mark.conformance("SMART App Launch 2.2", "SMART-2.2.0@61: a state belongs to the browser session that began it")
def test_a_launch_is_finished_once_and_by_its_own_browser():
    kept = SessionStore()
    state = kept.begin(PENDING)
    assert kept.finish(state, "browser-2") is None
    assert kept.finish(state, "bröwser-1") is None
    assert kept.finish("another state", "browser-1") is None
    assert kept.finish(state, "browser-1") == PENDING
    assert kept.finish(state, "browser-1") is None


def test_old_launches_and_sessions_are_forgotten(fake_clock):
    kept = SessionStore()
    soon = fake_clock.now_us() + 1_000_000
    state, secret = kept.begin(replace(PENDING, expires=soon)), kept.open(replace(AT_WORK, expires=soon))
    assert kept.find(secret) is not None
    fake_clock.advance(1)
    assert kept.finish(state, "browser-1") is None
    assert kept.find(secret) is None


def test_a_flood_of_launches_pushes_out_the_oldest(monkeypatch):
    monkeypatch.setattr(sessions, "MAX_PENDING", 2)
    kept = SessionStore()
    first, *later = [kept.begin(PENDING) for _ in range(3)]
    assert kept.finish(first, "browser-1") is None
    assert all(kept.finish(state, "browser-1") for state in later)


def test_a_closed_session_is_given_back_once():
    kept = SessionStore()
    secret = kept.open(AT_WORK)
    assert kept.close(secret) == AT_WORK
    assert kept.close(secret) is None
    assert kept.find(None) is None
    assert kept.close(None) is None


def test_the_token_is_not_in_the_text_of_a_session():
    assert "secret-token" not in repr(AT_WORK)


def test_one_process_has_one_store():
    assert store() is store()
