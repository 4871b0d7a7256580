"""Everything a review needs, for the browser: an EHR with a FHIR double behind it, and the review app as a process."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from flask import Flask, Response, make_response, redirect, request
from werkzeug.serving import make_server

from chartloop.kernel import auth, auth_tables  # noqa: F401  (declares its table)
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.audit.journal import Audit
from chartloop.kernel.db import Database, create_tables, open_database
from chartloop.kernel.errors import Unauthenticated
from smart_apps import tables  # noqa: F401  (declares its tables)
from smart_apps.assembly import register_review_app
from smart_apps.coder_app.settings import READY
from smart_apps.server import code_search, routes
from smart_apps.server.identity import Identity
from smart_apps.server.launches import LaunchContext
from smart_apps.server.server import SmartAuthorizationServer
from smart_apps.sessions import Sessions
from tests.journeys import chart
from tests.journeys.fhir_double import FhirDouble

CODER = Subject(id="user:7", role="a-role", user="Practitioner/7", scopes=("user/*.cruds",))
START_TIMEOUT_S = 60
CODES = {"I11.0": "Hypertensive heart disease with heart failure", "Z87.891": "Personal history of nicotine dependence"}


@dataclass(frozen=True)
class World:
    """Where things are.

    Attributes:
        ehr: Base URL of the EHR; /go enters it as the coder and launches the app on `?task=`.
        app: Base URL of the review app.
        fhir: What is stored.
    """

    ehr: str
    app: str
    fhir: FhirDouble


def free_port() -> int:
    """Find a port that is free right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def review_world(folder: Path) -> Iterator[World]:
    """Start it all, and stop it at the end."""
    ehr, app = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    database = open_database(f"sqlite:///{folder / 'smart.sqlite3'}")
    create_tables(database)
    register_review_app(database, [app], f"{ehr}/fhir")
    fhir = FhirDouble(lambda token: _known(database, token))
    for resource in chart.resources():
        fhir.put(resource)
    server = make_server("127.0.0.1", int(ehr.rsplit(":", 1)[1]), _flask(database, fhir, ehr, app, folder), threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    process = subprocess.Popen([sys.executable, "-m", "tests.journeys.app_process", app, f"{ehr}/fhir"], stdout=subprocess.DEVNULL)
    try:
        _wait(f"{app}{READY}")
        yield World(ehr, app, fhir)
    finally:
        process.terminate()
        process.wait(20)
        server.shutdown()
        thread.join()
        server.server_close()
        database.close()


def _known(database: Database, token: str) -> bool:
    with database.read() as db:
        try:
            return auth.authenticate(db, token) is not None
        except Unauthenticated:
            return False


def _flask(database: Database, fhir: FhirDouble, ehr: str, app: str, folder: Path) -> Flask:
    sessions, identity = Sessions(database), Identity(folder / "keys")
    server = SmartAuthorizationServer(database, identity, Audit(folder), base_url=ehr)
    flask = Flask(__name__)
    flask.register_blueprint(routes.blueprint(server, database, sessions, identity))
    flask.register_blueprint(fhir.blueprint())
    flask.register_blueprint(code_search.blueprint(database, lambda text, limit: [c for c in CODES.items() if text.lower() in " ".join(c).lower()][:limit]))

    @flask.get("/go")
    def go() -> Response:
        secret = sessions.enter(sessions.mint_ticket(CODER, "Ada"))
        session = sessions.find(secret)
        assert session is not None
        task = request.args.get("task")
        context = LaunchContext("p1", "e1", "task", (f"Task/{task}",)) if task else LaunchContext()
        launch = server.launch(session, "chartloop-review", context)
        answer = make_response(redirect(f"{app}/launch?iss={ehr}/fhir&launch={launch}"))
        answer.set_cookie(routes.COOKIE, secret, httponly=True, samesite="Lax")
        return answer

    @flask.get("/ehr/")
    def home() -> str:
        return "<h1>EHR</h1>"

    return flask


def _wait(url: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            if httpx.get(url).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    raise TimeoutError(url)
