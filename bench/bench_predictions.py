"""How fast risks are predicted, alone and through the store, and what the method is worth on NHANES: `python -m bench.bench_predictions [--patients N]`."""

from __future__ import annotations

import argparse
import csv
import io
import math
import statistics
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bench.fhir_app import open_tables
from bench.machine import fdatasyncs_per_second, machine
from chartloop.kernel.access.engine import Access
from chartloop.kernel.access.engines import engine_subject
from chartloop.kernel.access.scope import Scope
from chartloop.kernel.access.subject import Subject
from chartloop.kernel.audit.journal import Audit
from chartloop.kernel.broker_table import TableBus
from chartloop.kernel.clock import iso, now_us
from chartloop.kernel.logs import configure_logs
from chartloop.kernel.outbox import Outbox
from chartloop.kernel.settings_sections import LogSettings, WorkerSettings
from chartloop.kernel.worker import Worker
from fhir_server.labels.service import LabelService
from fhir_server.opening import open_store
from fhir_server.repository import Repository
from predictions.risk import tables
from predictions.risk.features import FEATURES, Feature, Features
from predictions.risk.jobs import PredictionConsumer
from predictions.risk.lightgbm_model import LightgbmStroke
from predictions.risk.model_directory import write_model
from predictions.risk.prevent_model import PreventStroke
from predictions.risk.reading import DAY_US, Limits
from predictions.risk.registry import Registry
from predictions.risk.synthetic_cohort import synthetic_cohort
from predictions.risk.train import Trained, cross_validated, train

CORPUS = Path(__file__).parents[2] / "shared" / "data" / "risk" / "nhanes-stroke.tar.xz"
RISES = {"age": 1, "systolic_bp": 1, "hypertension": 1, "diabetes": 1, "heart_failure": 1, "coronary_disease": 1, "heart_attack": 1, "ever_smoked": 1, "current_smoker": 1, "income_ratio": -1}
SECRET = b"0123456789abcdef"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--patients", type=int, default=500)
    arguments.add_argument("--corpus", type=Path, default=CORPUS)
    given = arguments.parse_args()
    configure_logs(LogSettings(level="WARNING"))
    print(f"{machine()}; disk {fdatasyncs_per_second(0.5):.0f} fdatasync/s")
    began = time.perf_counter()
    trained = train(synthetic_cohort(20_000, seed=7), labels_source="synthetic", data="synthetic", years=10, demo=True, date="bench")
    print(f"train on 20,000 made-up people, one thread: {time.perf_counter() - began:.1f} s; {trained.facts['trees']} trees; held out {_said(trained.validation)}")
    _alone(trained)
    _through_the_store(given.patients, trained)
    if given.corpus.exists():
        _nhanes(given.corpus)
    else:
        print(f"skipped NHANES: {given.corpus} is absent")


def _alone(trained: Trained) -> None:
    model = LightgbmStroke(trained.trees, trained.facts)
    charts = [_features(row) for row in synthetic_cohort(2000, seed=8).rows]
    _line("PREVENT, features to contributions", PreventStroke().predict, charts)
    _line("LightGBM, features to contributions (pred_contrib, num_threads=1)", model.predict, charts)
    rows = [np.array([[chart.number(name) for name in FEATURES]]) for chart in charts]
    _line("LightGBM, pred_contrib alone", lambda row: model._booster.predict(row, pred_contrib=True, num_threads=1), rows)


def _features(row: np.ndarray) -> Features:
    values = {name: Feature(float(value)) for name, value in zip(FEATURES, row, strict=True) if not math.isnan(value)}
    return Features("Patient/p", "male" if values["male"].value else "female", values)


def _line(name: str, call: Callable[..., object], inputs: list) -> None:
    times = []
    for each in inputs:
        at = time.perf_counter()
        call(each)
        times.append((time.perf_counter() - at) * 1e6)
    print(f"{name}: {1e6 / statistics.fmean(times):,.0f}/s, p50 {statistics.median(times):.0f} us, p99 {sorted(times)[int(len(times) * 0.99)]:.0f} us")


def _through_the_store(patients: int, trained: Trained) -> None:
    """Every patient's chart in one transaction each; then the worker predicts with both models, policy, labels and durable audit switched on."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        assert tables.RUN is not None
        database = open_tables(f"sqlite:///{data / 'store.sqlite3'}")
        bus, access, audit = TableBus(database), Access(), Audit(data)
        repository = Repository(open_store(database, access, audit, Outbox(bus, SECRET), LabelService(), secret=SECRET, base="http://127.0.0.1/fhir"))
        operator = Scope(Subject(id="bench", role="operator", scopes=("system/*.cruds",)), "transaction")
        for number in range(patients):
            repository.transaction(operator, _bundle(number))
        write_model(trained, data / "models")
        registry = Registry(data / "models", demo=True)
        registry.models()
        consumer = PredictionConsumer(database, repository, engine_subject(access.policies, "risk"), registry, limits=Limits(), min_interval_s=0, base="http://127.0.0.1:8080/fhir")
        worker = Worker(database, bus, [consumer], [], WorkerSettings())
        began = time.perf_counter()
        worker.start()
        assert worker.idle(600)
        took = time.perf_counter() - began
        worker.stop()
        made = sum(1 for s in repository.stream(operator, ["RiskAssessment"]) if s.json()["status"] == "final")
        print(
            f"through the store (SQLite, events, every read audited in the journal, RiskAssessment + Provenance in one transaction): {patients} patients of 8 resources, "
            f"{made} predictions of two models in {took:.1f} s: {patients / took:.0f} patients/s, {made / took:.0f} predictions/s"
        )
        audit.close()
        database.close()


def _bundle(number: int) -> dict:
    who, date = f"p{number}", iso(now_us() - DAY_US)
    loinc, ucum = "http://loinc.org", "http://unitsofmeasure.org"

    def observation(code: str, value: float, unit: str) -> dict:
        quantity = {"value": value, "unit": unit, "system": ucum, "code": unit}
        return {"resourceType": "Observation", "id": f"{who}-{code}", "status": "final", "code": {"coding": [{"system": loinc, "code": code}]}, "subject": {"reference": f"Patient/{who}"}, "effectiveDateTime": date, "valueQuantity": quantity}

    smoking = observation("72166-2", 0, "1")
    del smoking["valueQuantity"]
    smoking["valueCodeableConcept"] = {"coding": [{"system": "http://snomed.info/sct", "code": "266919005"}]}
    resources = [
        {"resourceType": "Patient", "id": who, "gender": ("female", "male")[number % 2], "birthDate": f"{1950 + number % 40}-05-05"},
        observation("8480-6", 120 + number % 50, "mm[Hg]"),
        observation("2093-3", 180 + number % 60, "mg/dL"),
        observation("2085-9", 40 + number % 30, "mg/dL"),
        observation("2160-0", 0.9, "mg/dL"),
        observation("39156-5", 28.5, "kg/m2"),
        smoking,
        {"resourceType": "Condition", "id": f"{who}-dm", "clinicalStatus": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}]}, "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "E11.9"}]}, "subject": {"reference": f"Patient/{who}"}, "onsetDateTime": "2020-01-01"},
    ]  # fmt: skip
    return {"resourceType": "Bundle", "type": "transaction", "entry": [{"resource": r, "request": {"method": "PUT", "url": f"{r['resourceType']}/{r['id']}"}} for r in resources]}


def _nhanes(archive: Path) -> None:
    """Measure the training method on a public table; a stroke there is self-reported and in the past, and no model of it ships."""
    with tarfile.open(archive) as tar:
        name = next(m for m in tar.getnames() if m.endswith(".csv"))
        rows = list(csv.DictReader(io.TextIOWrapper(tar.extractfile(name), "utf-8")))
    names = [column for column in rows[0] if column not in {"stroke", "race", "education"}]
    table = np.array([[_cell(row[column]) for column in names] for row in rows])
    labels = np.array([_cell(row["stroke"]) for row in rows])
    male = table[:, names.index("gender")]
    found = cross_validated(table, labels, [RISES.get(column, 0) for column in names], male)
    print(f"NHANES 2015-16, {len(rows)} adults, {len(names)} columns, prevalent self-reported stroke, 5 folds, recalibrated inside each: {_said(found)}; Brier of the base rate {found['base_brier']}")
    for sex, figures in found["by_sex"].items():
        print(f"  {sex}: {_said(figures)}")


def _cell(text: str) -> float:
    """Read a cell: empty is missing, and values near 5.4e-79 are zeros of the SAS export."""
    value = float(text) if text else math.nan
    return 0.0 if abs(value) < 1e-50 else value


def _said(figures: dict) -> str:
    return f"n {figures['n']}, strokes {figures['events']}, AUC {figures['auc']}, slope {figures['slope']}, O/E {figures['oe']}, Brier {figures['brier']}"


if __name__ == "__main__":
    main()
