"""The consumer `predictions`: a change in a patient's chart becomes new RiskAssessments, coalesced per patient.

The first change is answered at once; what comes within the minimum interval after it waits, and is answered by one more run at its end.
So 1,000 changes at once cause two runs at most. When a run started is kept in the database with what it wrote: it holds for slow events,
for a worker that restarts and for many workers. Events of what is derived (RiskAssessment, Provenance) are not listened to, so a prediction
never causes one. A model needs 0.1 ms and runs in this thread; what takes time is reading the chart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import structlog

from chartloop.kernel import clock
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.broker import Once
from chartloop.kernel.db import Database, Tx
from chartloop.kernel.errors import Forbidden, Gone, NotFound
from chartloop.kernel.events import Event
from chartloop.kernel.outbox import subject_of_key
from chartloop.kernel.worker import Later
from fhir_server.compartments import patient_of
from fhir_server.repository import Also, Repository
from predictions.risk.assessment import assessment_id, input_hash, provenance, risk_assessment, stored_hash, withdrawn
from predictions.risk.features import Features
from predictions.risk.gathering import Gathering
from predictions.risk.model import RiskModel
from predictions.risk.reading import Limits
from predictions.risk.registry import Registry
from predictions.risk.runs import Run, last_run, remember_run

_log = structlog.get_logger(__name__)


class PredictionConsumer:
    """Keeps one RiskAssessment per patient and model up to date.

    Who died, or whose record was deleted, gets no new prediction: what is stored becomes `cancelled`, without a risk; its history stays.
    A RiskAssessment inherits the labels of its basis. This engine sees no labelled row, so one that was labelled since is closed to it:
    it stays as it is, for those who may see it.
    """

    name = "predictions"
    types = frozenset({"ResourceCreated", "ResourceUpdated", "ResourceDeleted"})
    subjects = frozenset({"Patient", "Observation", "Condition", "MedicationRequest", "MedicationStatement"})
    isolation = "patient"
    coalesce = True

    def __init__(
        self, database: Database, repository: Repository, subject: Subject, registry: Registry, *, limits: Limits, min_interval_s: float, base: str
    ) -> None:
        """Take the door, who acts, the models, how old a value may be, the least time between two runs for one patient, and this server's FHIR base."""
        self._base = base
        self._database, self._repository, self._subject, self._registry = database, repository, subject, registry
        self._gathering = Gathering(repository, limits)
        self._interval_us = round(min_interval_s * 1e6)

    def handle(self, event: Event, once: Once) -> None:
        """Predict for the patient whose chart changed, in one transaction; later, if the last run is too recent."""
        started_us = clock.now_us()
        before = last_run(self._database, event.key)
        if before is not None and before.started_us <= started_us < before.started_us + self._interval_us:
            raise Later((before.started_us + self._interval_us - started_us) / 1e6)
        patient = before.patient if before else self._patient(event)
        if not patient:
            self._database.write(once)
            return
        self._run(event, Run(patient, started_us), once)

    def _run(self, event: Event, run: Run, once: Once) -> None:
        scope = Scope(self._subject, "read", event.trace)
        features = self._gathering.features(scope, run.patient, at_us=run.started_us)
        changes = [change for model in self._registry.models() if (change := self._change(scope, model, features, clock.iso(run.started_us)))]

        def also(tx: Tx) -> None:
            once(tx)
            remember_run(tx, event.key, run)

        try:
            self._write(scope, [entry for change in changes for entry in change], also)
        except NotFound:  # one of them carries a label by now, and is closed to us
            for change in changes:
                with suppress(NotFound):
                    self._write(scope, change, None)
            self._database.write(also)
        if changes:
            _log.debug("Predictions of a patient changed.", action="risk.predicted", assessments=len(changes))

    def _write(self, scope: Scope, entries: Sequence[Mapping[str, Any]], also: Also | None) -> None:
        if entries:
            self._repository.transaction(scope, {"resourceType": "Bundle", "type": "transaction", "entry": entries}, also=also)
        elif also is not None:
            self._database.write(also)

    def _change(self, scope: Scope, model: RiskModel, chart: Features, at: str) -> list[dict[str, Any]]:
        """Return the entries of the next version of one assessment and of its Provenance; none if it would say the same."""
        features = chart.only(model.uses)
        name = f"RiskAssessment/{assessment_id(model.id, features.patient)}"
        version, stored = self._stored(scope, name)
        if features.alive and stored_hash(stored) != input_hash(model, features):
            resource = risk_assessment(model, features, model.predict(features), at=at)
        elif not features.alive and stored.get("status", "cancelled") != "cancelled":
            resource = withdrawn(model, features.patient, at=at)
        else:
            return []
        condition = {"ifMatch": f'W/"{version}"'} if stored else {}
        traced = provenance(model, name, version + 1, features, at=at)
        return [
            {"resource": resource, "request": {"method": "PUT", "url": name, **condition}},
            {"resource": traced, "request": {"method": "POST", "url": "Provenance"}},
        ]

    def _stored(self, scope: Scope, name: str) -> tuple[int, Mapping[str, Any]]:
        """Return version and body of a stored assessment; no body if there is none, or it is deleted."""
        type_, _, id_ = name.partition("/")
        try:
            stored = self._repository.read(scope, type_, id_)
        except NotFound:
            return 0, {}
        except Gone:
            return self._repository.history(scope, type_, id_).entries[0].version, {}
        return stored.version, stored.json()

    def _patient(self, event: Event) -> str:
        """Find whose chart an event is of; of what is deleted by its last version, of what is closed to us by its key."""
        type_, _, id_ = event.subject.partition("/")
        if type_ == "Patient":
            return event.subject
        scope = Scope(self._subject, "read", event.trace)
        with suppress(NotFound, Gone, Forbidden):
            return patient_of(type_, self._repository.read(scope, type_, id_).json(), base=self._base)
        with suppress(NotFound, Gone, Forbidden):
            return patient_of(type_, self._repository.vread(scope, type_, id_, event.version - 1).json(), base=self._base)
        # The event of the Patient's own creation waits beside those of what is closed to us.
        return subject_of_key(self._database, "Patient", event.key)
