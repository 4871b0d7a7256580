"""Access tokens of apps: whoever authorised, narrowed by what was granted to the app."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from chartloop.kernel.access.smart_scopes import parse_all

if TYPE_CHECKING:
    from chartloop.kernel.access.subject import Subject
    from smart_apps.server.launches import LaunchContext


def token_subject(subject: Subject, scope: str, context: LaunchContext, *, session: str, client_id: str) -> Subject:
    """Give the subject of the app's token: the same person and role, with less, never more.

    A patient stays bound to their own record, whatever the launch context says.
    """
    opened = f"Patient/{context.patient}" if context.patient else ""
    return replace(
        subject,
        scopes=tuple(map(str, parse_all(scope.split()))),
        patient=subject.patient or opened,
        session=session,
        client=client_id,
    )
