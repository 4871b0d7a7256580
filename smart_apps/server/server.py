"""The authorization server: Authlib's protocol over this product's sessions, clients, codes and tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.integrations.flask_oauth2.requests import FlaskOAuth2Request
from authlib.oauth2.rfc6749 import InvalidScopeError
from flask import request as flask_request

from chartloop.kernel import clock, egress
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.errors import Forbidden
from smart_apps.server import authorizations, clients, codes, faults, scoping
from smart_apps.server.auditing import REFUSED, client_subject, of_authorization, record
from smart_apps.server.backend_grant import BackendGrant
from smart_apps.server.client_auth import ClientAuthentication
from smart_apps.server.clients import METHODS
from smart_apps.server.grant import S256Only, SmartGrant
from smart_apps.server.issuing import MICROSECONDS, Issuer
from smart_apps.server.key_sets import KeySets
from smart_apps.server.launches import LaunchContext, mint_launch, redeem_launch
from smart_apps.server.options import Options
from smart_apps.server.refresh_grant import SmartRefreshGrant

if TYPE_CHECKING:
    from authlib.oauth2 import OAuth2Error
    from flask import Response

    from chartloop.kernel.audit.journal import Audit
    from chartloop.kernel.db import Database, Tx
    from smart_apps.server.authorizations import Authorization
    from smart_apps.server.clients import Client
    from smart_apps.server.codes import AuthorizationCode
    from smart_apps.server.identity import Identity
    from smart_apps.sessions import EhrSession


class _Request(FlaskOAuth2Request):  # type: ignore[misc]
    """A request under the public base URL: behind a proxy the socket does not know that TLS was there."""

    def __init__(self, root: str) -> None:
        super().__init__(flask_request)
        self.uri = root + flask_request.full_path


class SmartAuthorizationServer(AuthorizationServer):  # type: ignore[misc]
    """SMART App Launch on one database."""

    def __init__(
        self,
        database: Database,
        identity: Identity,
        audit: Audit,
        *,
        base_url: str,
        options: Options | None = None,
        enforceable: scoping.Enforceable = scoping.plain,
    ) -> None:
        """Put the server together.

        Args:
            database: Where everything is kept.
            identity: Signs id_tokens.
            audit: Where tokens and refusals leave their record.
            base_url: Public URL of the server, without a path.
            options: Lifetimes and what is offered.
            enforceable: Which resource scopes can be enforced exactly.
        """
        super().__init__()
        self.root = base_url.rstrip("/")
        self.fhir_base = f"{self.root}/fhir"
        self.options = options or Options()
        self.enforceable = enforceable
        self.audit = audit
        self.issuer = Issuer(self.root, self.options, identity, audit)
        self._database = database
        keys = KeySets(lambda url: egress.fetch(url, allow_private=self.options.allow_private, timeout_s=self.options.timeout_s))
        self._authentication = ClientAuthentication(database, keys, f"{self.root}/oauth/token")
        self.load_config({})
        self.register_grant(SmartGrant, [S256Only(required=True)])
        self.register_grant(SmartRefreshGrant)
        self.register_grant(BackendGrant)

    def create_oauth2_request(self, request: object) -> _Request:
        """Wrap the current request."""
        return _Request(self.root)

    def query_client(self, client_id: str) -> Client | None:
        """Find a registered client."""
        if "\x00" in client_id:
            return None
        with self._database.read() as db:
            return clients.find(db, client_id)

    def authenticate_client(self, request: Any, methods: list[str], endpoint: str = "token") -> Client:
        """Give the client that a request proves to be from; its registration says how it must."""
        client = self._authentication.authenticate(request.form, request.headers.get("Authorization", ""))
        request.auth_method = METHODS[client.kind]
        if client.test and endpoint == "token":
            faults.meet(client.simulate, faults.AT_TOKEN)
        return client

    def handle_error_response(self, request: Any, error: OAuth2Error) -> Response:
        """Answer with an error; a refusal of the token endpoint leaves its record first."""
        if flask_request.path.endswith("/oauth/token"):
            client = getattr(request, "client", None)
            who = client_subject(client.client_id if client else "")
            self.audit.access(record("token-refused", who, outcome=REFUSED, reason=str(error.error)))
        answer: Response = super().handle_error_response(request, error)
        return answer

    def launch(self, session: EhrSession, client_id: str, context: LaunchContext) -> str:
        """Make a launch token for the session that is open in the EHR.

        Raises:
            Forbidden: Somebody who is a patient opens another patient.
        """
        own = session.subject.patient
        if own and context.patient and own != f"Patient/{context.patient}":
            raise Forbidden
        return self._database.write(lambda tx: mint_launch(tx, session.id, client_id, context))

    def redeem(self, token: str, session: EhrSession, client: Client) -> LaunchContext | None:
        """Spend a launch token."""
        return self._database.write(lambda tx: redeem_launch(tx, token, session.id, client.client_id))

    def unspent_code(self, secret: str, client: Client) -> AuthorizationCode | None:
        """Find a code that may still be spent; a second use ends what the first one gave."""
        with self._database.read() as db:
            code = codes.find_code(db, secret, client.client_id)
        if code is None or not code.used:
            return code
        self._database.write(lambda tx: self._reused(tx, "code-reuse", code.subject, client, code.family))
        return None

    def _reused(self, tx: Tx, word: str, subject: Subject, client: Client, family: str) -> None:
        authorizations.revoke(tx, family)
        who = Subject(id=subject.id, role=subject.role, user=subject.user, client=client.client_id)
        self.audit.change(tx, record(word, who, outcome=REFUSED, patient=subject.patient, reason="all its tokens are ended"))

    def exchange(self, client: Client, code: AuthorizationCode) -> dict[str, Any] | None:
        """Spend a code and issue its tokens in one transaction; None when it was spent meanwhile."""
        faults.meet(code.context.simulate if client.test else "", faults.AT_TOKEN)
        given = self.issuer.authorization(client, code)

        def work(tx: Tx) -> dict[str, Any] | None:
            return self.issuer.first(tx, client, given, code.nonce) if codes.spend_code(tx, code, given.id) else None

        return self._database.write(work)

    def refresh(self, client: Client, secret: str, requested: str) -> dict[str, Any] | None:
        """Spend a refresh token and issue the next tokens; None when it gives nothing any more.

        Raises:
            InvalidScopeError: More is asked for than was granted.
        """
        with self._database.read() as db:
            found = authorizations.find_refresh(db, secret)
            usable = found is not None and found[0].client_id == client.client_id and authorizations.refreshable(db, found[0])
        if found is None or not usable:
            return None
        given, used = found
        if client.test and faults.AT_REFRESH in (given.context.simulate, client.simulate):
            return None
        registered = (client.get_allowed_scope(given.scope) or "").split()
        wanted = scoping.within(requested or " ".join(registered), tuple(registered))
        if wanted is None and not used:
            raise InvalidScopeError("More is asked for than was granted.")
        scope = " ".join(wanted or ())

        def work(tx: Tx) -> dict[str, Any] | None:
            if used or not authorizations.spend_refresh(tx, secret):
                self._reused(tx, "refresh-reuse", given.subject, client, given.id)
                return None
            return self.issuer.next(tx, client, given, scope) if authorizations.refreshable(tx, given) else None

        return self._database.write(work)

    def backend(self, client: Client, requested: str) -> dict[str, Any] | None:
        """Issue the token of a backend service; None when nothing is left of what it asks for."""
        scope = " ".join(scoping.for_backend(requested, client.scope, self.enforceable))
        if not scope:
            return None
        subject = Subject(id=f"client:{client.client_id}", role=client.role, user=client.acts_for, client=client.client_id)
        now = clock.now_us()
        given = authorizations.Authorization(
            client_id=client.client_id,
            subject=subject,
            display=client.name,
            session="",
            scope=scope,
            context=LaunchContext(),
            offline=False,
            expires=now + self.options.backend_ttl_s * MICROSECONDS,
            created=now,
        )
        return self._database.write(lambda tx: self.issuer.backend(tx, client, given))

    def revoke(self, client: Client, secret: str) -> None:
        """End a token of this client: an access token alone, a refresh token with its whole family."""

        def work(tx: Tx) -> None:
            of_refresh, of_access = authorizations.find_refresh(tx, secret), authorizations.find_access(tx, secret)
            given = of_refresh[0] if of_refresh else of_access[0] if of_access else None
            if given is None or given.client_id != client.client_id:
                return
            ended = authorizations.revoke(tx, given.id) if of_refresh else authorizations.revoke_access(tx, secret)
            if ended:
                self.audit.change(tx, of_authorization("token-revoked", given, "by its client"))

        self._database.write(work)

    def end(self, given: Authorization) -> None:
        """End an authorization at the wish of the person who gave it."""

        def work(tx: Tx) -> None:
            if authorizations.revoke(tx, given.id):
                self.audit.change(tx, of_authorization("token-revoked", given, "by the person who had allowed it"))

        self._database.write(work)
