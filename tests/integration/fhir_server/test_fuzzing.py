"""Every parser under coverage-guided fuzzing (atheris): each input is read or refused, in bounded memory and time.

A longer run: CHARTLOOP_FUZZ_RUNS=1000000 python -m pytest -m long tests/integration/fhir_server/test_fuzzing.py
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.conftest import skip_or_fail

RUNS = int(os.environ.get("CHARTLOOP_FUZZ_RUNS", "5000"))
SOURCE = (Path(__file__).parent / "fuzzing_process.py").read_text(encoding="utf-8")
TARGETS = re.findall(r'^    "([a-z0-9-]+)": \(_', SOURCE, re.MULTILINE)


@pytest.mark.long
@pytest.mark.timeout(36_000)
@pytest.mark.conformance("Attacks", "atheris on the parsers: JSON, XML, Parameters, search, _filter, near, histories, Accept and its kin, JSON Patch, FHIRPath Patch, Bundles, links, HL7 v2")
@pytest.mark.parametrize("target", TARGETS)
def test_a_parser_reads_or_refuses_whatever_comes(target: str, tmp_path: Path) -> None:
    if find_spec("atheris") is None:
        skip_or_fail("atheris has no wheel for this Python")
    options = [f"-runs={RUNS}", "-max_len=4096", "-timeout=30", "-rss_limit_mb=2048", "-seed=1", f"-artifact_prefix={tmp_path}/"]
    program = [sys.executable, "-m", "tests.integration.fhir_server.fuzzing_process", target, *options]
    done = subprocess.run(program, capture_output=True, text=True, check=False, errors="replace")
    assert done.returncode == 0, done.stderr[-3000:]
