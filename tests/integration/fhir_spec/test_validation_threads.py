"""The first resources of a process may arrive on many threads at once."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FIRST_VALIDATIONS = """
import json, random, sys, threading, time
from fhir_server.validation import fast as validation_fast

validation_fast._structs()
dice = random.Random(int(sys.argv[1]))
identifier = [{"system": "https://a.example/i", "value": "1", "period": {"start": "2026"}, "assigner": {"display": "a"}}]
extension = [{"url": "https://a.example", "valueCodeableConcept": {"text": "x"}}]
types = "Patient Organization Practitioner Condition Observation ChargeItem Coverage MedicationRequest".split()
types += "Encounter DocumentReference Claim Task Location Device Procedure Immunization".split()
start = threading.Barrier(len(types))

def work(type_, delay_s):
    body = json.dumps({"resourceType": type_, "meta": {"source": "urn:x"}, "extension": extension, "identifier": identifier}).encode()
    start.wait()
    time.sleep(delay_s)
    for _ in range(50):
        validation_fast.passes(type_, body)

threads = [threading.Thread(target=work, args=(type_, dice.random() / 10)) for type_ in types]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


@pytest.mark.long
@pytest.mark.parametrize("seed", range(1, 13))
def test_the_first_validations_of_a_process_may_run_side_by_side(seed):
    """Without one builder at a time, two of twelve such processes died of a segmentation fault."""
    result = subprocess.run([sys.executable, "-c", FIRST_VALIDATIONS, str(seed)], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert (result.returncode, result.stderr) == (0, "")
