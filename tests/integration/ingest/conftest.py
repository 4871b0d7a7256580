"""An intake over each kind of database, and a listener on a free port."""

import pytest

from chartloop.kernel.access.engine import Access
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.audit.journal import Audit
from chartloop.kernel.broker_table import TableBus
from chartloop.kernel.events import Event
from chartloop.kernel.outbox import Outbox
from chartloop.kernel.settings_sections import MllpSettings
from chartloop.kernel.worker import Permanent
from fhir_server import tables  # noqa: F401 declares what the database fixture makes
from fhir_server.labels.service import LabelService
from fhir_server.opening import open_store
from fhir_server.repository import Repository
from ingest.consumer import MessageConsumer
from ingest.intake import Intake
from ingest.mllp import MllpServer


@pytest.fixture
def intake(database, tmp_path):
    audit = Audit(tmp_path / "intake")
    yield Intake(database, Outbox(TableBus(database), b"secret"), audit)
    audit.close()


@pytest.fixture
def listen():
    """Start listeners for a receiver; they are stopped at the end."""
    servers = []

    def start(receiver, **options):
        names = {name: options.pop(name) for name in ("max_connections",) if name in options}
        server = MllpServer(MllpSettings(port=0, **options), receiver, **names)
        servers.append(server)
        return server.start()

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(scope="session")
def access():
    """The policies that ship."""
    return Access()


@pytest.fixture
def repository(database, access, tmp_path):
    """The door to a store with the policies that ship."""
    audit = Audit(tmp_path / "audit")
    yield Repository(
        open_store(database, access, audit, Outbox(TableBus(database), b"secret"), LabelService(), secret=b"0123456789abcdef", base="http://127.0.0.1:8080/fhir")
    )
    audit.close()


@pytest.fixture
def consumer(database, repository):
    return MessageConsumer(database, repository, Subject(id="engine:integration", role="integration-engine", scopes=("system/*.cruds",)))


@pytest.fixture
def look(repository):
    """Search as somebody who may see everything that the tests look at."""
    scope = Scope(Subject(id="test", role="psychiatric-clinician", scopes=("system/*.cruds",)), "search", "test")
    billing = Scope(Subject(id="test", role="billing-administrator", scopes=("system/*.cruds",)), "search", "test")

    def search(type_, query=""):
        entries = repository.all(billing if type_ in ("ChargeItem", "Coverage") else scope, type_, query)
        return [{**stored.json(), "version": stored.version, "text": stored.body.decode()} for stored in entries]

    return search


@pytest.fixture
def deliver(database, intake, consumer, fake_clock):
    """Receive messages, then map what has not been mapped, in order; give the errors by control id."""
    done = set()

    def run(*messages):
        for message in messages:
            intake.receive(message.encode())
        errors = {}
        with database.read() as session:
            waiting = session.all("SELECT id, type, subject FROM event WHERE type = 'MessageReceived' ORDER BY seq")
        for id_, type_, subject in waiting:
            if id_ in done:
                continue
            done.add(id_)
            try:
                consumer.handle(Event(id_, type_, subject, 0, "key", "", 0), lambda _: None)
            except Permanent as error:
                errors[subject] = str(error)
        return errors

    return run
