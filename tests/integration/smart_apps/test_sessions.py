"""Tickets and sessions of the EHR."""

from dataclasses import replace

import pytest

from chartloop.kernel.clock import FakeClock
from chartloop.kernel.errors import Unauthenticated
from tests.integration.smart_apps.conftest import PERSON, Smart


def test_a_ticket_opens_one_session(smart: Smart) -> None:
    ticket = smart.sessions.mint_ticket(PERSON, "Ada Łoś")
    found = smart.sessions.find(smart.sessions.enter(ticket))
    assert found is not None
    assert found.subject == replace(PERSON, session=found.id)
    assert found.display == "Ada Łoś"
    with pytest.raises(Unauthenticated):
        smart.sessions.enter(ticket)


def test_an_unknown_or_old_ticket_opens_nothing(smart: Smart, fake_clock: FakeClock) -> None:
    ticket = smart.sessions.mint_ticket(PERSON, "Ada", ttl_s=60)
    fake_clock.advance(61)
    for refused in (ticket, "unknown", ""):
        with pytest.raises(Unauthenticated):
            smart.sessions.enter(refused)


def test_a_session_ends_when_left_and_when_old(smart: Smart, fake_clock: FakeClock) -> None:
    left = smart.sessions.enter(smart.sessions.mint_ticket(PERSON, "Ada"))
    smart.sessions.leave(left)
    assert smart.sessions.find(left) is None
    old = smart.sessions.enter(smart.sessions.mint_ticket(PERSON, "Ada"))
    fake_clock.advance(8 * 3600 + 1)
    assert smart.sessions.find(old) is None
    assert smart.sessions.find(None) is None


@pytest.mark.conformance("Access", "no ticket or session secret of the EHR stands in the database")
def test_no_secret_stands_in_the_database(smart: Smart) -> None:
    ticket = smart.sessions.mint_ticket(PERSON, "Ada")
    secret = smart.sessions.enter(ticket)
    with smart.sessions._database.read() as db:
        rows = str(db.all("select * from ehr_ticket")) + str(db.all("select * from ehr_session"))
    assert ticket not in rows
    assert secret not in rows
