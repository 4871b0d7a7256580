"""A store that the research database follows."""

from pathlib import Path

from chartloop.kernel import tables as kernel_tables
from chartloop.kernel.access.engine import Access
from chartloop.kernel.access.engines import engine_subject
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.audit.journal import Audit, audit_directory
from chartloop.kernel.audit.segment import frames, segments
from chartloop.kernel.broker_table import TableBus
from chartloop.kernel.db import create_tables, open_database
from chartloop.kernel.events import Event
from chartloop.kernel.outbox import Outbox
from chartloop.kernel.settings_sections import WorkerSettings
from chartloop.kernel.worker import Worker
from fhir_server import tables as fhir_tables
from fhir_server.labels.service import LabelService
from fhir_server.opening import open_store
from fhir_server.repository import Repository
from omop_bridge.concepts import shipped
from omop_bridge.contents import contents
from omop_bridge.database import open_cdm, open_lineage
from omop_bridge.deriving import Deriver
from omop_bridge.lineage import excluded_counts
from omop_bridge.mapping.coding import Coder
from omop_bridge.mapping.rows import Profile
from omop_bridge.rebuild import rebuild, store_source
from omop_bridge.sync import OmopConsumer
from omop_bridge.writing import Writer

DECLARED = (kernel_tables, fhir_tables)
OPERATOR = Scope(Subject(id="setup", role="operator", scopes=("system/*.cruds",)), "update")
ACCESS = Access()
SUBJECT = engine_subject(ACCESS.policies, "omop")


def renamed(value, prefix):
    """The resource with references to ids of its own."""
    if isinstance(value, dict):
        return {key: inner.replace("/", f"/{prefix}") if key == "reference" else renamed(inner, prefix) for key, inner in value.items()}
    return [renamed(each, prefix) for each in value] if isinstance(value, list) else value


class World:
    """A store, a CDM and a lineage; events are worked off when a test says so."""

    def __init__(self, urls, directory: Path, profile=None, wrap=lambda database: database) -> None:
        store_url, cdm_url, lineage_url = urls
        self.database = open_database(store_url)
        create_tables(self.database)
        self.directory = directory
        self.audit = Audit(directory)
        self.bus = TableBus(self.database)
        self.store = open_store(self.database, ACCESS, self.audit, Outbox(self.bus, b"secret"), LabelService(), secret=b"0123456789abcdef", base="http://localhost/fhir")
        self.repository = Repository(self.store)
        self.cdm, self.lineage = open_cdm(cdm_url), open_lineage(lineage_url)
        self.writer = Writer(wrap(self.cdm), wrap(self.lineage), Deriver(Coder(shipped()), profile or Profile()))
        self.consumer = OmopConsumer(self.database, self.repository, SUBJECT, lambda: self.writer)

    def put(self, resource, prefix=""):
        resource = {**renamed(resource, prefix), "id": prefix + resource["id"]}
        return self.repository.update(OPERATOR, resource["resourceType"], resource["id"], resource)

    def delete(self, type_, id_):
        return self.repository.delete(OPERATOR, type_, id_)

    def follow(self, attempts=8):
        """Work off every event."""
        settings = WorkerSettings(poll_interval_s=0.01, backoff_s=0.01, backoff_max_s=0.02, attempts=attempts, lease_s=30)
        worker = Worker(self.database, self.bus, [self.consumer], [], settings)
        worker.start()
        done = worker.idle(120)
        worker.stop()
        letters = [row[0] for row in self._all(self.database, "SELECT reason FROM dead_letter")]
        assert done, "events still wait"
        assert letters == []

    def handle(self, subject, version, type_="ResourceUpdated"):
        """Hand over one event, in this thread."""
        self.consumer.handle(Event(f"test-{subject}-{version}", type_, subject, version, "0", "", 1), lambda tx: None)

    def follow_once(self):
        """Hand over every event from the beginning, in this thread, as after a crash: what was not written down is done again."""
        for subject, type_, version in self._all(self.database, "SELECT subject, type, version FROM event ORDER BY seq"):
            if subject.split("/")[0] in self.consumer.subjects:
                self.handle(subject, version, type_)

    def rebuild(self):
        return rebuild(self.writer, store_source(self.repository, SUBJECT))

    def rows(self, table, columns="*", where="1 = 1", order="1"):
        return self._all(self.cdm, f"SELECT {columns} FROM {table} WHERE {where} ORDER BY {order}")

    def counts(self):
        return {table: found.rows for table, found in self.contents().items() if found.rows}

    def contents(self):
        with self.cdm.read() as session:
            return contents(session)

    def excluded(self):
        with self.lineage.read() as session:
            return excluded_counts(session)

    def knowledge(self):
        """All that the lineage says, but when."""
        tables = ("omop_resource", "omop_dependency", "omop_excluded", "omop_row")
        return {table: sorted(self._all(self.lineage, f"SELECT * FROM {table}"), key=repr) for table in tables}

    def _all(self, database, sql):
        with database.read() as session:
            return session.all(sql)

    def audited(self):
        """How many records of accesses are in the journal."""
        return sum(1 for file in segments(audit_directory(self.directory)) for _ in frames(file.read_bytes()[4:], 4))

    def close(self):
        self.cdm.close()
        self.lineage.close()
        self.audit.close()
        self.database.close()
