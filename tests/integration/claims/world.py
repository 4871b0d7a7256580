"""A store with a patient, a payer and charges, a claims engine over it, and a simulated payer."""

import json
import threading
import time
from decimal import Decimal
from pathlib import Path

import httpx

import chartloop.kernel.tables as kernel_tables
import claims.tables as claims_tables
import fhir_server.tables as fhir_tables
from chartloop.demo.payer.server import PayerServer
from chartloop.kernel.access.engine import Access
from chartloop.kernel.access.grant_table import GrantTable
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.audit.journal import Audit
from chartloop.kernel.broker_table import TableBus
from chartloop.kernel.config import Settings
from chartloop.kernel.outbox import Outbox
from chartloop.kernel.settings_sections import WorkerSettings
from chartloop.kernel.worker import Worker
from claims.chart import Chart
from claims.jobs import ClaimConsumer
from claims.jobs_assembly import Assembly
from claims.jobs_release import Release
from claims.mapping import systems as s
from claims.payers.answering import AnsweringConsumer
from claims.payers.client import PayerClient
from claims.payers.departure import Departure
from claims.payers.directory import Directory
from claims.payers.gates import Gates
from claims.payers.limits import Limits
from claims.payers.mailbox import Mailboxes
from claims.payers.sending import SendingConsumer
from fhir_server.codec import Codec
from fhir_server.labels.service import LabelService
from fhir_server.repository import Repository
from fhir_server.store import Store
from fhir_server.type_ids import TYPE_NAMES

# Importing a tables module declares its tables, which the database fixture then makes.
DECLARED = (kernel_tables, claims_tables, fhir_tables)
OPERATOR = Subject(id="setup", role="operator", scopes=("system/*.cruds",))
ENGINE = Subject(id="engine:claims", role="claims-engine", scopes=("system/*.cruds",))
PAYER = Subject(id="engine:payer", role="payer", scopes=("system/*.cruds",))
CODING = Subject(id="engine:coding", role="coding-engine", scopes=("system/*.cruds",))
ADDRESS = [{"line": ["1 Main St"], "city": "Boston", "state": "MA", "postalCode": "021150001"}]


class World:
    def __init__(self, database, directory: Path, *, timeout_s: float = 3.0, rest_s: float = 0.4, access: Access | None = None) -> None:
        self.db = database
        self.bus = TableBus(database)
        self.outbox = Outbox(self.bus, b"secret")
        self.audit = Audit(directory)
        access = access or Access(None, grants=GrantTable(database, TYPE_NAMES))
        store = Store(database, access, self.audit, self.outbox, LabelService(), Codec({}), b"secret", "http://localhost/fhir")
        self.repository = Repository(store)
        self.settings = Settings(data=directory)
        self.chart = Chart(self.repository, ENGINE)
        self.setup = Chart(self.repository, OPERATOR)
        self.directory = Directory(self.chart)
        self.limits = {"": Limits(timeout_s=timeout_s, rest_s=rest_s, calls_per_s=1000.0)}
        self.client = PayerClient(self.limits_of, allow_private=True)
        self.gates = Gates(database, self.limits_of)
        self.mailboxes = Mailboxes(database, self.outbox, self.directory, self.client, self.gates, self.audit)
        self.release = Release(self.chart, database, self.outbox, self.settings, PAYER)
        self.jobs = ClaimConsumer(self.chart, Assembly(self.chart), self.release)
        departure = Departure(database, self.chart, PAYER)
        self.sending = SendingConsumer(database, self.chart, self.directory, self.client, self.gates, self.audit, departure, self.limits_of, retry_s=0.1)
        self.answering = AnsweringConsumer(database, self.chart, self.directory)
        settings = WorkerSettings(poll_interval_s=0.05, backoff_s=0.05, attempts=6, lease_s=3.0)
        consumers = [self.jobs, self.sending, self.answering]
        self.worker = Worker(database, self.bus, consumers, [self.mailboxes.periodic(0.1)], settings)

    def limits_of(self, payer):
        """The limits of a payer; under "" are those of everybody else."""
        return self.limits.get(payer, self.limits[""])

    def put(self, resource):
        type_, id_ = resource["resourceType"], resource["id"]
        self.repository.update(Scope(OPERATOR, "update"), type_, id_, resource)

    def see(self, type_, **query):
        return [e.resource for e in self.chart.find(type_, **query)]

    def until(self, check, timeout_s=20.0):
        end = time.perf_counter() + timeout_s
        while time.perf_counter() < end:
            found = check()
            if found:
                return found
            time.sleep(0.05)
        with self.db.read() as session:
            rows = session.all("SELECT id, direction, kind, state, note FROM interchange")
        tasks = [(t["code"]["coding"][0]["code"], t.get("input")) for t in self.see("Task")]
        raise AssertionError(f"it never happened: {rows} {tasks}")

    def stop(self):
        self.worker.stop(5)
        self.audit.close()

    def payer(self, payer_id="P1", address="http://127.0.0.1:9/payers/P1", number="1"):
        self.put({
            "resourceType": "Endpoint", "id": f"endpoint-{number}", "status": "active", "address": address,
            "connectionType": {"system": s.CONNECTION, "code": "x12-http"},
            "payloadType": [{"text": "X12"}], "payloadMimeType": ["application/EDI-X12"],
        })
        self.put({
            "resourceType": "Organization", "id": f"payer-{number}", "name": f"Payer {payer_id}", "type": [{"coding": [{"code": "pay"}]}],
            "identifier": [{"system": s.PAYER_ID, "value": payer_id}], "endpoint": [{"reference": f"Endpoint/endpoint-{number}"}],
        })

    def people(self, payer="1"):
        self.put({
            "resourceType": "Organization", "id": "clinic", "name": "Clinic", "address": ADDRESS,
            "identifier": [{"system": s.NPI, "value": "1999999984"}, {"system": s.TIN[0], "value": "12-3456789"}],
        })
        self.put({"resourceType": "Practitioner", "id": "dr", "name": [{"family": "Doe", "given": ["Jo"]}], "identifier": [{"system": s.NPI, "value": "1234567893"}]})
        self.put({
            "resourceType": "Patient", "id": "pat", "name": [{"family": "Müller", "given": ["Zoë"]}], "gender": "female", "birthDate": "1980-02-03",
            "address": ADDRESS,
        })
        self.put({
            "resourceType": "Coverage", "id": "cov", "status": "active", "subscriberId": "M123", "beneficiary": {"reference": "Patient/pat"},
            "payor": [{"reference": f"Organization/payer-{payer}"}],
        })

    def charge(self, number, encounter="enc", code="G0463", price="72.50", reason="J02.9"):
        charge = {
            "resourceType": "ChargeItem", "id": f"charge-{number}", "status": "billable", "subject": {"reference": "Patient/pat"},
            "context": {"reference": f"Encounter/{encounter}"}, "identifier": [{"system": f"{s.BASE}/charge/X", "value": f"{number}"}],
            "code": {"coding": [{"system": s.PROCEDURES[0], "code": code}]}, "occurrenceDateTime": "2026-11-20T10:00:00Z",
            "quantity": {"value": 1}, "priceOverride": {"value": Decimal(price), "currency": "USD"},
            "performer": [{"actor": {"reference": "Practitioner/dr"}}], "performingOrganization": {"reference": "Organization/clinic"},
        }
        if reason:
            charge["reason"] = [{"coding": [{"system": s.ICD_10_CM[0], "code": reason}]}]
        self.put(charge)

    def encounter(self, id_="enc", status="finished"):
        self.put({
            "resourceType": "Encounter", "id": id_, "status": status, "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
            "subject": {"reference": "Patient/pat"}, "period": {"start": "2026-11-20T09:00:00Z", "end": "2026-11-20T11:00:00Z"},
        })

    def note(self, id_="note", encounter="enc", text="c29yZSB0aHJvYXQ="):
        self.put({
            "resourceType": "DocumentReference", "id": id_, "status": "current", "docStatus": "final", "subject": {"reference": "Patient/pat"},
            "type": {"coding": [{"system": "http://loinc.org", "code": "11506-3"}]}, "date": "2026-11-20T10:00:00Z",
            "content": [{"attachment": {"contentType": "text/plain; charset=utf-8", "data": text}}],
            "context": {"encounter": [{"reference": f"Encounter/{encounter}"}]},
        })

    def claim(self, encounter="enc"):
        found = self.chart.first("Claim", identifier=f"{s.CLAIM_OF_ENCOUNTER}|{encounter}")
        return found.resource if found else None

    def task_codes(self):
        return sorted(t["code"]["coding"][0]["code"] for t in self.see("Task"))


class RunningPayer:
    """The simulated payer on a free port."""

    def __init__(self, directory, payers=None, seed=1):
        self.server = PayerServer(("127.0.0.1", 0), payers or {"P1": "Payer One"}, directory / "payer.sqlite3", seed)
        self.base = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=lambda: self.server.serve_forever(poll_interval=0.05), daemon=True)
        self.thread.start()

    def address(self, payer="P1"):
        return f"{self.base}/payers/{payer}"

    def stats(self, payer="P1"):
        return httpx.get(f"{self.base}/stats", trust_env=False).json()[payer]

    def behave(self, payer="P1", **change):
        answer = httpx.post(f"{self.base}/behaviour", content=json.dumps({"payer": payer, **change}), trust_env=False)
        assert answer.status_code == 200, answer.text

    def stop(self):
        self.server.stopping.set()
        self.server.shutdown()
        self.server.server_close()
