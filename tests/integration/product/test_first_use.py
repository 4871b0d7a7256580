"""Many threads that meet a cold server at once: what is made at first use is whole for everybody."""

import subprocess
import sys

import pytest

COLD = """
import json, random, sys, threading
from fhir_server.type_ids import TYPE_IDS
from fhir_server.validation.fast import passes

sys.setswitchinterval(1e-6)
start, types, passed = threading.Barrier(8), list(TYPE_IDS)[:24], []

def validate(seed):
    mine = random.Random(seed).sample(types, len(types))
    start.wait()
    passed.extend(type_ for type_ in mine if passes(type_, json.dumps({"resourceType": type_, "text": 5}).encode()))

threads = [threading.Thread(target=validate, args=(seed,)) for seed in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(passed)
"""


@pytest.mark.parametrize("_round", range(8))
def test_threads_that_validate_at_once_in_a_new_process_neither_crash_it_nor_let_anything_pass(_round):
    result = subprocess.run([sys.executable, "-X", "faulthandler", "-c", COLD], capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, result.stdout) == (0, "[]\n"), result.stderr[-3000:]
