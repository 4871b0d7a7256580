"""Validation, extraction and Synthea bundles, in CPU time of one process: `python -m bench.bench_spec`."""

from __future__ import annotations

import bz2
import json
import time
from collections.abc import Callable

from bench.machine import machine
from chartloop.kernel.config import corpus_directory
from fhir_server.compartments import patient_of
from fhir_server.indexing.extraction import extract
from fhir_server.validation.bundles import split_bundle, validate_bundle
from fhir_server.validation.resources import validate

OBSERVATION = json.dumps(
    {
        "resourceType": "Observation",
        "id": "o1",
        "meta": {"profile": ["http://hl7.org/fhir/StructureDefinition/vitalsigns"]},
        "status": "final",
        "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs", "display": "Vital Signs"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7", "display": "Body Weight"}], "text": "Body Weight"},
        "subject": {"reference": "Patient/8c95253e-8ee8-9ae8-6d40-021d702dc78e"},
        "encounter": {"reference": "Encounter/3d0e2b5e-6a3f-4f0e-8d3c-1f6f0a1b2c3d"},
        "effectiveDateTime": "2021-03-02T10:11:12+01:00",
        "issued": "2021-03-02T10:11:12.123+01:00",
        "valueQuantity": {"value": 72.5, "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"},
    }
).encode()


def report(name: str, count: int, work: Callable[[], object], target: str) -> None:
    """Best of three runs."""
    seconds = []
    for _ in range(3):
        started = time.process_time()
        work()
        seconds.append(time.process_time() - started)
    print(f"{name:58} {count / min(seconds):10,.0f} /CPU-s   n={count:,}   target {target}")


def observations(count: int = 20_000) -> None:
    parsed = validate(OBSERVATION).resource
    report("validate an Observation of 0.8 kB", count, lambda: [None for _ in range(count) if not validate(OBSERVATION)], "20,000")
    report("extract its search values", count, lambda: [None for _ in range(count) if not extract("Observation", parsed)], "80,000")
    report("find its patient", count, lambda: [None for _ in range(count) if not patient_of("Observation", parsed)], "none")
    invalid = OBSERVATION.replace(b'"final"', b'"done"')

    def refused() -> None:
        for _ in range(count // 10):
            try:
                validate(invalid)
            except Exception:
                continue

    report("refuse an Observation with a wrong code", count // 10, refused, "none")


def bundles(limit: int = 20) -> None:
    corpus = corpus_directory()
    paths = sorted((corpus / "fhir" / "synthea-r4").glob("*.json.bz2")) if corpus else []
    if not paths:
        print("Synthea bundles: skipped, no sample files (set CHARTLOOP_CORPUS)")
        return
    bodies = [bz2.decompress(path.read_bytes()) for path in paths[:limit]]
    count = sum(len(split_bundle(body).entries) for body in bodies)

    def take_in() -> None:
        for body in bodies:
            for found in validate_bundle(body)[1]:
                if found:
                    extract(found.type, found.resource)
                    patient_of(found.type, found.resource)

    report(f"split, validate, extract {limit} Synthea bundles ({sum(map(len, bodies)) / 1e6:.0f} MB)", count, take_in, "10,000")


if __name__ == "__main__":
    print(machine())
    started = time.process_time()
    validate(OBSERVATION)
    print(f"first validation in a fresh process, which loads the definitions: {(time.process_time() - started) * 1000:.0f} ms   target 100")
    observations()
    bundles()
