"""One authorization server with every kind of client, the FHIR API behind it, and people who sign in."""

import base64
import hashlib
import json
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from werkzeug.test import TestResponse

from chartloop.kernel import auth, auth_tables, clock  # noqa: F401  (auth_tables declares what the database holds)
from chartloop.kernel.access.engine import Access
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.audit.journal import Audit
from chartloop.kernel.broker_table import TableBus
from chartloop.kernel.db import Database, create_tables, open_database
from chartloop.kernel.errors import Unauthenticated
from chartloop.kernel.outbox import Outbox
from claims import tables as claims_tables  # noqa: F401  (declares what the database holds)
from fhir_server import tables  # noqa: F401  (declares what the database holds)
from fhir_server.api import blueprint as fhir_blueprint
from fhir_server.http.calls import Gate, Limits
from fhir_server.labels.service import LabelService
from fhir_server.opening import open_store
from fhir_server.repository import Repository
from fhir_server.scope_marks import scope_marks
from smart_apps import tables as smart_tables  # noqa: F401  (declares what the database holds)
from smart_apps.assembly import SmartSide, smart_side
from smart_apps.opaque import digest
from smart_apps.server import clients
from smart_apps.server.assertions import TYPE
from smart_apps.server.brands import Brand
from smart_apps.server.clients import ASYMMETRIC, BACKEND, CODE, REFRESH, SYMMETRIC, Client
from smart_apps.server.launches import LaunchContext
from smart_apps.server.options import Options
from smart_apps.server.routes import COOKIE
from tests.integration.audited import recorded_changes

ROOT = "https://ehr.example"
TOKEN = f"{ROOT}/oauth/token"
CALLBACK = "https://app.example/callback"
SECRET = "s3cret-of-256-bits-or-so"
VERIFIER = "v" * 43
DOCTOR = Subject(id="user:7", role="clinician", user="Practitioner/7", scopes=("user/*.cruds",))
ANNA = Subject(id="user:anna", role="patient", user="Patient/anna", patient="Patient/anna", scopes=("user/*.cruds",))
OPERATOR = Subject(id="user:0", role="operator", scopes=("system/*.cruds",))

SCOPE = (
    "launch launch/patient launch/encounter openid fhirUser profile offline_access online_access patient/*.cruds user/*.cruds "
    "patient/Observation.rs?category=laboratory system/*.rs"
)
RSA = RSAKey.generate_key(2048, {"kid": "rsa-1"}, private=True)
EC = ECKey.generate_key("P-384", {"kid": "ec-1"}, private=True)
JWKS = json.dumps({"keys": [RSA.as_dict(private=False), EC.as_dict(private=False)]})

PUBLIC = Client("public-app", "Growth chart", (CALLBACK,), "https://app.example/launch", SCOPE, ("https://app.example",))
OWN = replace(PUBLIC, client_id="own-app", name="Own app", first_party=True)
SYMMETRIC_APP = replace(PUBLIC, client_id="secret-app", kind=SYMMETRIC, secret=digest(SECRET).hex(), first_party=True)
KEY_APP = replace(PUBLIC, client_id="key-app", kind=ASYMMETRIC, jwks=JWKS, first_party=True, id_token_alg="ES384")
TESTER = replace(PUBLIC, client_id="test-app", test=True, first_party=True)
SERVICE = Client(
    "service", "Registry", (), "", "system/Observation.rs system/Patient.rs", kind=ASYMMETRIC, jwks=JWKS, grants=(BACKEND,), role="omop-bridge"
)
WATCHER = replace(SERVICE, client_id="watcher", scope="system/Introspection.r")
NARROW = replace(OWN, client_id="narrow-app", scope="launch/patient patient/Patient.rs", grants=(CODE,))
CLIENTS = (PUBLIC, OWN, SYMMETRIC_APP, KEY_APP, TESTER, SERVICE, WATCHER, NARROW)
BRAND = Brand("Evergreen Clinic", "https://evergreen.example", "https://evergreen.example", logo="https://evergreen.example/logo.svg", portal_name="My Evergreen")


def observation(id_: str, patient: str, category: str, code: str) -> dict[str, Any]:
    """Write an Observation of a category."""
    system = "http://terminology.hl7.org/CodeSystem/observation-category"
    return {
        "resourceType": "Observation",
        "id": id_,
        "status": "final",
        "category": [{"coding": [{"system": system, "code": category}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
        "subject": {"reference": f"Patient/{patient}"},
        "effectiveDateTime": "2026-11-20T08:00:00Z",
    }


def chart() -> list[dict[str, Any]]:
    """Two patients, a visit each, laboratory values and vital signs."""
    listed: list[dict[str, Any]] = [{"resourceType": "Practitioner", "id": "7", "name": [{"family": "Doctor"}]}]
    for who in ("anna", "berta"):
        listed += [
            {
                "resourceType": "Patient", "id": who, "name": [{"family": who.capitalize(), "given": ["A"]}],
                "generalPractitioner": [{"reference": "Practitioner/7"}],
            },
            {
                "resourceType": "Encounter", "id": f"visit-{who}", "status": "finished", "class": {"code": "AMB"},
                "subject": {"reference": f"Patient/{who}"}, "period": {"start": "2026-11-20T08:00:00Z"},
            },
            observation(f"lab-{who}", who, "laboratory", "2339-0"),
            observation(f"vital-{who}", who, "vital-signs", "8867-4"),
        ]  # fmt: skip
    return listed


@dataclass
class World:
    """A running server, as browsers and apps see it."""

    side: SmartSide
    database: Database
    browser: FlaskClient
    folder: Path

    def sign_in(self, person: Subject = DOCTOR, display: str = "Dr. Doe") -> str:
        """Sign in and keep the cookie; returns its secret."""
        secret = self.side.sessions.enter(self.side.sessions.mint_ticket(person, display))
        self.browser.set_cookie(COOKIE, secret, domain="ehr.example", secure=True)
        return secret

    def authorize(self, client: Client = OWN, /, **changes: str | None) -> TestResponse:
        """Ask for a code; a change to None leaves the parameter out."""
        query = {
            "response_type": "code", "client_id": client.client_id, "redirect_uri": CALLBACK, "scope": "launch/patient openid fhirUser patient/*.rs",
            "state": "st4te", "aud": f"{ROOT}/fhir", "nonce": "n0nce", "code_challenge": challenge(VERIFIER), "code_challenge_method": "S256", **changes,
        }  # fmt: skip
        sent = {name: value for name, value in query.items() if value is not None}
        return self.browser.get("/oauth/authorize", query_string=sent, base_url=ROOT)

    def page(self, answer: TestResponse) -> tuple[str, str, str]:
        """Follow to the page that asks; returns its text, its request and its csrf token."""
        assert answer.status_code == 303, answer.get_data(as_text=True)
        shown = self.browser.get(answer.headers["Location"], base_url=ROOT)
        text = shown.get_data(as_text=True)
        assert shown.status_code == 200, text
        request, csrf = (re.search(rf'name="{name}" value="([^"]+)"', text) for name in ("request", "csrf"))
        return text, request[1] if request else parse_qs(urlsplit(answer.headers["Location"]).query)["request"][0], csrf[1] if csrf else ""

    def answer(self, request: str, csrf: str, **form: Any) -> TestResponse:
        """Send the form of a page."""
        return self.browser.post("/oauth/consent", data={"request": request, "csrf": csrf, **form}, base_url=ROOT)

    def launched(self, client: Client = OWN, patient: str = "anna", **changes: str | None) -> TestResponse:
        """Start from the EHR with a patient open."""
        session = self.side.sessions.find(self.sign_in())
        assert session is not None
        token = self.side.server.launch(session, client.client_id, LaunchContext(patient=patient, encounter=f"visit-{patient}"))
        return self.authorize(client, **{"launch": token, "scope": "launch openid fhirUser offline_access patient/*.rs", **changes})

    def token(self, client: Client = OWN, /, *, headers: dict[str, str] | None = None, **form: str | None) -> TestResponse:
        """Call the token endpoint as a client."""
        sent = {**proof(client), **form}
        given = {"Authorization": basic(client.client_id, SECRET)} if client.kind == SYMMETRIC else {}
        data = {name: value for name, value in sent.items() if value is not None}
        return self.browser.post("/oauth/token", data=data, headers={**given, **(headers or {})}, base_url=ROOT)

    def exchange(self, code: str, client: Client = OWN, **form: str | None) -> TestResponse:
        """Swap a code."""
        return self.token(client, **{"grant_type": CODE, "code": code, "redirect_uri": CALLBACK, "code_verifier": VERIFIER, **form})

    def refresh(self, token: str, client: Client = OWN, **form: str | None) -> TestResponse:
        """Refresh."""
        return self.token(client, **{"grant_type": REFRESH, "refresh_token": token, **form})

    def granted(self, client: Client = OWN, **changes: str | None) -> dict[str, Any]:
        """Launch to the end."""
        found = self.exchange(code_of(self.launched(client, **changes)), client)
        assert found.status_code == 200, found.get_data(as_text=True)
        return dict(found.get_json())

    def subject(self, token: str) -> Subject | None:
        """Say whose a token is; None when it does not work."""
        with self.database.read() as db:
            try:
                return auth.authenticate(db, token)
            except Unauthenticated:
                return None

    def fhir(self, path: str, token: str) -> TestResponse:
        """Read the FHIR API."""
        return self.browser.get(f"/fhir/{path}", headers={"Authorization": f"Bearer {token}"}, base_url=ROOT)

    def audited(self) -> list[dict[str, Any]]:
        """Read what was recorded: changes from the database, accesses from the journal."""
        journal = b"".join(path.read_bytes() for path in sorted((self.folder / "audit").rglob("*")) if path.is_file())
        return recorded_changes(self.database) + [json.loads(found) for found in re.findall(rb'\{"action":.*?"targets":\[[^\]]*\]\}', journal)]

    def words(self) -> list[str]:
        """List the interactions that were recorded."""
        return [each["interaction"] for each in self.audited()]


def challenge(verifier: str) -> str:
    """Give the S256 challenge of a verifier."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


def basic(client_id: str, secret: str) -> str:
    """Write a Basic header."""
    return "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()


def assertion(client_id: str, key: Any = RSA, alg: str = "RS384", header: dict[str, Any] | None = None, /, **changes: Any) -> str:
    """Sign a client assertion."""
    now = clock.now_us() // 1_000_000
    claims = {"iss": client_id, "sub": client_id, "aud": TOKEN, "exp": now + 240, "iat": now, "jti": secrets.token_hex(8), **changes}
    said = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode({"alg": alg, "kid": key.kid, "typ": "JWT", **(header or {})}, said, key, algorithms=[alg])


def proof(client: Client) -> dict[str, str]:
    """Give the parameters by which a client proves itself."""
    if client.kind == ASYMMETRIC:
        return {"client_assertion_type": TYPE, "client_assertion": assertion(client.client_id)}
    return {} if client.kind == SYMMETRIC else {"client_id": client.client_id}


def back(answer: TestResponse) -> dict[str, str]:
    """Read what the redirect to the app carries."""
    assert answer.status_code in (302, 303), answer.get_data(as_text=True)
    assert answer.headers["Location"].startswith(f"{CALLBACK}?"), answer.headers["Location"]
    return {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["Location"]).query).items()}


def code_of(answer: TestResponse) -> str:
    """Read the code of a redirect."""
    return back(answer)["code"]


def make_world(database: Database, folder: Path, **options: Any) -> World:
    """Put it all together."""
    create_tables(database)
    audit, access = Audit(folder), Access(None, scope_marks)
    base = f"{ROOT}/fhir"
    store = open_store(database, access, audit, Outbox(TableBus(database), b"s" * 32), LabelService(), secret=b"k" * 32, base=base)
    repository = Repository(store)
    entries = [{"resource": each, "request": {"method": "PUT", "url": f"{each['resourceType']}/{each['id']}"}} for each in chart()]
    repository.transaction(Scope(OPERATOR, "transaction"), json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries}).encode())
    for client in CLIENTS:
        database.write(lambda tx, client=client: clients.register(tx, client))  # type: ignore[misc]
    said = Options(**{"tenant": "evergreen", "brand": BRAND, "allow_private": True, **options})
    side = smart_side(database, repository, access, lambda _text, _limit: [], audit, base_url=ROOT, keys=folder / "keys", options=said)
    app = Flask(__name__)
    for part in side.blueprints:
        app.register_blueprint(part)

    def authenticate(token: str) -> Subject:
        with database.read() as db:
            return auth.authenticate(db, token)

    app.register_blueprint(fhir_blueprint(Gate(repository, authenticate, base, Limits())), url_prefix="/fhir")
    return World(side, database, app.test_client(), folder)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One world for the tests of a file, on SQLite; each signs in anew."""
    folder = tmp_path_factory.mktemp("oauth")
    database = open_database(f"sqlite:///{folder / 'oauth.sqlite3'}")
    yield make_world(database, folder)
    database.close()
