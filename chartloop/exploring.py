"""The explorer of this server: its pages stand in front of the API, for whoever is signed in to the EHR."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Blueprint
from werkzeug.http import parse_cookie

from chartloop.app import Kernel, fhir_base
from chartloop.kernel.access.engine import View
from chartloop.kernel.access.rows import RowAttributes
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from fhir_server import audit_event
from fhir_server.repository import Repository
from fhir_server.spec.definitions import r4
from fhir_server.type_ids import TYPE_IDS
from smart_apps.explorer.explorer import Explorer, Visitor
from smart_apps.server.routes import COOKIE
from smart_apps.sessions import Sessions

LOGIN = "/login"


def explorer(kernel: Kernel, repository: Repository, sessions: Sessions) -> Explorer:
    """What the pages stand on."""

    def visitor(environ: Mapping[str, Any]) -> Visitor | None:
        session = sessions.find(parse_cookie(dict(environ)).get(COOKIE))
        return None if session is None else Visitor(session.subject, session.display)

    def types(subject: Subject) -> tuple[str, ...]:
        scope = Scope(subject, "search")
        return tuple(type_ for type_ in sorted(TYPE_IDS) if kernel.access.permits(scope, type_))

    def views(subject: Subject, type_: str, id_: str) -> tuple[View, ...]:
        return repository.why(Scope(subject, "read"), type_, id_)

    def audit(subject: Subject) -> bool:
        return kernel.access.decides(Scope(subject, "audit-read"), RowAttributes(audit_event.TYPE, frozenset(), "", "", ""))

    return Explorer(fhir_base(kernel.settings), visitor, types, views, _elements, audit, LOGIN)


def styles() -> Blueprint:
    """The style sheet of the pages."""
    return Blueprint("explorer", "smart_apps.explorer.explorer", static_folder="static", static_url_path="/explorer")


def _elements(type_: str) -> tuple[str, ...]:
    return tuple(element.name for element in r4().elements(type_)) if type_ in TYPE_IDS else ()
