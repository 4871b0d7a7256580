"""How sessions end: everything that hangs on one ends with it, in one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chartloop.kernel import auth
from smart_apps.server import authorizations

if TYPE_CHECKING:
    from chartloop.kernel.db import Tx


def end_session(tx: Tx, session: str) -> None:
    """End a session, its launches, its unspent codes, what waits for consent in it, and the tokens of its apps."""
    auth.revoke_session(tx, session)
    tx.run("delete from smart_launch where session = ?", (session,))
    tx.run("delete from smart_code where session = ? and used = 0", (session,))
    tx.run("delete from smart_pending where session = ?", (session,))
    tx.run("delete from ehr_session where id = ?", (session,))


def end_sessions_of(tx: Tx, holder: str, *, keep: str = "") -> int:
    """End every session of a subject but one; returns how many.

    Without one to keep, everything that the subject allowed to apps ends too, offline access with it, whichever session it came from.
    """
    sessions = [row[0] for row in tx.all("select id from ehr_session where holder = ? and id <> ?", (holder, keep))]
    for session in sessions:
        end_session(tx, session)
    if not keep:
        auth.revoke_holder(tx, holder)
        authorizations.revoke_of_person(tx, holder)
    return len(sessions)
