"""One authorization server on one database, with a client and somebody who is signed in."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from chartloop.kernel import auth, auth_tables  # noqa: F401  (declares its table)
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.audit.journal import Audit
from chartloop.kernel.db import Database
from chartloop.kernel.errors import Unauthenticated
from smart_apps import tables  # noqa: F401  (declares what the database fixture makes)
from smart_apps.server import clients, routes
from smart_apps.server.clients import Client
from smart_apps.server.identity import Identity
from smart_apps.server.launches import LaunchContext
from smart_apps.server.server import SmartAuthorizationServer
from smart_apps.sessions import EhrSession, Sessions

ROOT = "http://127.0.0.1:8080"
APP = Client(
    client_id="review",
    name="Review",
    redirect_uris=("http://127.0.0.1:8501/callback",),
    launch_url="http://127.0.0.1:8501/launch",
    scope="launch openid fhirUser user/Task.rus user/Claim.rs patient/Observation.rs",
    origins=("http://127.0.0.1:8501",),
    first_party=True,
)
PERSON = Subject(id="user:7", role="a-role", user="Practitioner/7", scopes=("user/*.cruds",))


class Tokens:
    """The tokens that were issued, as the FHIR API sees them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def subject_of(self, token: str) -> Subject | None:
        """Find whose a token is; None when it does not work."""
        with self._database.read() as db:
            try:
                return auth.authenticate(db, token)
            except Unauthenticated:
                return None

    def count(self) -> int:
        """Count the tokens that were ever issued."""
        with self._database.read() as db:
            row = db.one("select count(*) from access_token")
        return int(row[0]) if row else 0


@dataclass
class Smart:
    """Everything a launch needs."""

    server: SmartAuthorizationServer
    sessions: Sessions
    tokens: Tokens
    browser: FlaskClient
    identity: Identity

    def sign_in(self, person: Subject = PERSON) -> EhrSession:
        """Enter the EHR with a ticket and keep the cookie."""
        secret = self.sessions.enter(self.sessions.mint_ticket(person, "Somebody"))
        self.browser.set_cookie(routes.COOKIE, secret, domain="127.0.0.1")
        found = self.sessions.find(secret)
        assert found is not None
        return found

    def launch(self, session: EhrSession, context: LaunchContext | None = None) -> str:
        """Make a launch token."""
        return self.server.launch(session, APP.client_id, context or LaunchContext())


@pytest.fixture
def smart(database: Database, tmp_path: Path) -> Smart:
    """Build the server as the product does."""
    database.write(lambda tx: clients.register(tx, APP))
    tokens, identity, sessions = Tokens(database), Identity(tmp_path / "keys"), Sessions(database)
    audit = Audit(tmp_path)
    server = SmartAuthorizationServer(database, identity, audit, base_url=ROOT)
    app = Flask(__name__)
    app.register_blueprint(routes.blueprint(server, database, sessions, identity))
    client = app.test_client()
    client.environ_base["HTTP_HOST"] = "127.0.0.1:8080"
    return Smart(server, sessions, tokens, client, identity)
