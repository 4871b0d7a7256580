"""The person's side of an authorization: who is signed in, which patient, which scopes, yes or no.

Spec: https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#obtain-authorization-code
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlencode

from authlib.oauth2 import OAuth2Error
from authlib.oauth2.rfc6749 import AccessDeniedError, InvalidRequestError
from flask import Response, render_template, request

from chartloop.kernel.errors import NotFound
from smart_apps.ehr.rows import patient_row
from smart_apps.opaque import new_secret
from smart_apps.server import codes, pending, picking
from smart_apps.server.answers import back, closed, failed, unsayable
from smart_apps.server.auditing import DONE, REFUSED, record
from smart_apps.server.codes import AuthorizationCode
from smart_apps.server.pending import Pending
from smart_apps.server.scope_parts import kept, parts
from smart_apps.server.scope_words import is_fixed, scope_words, writes

if TYPE_CHECKING:
    from chartloop.kernel.db import Database, Tx
    from smart_apps.server.clients import Client
    from smart_apps.server.picking import Charts
    from smart_apps.server.server import SmartAuthorizationServer
    from smart_apps.sessions import EhrSession, Sessions

COOKIE: Final = "chartloop_ehr"
PAGE: Final = "/oauth/consent"


@dataclass(frozen=True, slots=True)
class Consent:
    """What asks a person.

    Attributes:
        server: Says what can be granted.
        database: Where requests wait.
        sessions: Knows who is signed in.
        charts: Opens the chart for choosing; None = nothing can be chosen here.
    """

    server: SmartAuthorizationServer
    database: Database
    sessions: Sessions
    charts: Charts | None

    def session(self) -> EhrSession | None:
        """Find who sends this request."""
        return self.sessions.find(request.cookies.get(COOKIE))

    def begin(self) -> Response:
        """Check a request for authorization and answer it, or ask."""
        root = self.server.root
        if unsayable(request.values):
            return failed(InvalidRequestError("A parameter holds characters that none may hold."), root)
        try:
            grant = self.server.get_consent_grant(request)
        except OAuth2Error as error:
            return failed(error, root)
        session = self.session()
        if session is None:
            return closed(self._elsewhere())
        try:
            asked = grant.pending(session)
            self._refuse_choice(asked)
        except OAuth2Error as error:
            error.redirect_uri, error.state = grant.redirect_uri, grant.request.payload.state
            return failed(error, root)
        if grant.client.first_party and not asked.wants:
            return self._allow(session, asked, asked.scope.split(), status=302)
        secret = self.database.write(lambda tx: pending.keep(tx, session.id, asked))
        return closed(self._go(f"{PAGE}?{urlencode({'request': secret})}"))

    def _refuse_choice(self, asked: Pending) -> None:
        if asked.wants and self.charts is None:
            raise AccessDeniedError("Nothing can be chosen here. Launch the app from the EHR.")

    def _elsewhere(self) -> Response:
        """Send the browser to sign in; a form of another site comes without a cookie, so it is asked again by an address."""
        here = f"{request.path}?{urlencode(list(request.values.items(multi=True)))}"
        return self._go(here if request.method == "POST" else f"/login?next={quote(here, safe='')}")

    @staticmethod
    def _go(address: str) -> Response:
        return Response(status=303, headers={"Location": address})

    def show(self, session: EhrSession, secret: str) -> Response:
        """Show what a person must answer next."""
        asked, client = self._found(session, secret)
        facts = {"session": session, "client": client, "secret": secret, "asked": asked}
        if asked.wants:
            name, page = request.args.get("name", "").strip(), request.args.get("page", "")
            found = picking.rows(self._charts()(session.subject), asked, name, page)
            return closed(Response(render_template("smart/pick.html", name=name, what=asked.wants[0], **found, **facts)), asked.redirect_uri)
        enforceable = self.server.enforceable
        listed = [{"scope": text, "words": scope_words(text), "fixed": is_fixed(text), "writes": writes(text), "parts": parts(text, enforceable)} for text in asked.scope.split()]
        patient = self._name(session, asked.context.patient)
        return closed(Response(render_template("smart/consent.html", scopes=listed, patient=patient, **facts)), asked.redirect_uri)

    def answer(self, session: EhrSession, secret: str) -> Response:
        """Take a person's answer: a choice, or yes with the scopes that are left, or no."""
        asked, client = self._found(session, secret)
        if asked.wants:
            changed = picking.chosen(self._charts()(session.subject), asked, request.form.get("id", ""))
            if not client.first_party or changed.wants:
                self.database.write(lambda tx: pending.change(tx, secret, changed))
                return closed(self._go(f"{PAGE}?{urlencode({'request': secret})}"))
            return self._taken(session, secret, changed, changed.scope.split())
        left = self._left(asked)
        if request.form.get("decision") != "allow" or all(map(is_fixed, left)):
            return self._deny(session, secret, asked)
        return self._taken(session, secret, asked, left)

    def _left(self, asked: Pending) -> list[str]:
        """Give the scopes that are still ticked, of those in parts the parts."""
        ticked, offered, ticked_parts = (frozenset(request.form.getlist(name)) for name in ("scope", "parts", "part"))
        left: dict[str, None] = {}
        for text in asked.scope.split():
            if text in offered and text in ticked:
                left |= dict.fromkeys(kept(text, ticked_parts, self.server.enforceable))
            elif text in ticked or is_fixed(text):
                left[text] = None
        return list(left)

    def _charts(self) -> Charts:
        if self.charts is None:
            raise NotFound
        return self.charts

    def _name(self, session: EhrSession, patient: str) -> str:
        if not patient or self.charts is None:
            return ""
        found = self.charts(session.subject).read(f"Patient/{patient}")
        return "" if found is None else str(patient_row(found)["name"])

    def _found(self, session: EhrSession, secret: str) -> tuple[Pending, Client]:
        with self.database.read() as db:
            asked = pending.find(db, secret, session.id)
        client = self.server.query_client(asked.client_id) if asked else None
        if asked is None or client is None or not client.check_redirect_uri(asked.redirect_uri):
            message = "This request was answered already or is too old. Start the app again."
            raise NotFound(message)
        return asked, client

    def _taken(self, session: EhrSession, secret: str, asked: Pending, scopes: list[str]) -> Response:
        if not self.database.write(lambda tx: pending.take(tx, secret, session.id)):
            raise NotFound
        return self._allow(session, asked, scopes, status=303)

    def _allow(self, session: EhrSession, asked: Pending, scopes: list[str], *, status: int) -> Response:
        secret = new_secret()
        code = AuthorizationCode(
            session=session.id,
            client_id=asked.client_id,
            redirect_uri=asked.redirect_uri,
            scope=" ".join(scopes),
            code_challenge=asked.challenge,
            nonce=asked.nonce,
            subject=session.subject,
            context=asked.context,
            display=session.display,
        )

        def work(tx: Tx) -> None:
            codes.save_code(tx, secret, code)
            self._said(tx, session, asked, DONE, f"allowed, scope {code.scope}")

        self.database.write(work)
        return back(asked.redirect_uri, self.server.root, status=status, code=secret, state=asked.state)

    def _deny(self, session: EhrSession, secret: str, asked: Pending) -> Response:
        def work(tx: Tx) -> None:
            pending.take(tx, secret, session.id)
            self._said(tx, session, asked, REFUSED, "denied")

        self.database.write(work)
        return failed(AccessDeniedError("The person did not allow it.", redirect_uri=asked.redirect_uri, state=asked.state), self.server.root, status=303)

    def _said(self, tx: Tx, session: EhrSession, asked: Pending, outcome: str, reason: str) -> None:
        patient = f"Patient/{asked.context.patient}" if asked.context.patient else ""
        self.server.audit.change(tx, record("consent-page", session.subject, outcome=outcome, patient=patient, reason=f"{asked.client_id}: {reason}"))
