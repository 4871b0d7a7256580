"""The privacy officer's pages at /privacy: read by whoever may read the audit log; each look is recorded once, before the page leaves.

Spec: 45 CFR 164.308(a)(1)(ii)(D) (information system activity review), 164.528 (accounting of disclosures)
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from flask import Blueprint, Response, make_response, render_template, request

from chartloop.kernel import clock
from chartloop.kernel.access.engine import Access as Policies
from chartloop.kernel.access.rows import RowAttributes
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.audit.index import Wanted
from chartloop.kernel.audit.journal import Audit
from chartloop.kernel.audit.record import AuditRecord
from chartloop.kernel.clock import iso
from chartloop.kernel.errors import ChartloopError, Forbidden, Invalid
from chartloop.kernel.http import request_id
from fhir_server.http.outcome import STATUS
from smart_apps.privacy.facts import People
from smart_apps.privacy.rules import RULES, Access, Facts, unusual
from smart_apps.privacy.trail import LOOKED_AT, Row, Trail, accesses

READ: Final = "audit-read"
WEEK_US: Final = 7 * 86_400 * 1_000_000
CSP: Final = "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
_PATIENT: Final = re.compile(r"(?:Patient/)?([A-Za-z0-9.\-]{1,64})")
_AGENT: Final = re.compile(r"[A-Za-z0-9.\-:|/_ ]{1,200}")
_TITLES: Final = {401: "Please enter", 403: "Not for you", 400: "This cannot be read", 404: "Nothing here"}


@dataclass(frozen=True, slots=True)
class Privacy:
    """What the pages are made from.

    Attributes:
        policies: Decide who may read the audit log.
        audit: Where each look is recorded.
        who: Finds who sent the request, or raises Unauthenticated.
        trail: The log.
        people: Finds who is who.
    """

    policies: Policies
    audit: Audit
    who: Callable[[], Subject]
    trail: Trail
    people: People


def blueprint(privacy: Privacy) -> Blueprint:
    """Give /privacy."""
    routes = Blueprint("privacy", __name__, url_prefix="/privacy", template_folder="templates", static_folder="static")
    _pages(routes, privacy)
    _answers(routes)
    return routes


def _pages(routes: Blueprint, privacy: Privacy) -> None:
    @routes.get("", strict_slashes=False)
    def home() -> str:
        visitor = _let_in(privacy, "privacy/overview")
        recent = privacy.trail.recent(clock.now_us() - WEEK_US)
        facts = privacy.people.facts(recent, _number())
        found = unusual(recent, facts)
        return _page("home.html", visitor, facts, state=privacy.trail.state(), findings=found[:200], more=max(0, len(found) - 200), rules=RULES, looked_at=LOOKED_AT, full=len(recent) >= LOOKED_AT)

    @routes.get("/patient")
    def patient() -> str:
        reference = _patient()
        visitor = _let_in(privacy, "privacy/patient", (reference,))
        return _trail(privacy, "patient.html", visitor, Wanted(patients=(reference,)), about=reference)

    @routes.get("/person")
    def person() -> str:
        agent = request.args.get("agent", "").strip()
        if not _AGENT.fullmatch(agent):
            raise Invalid("Name a person as Practitioner/1, or an account.")
        visitor = _let_in(privacy, f"privacy/person/{agent}")
        return _trail(privacy, "person.html", visitor, Wanted(agents=(agent,)), about=agent)

    @routes.get("/disclosures")
    def disclosures() -> str:
        reference = _patient()
        visitor = _let_in(privacy, "privacy/disclosures", (reference,))
        found = privacy.trail.disclosed(reference)
        facts = privacy.people.facts(accesses_of([], reference), _number())
        return _page("disclosures.html", visitor, facts, about=reference, listed=[each for each in found if each.listed], exempt=[each for each in found if not each.listed])


def _trail(privacy: Privacy, template: str, visitor: Subject, wanted: Wanted, *, about: str) -> str:
    """Show one page of records, and what is unusual among them."""
    text = request.args.get("before", "")
    before = int(text) if text.isascii() and text.isdecimal() and len(text) < len(str(2**62)) else None
    rows, following = privacy.trail.page(wanted, before)
    seen = accesses_of(rows, about)
    facts = privacy.people.facts(seen, _number())
    return _page(template, visitor, facts, about=about, rows=rows, next=following, findings=unusual([each for each in seen if each.seq], facts))


def accesses_of(rows: list[Row], about: str) -> list[Access]:
    """Accesses in rows; and, to be named, the patient that the page is about."""
    found = [access for row in rows for access in accesses(row.seq, row.kept)]
    return [*found, *_named(about)]


def _named(about: str) -> list[Access]:
    """An access that nobody made: it lets who a page is about be named with everybody else on it."""
    return [Access(0, 0, "" if about.startswith("Patient/") else about, about if about.startswith("Patient/") else "", "", "")]


def _patient() -> str:
    found = _PATIENT.fullmatch(request.args.get("patient", "").strip())
    if found is None:
        raise Invalid("Name a patient as Patient/123.")
    return f"Patient/{found[1]}"


def _number() -> str:
    return str(request.environ.get("chartloop.request_id") or request_id(request.environ))


def _let_in(privacy: Privacy, target: str, patients: tuple[str, ...] = ()) -> Subject:
    """Let a reader of the audit log in, and record the look before anything is read; whoever is refused is recorded by the refusal.

    Raises:
        Unauthenticated: Nobody is known to ask.
        Forbidden: The policies do not let this one read the audit log.
    """
    subject, query = privacy.who(), request.query_string.decode("ascii", "replace")[:500]
    permitted = privacy.policies.decides(Scope(subject, READ, _number()), RowAttributes("AuditEvent", frozenset(), "", "", ""))
    outcome, reason = ("0", "") if permitted else ("4", "forbidden")
    privacy.audit.access(AuditRecord("R", READ, outcome, subject, (target,), patients, query, _number(), reason))
    if not permitted:
        raise Forbidden("The audit log has readers of its own, and your role is none of them.")
    return subject


def _page(template: str, visitor: Subject, facts: Facts, **more: Any) -> str:
    def name_of(reference: str) -> str:
        person = facts.patients.get(reference) or facts.staff.get(reference)
        return person.name if person and person.name else reference

    return render_template(f"privacy/{template}", visitor=visitor, name_of=name_of, when=lambda us: iso(us)[:19].replace("T", " "), **more)


def _answers(routes: Blueprint) -> None:
    @routes.errorhandler(ChartloopError)
    def sorry(error: ChartloopError) -> tuple[Response, int]:
        status = STATUS.get(error.category, 500)
        return make_response(render_template("privacy/message.html", title=_TITLES.get(status, "Sorry"), text=str(error))), status

    @routes.after_request
    def close(answer: Response) -> Response:
        if request.endpoint == "privacy.static":
            return answer
        for name, value in (("Content-Security-Policy", CSP), ("Cache-Control", "no-store"), ("Referrer-Policy", "no-referrer"), ("X-Content-Type-Options", "nosniff")):
            answer.headers[name] = value
        return answer
