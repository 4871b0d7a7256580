"""`python -m bench`: what it offers, and what it refuses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench import __main__ as bench

ROOT = Path(__file__).resolve().parents[3]
KNOWN = ["access", "audit", "audit_http", "backup", "cds", "claims", "coder", "fhir", "flatness", "grants", "hl7", "kernel", "login", "mixes", "omop", "outage", "payers", "predictions", "relay", "spec", "telemetry", "timing", "validation", "vault"]


@pytest.mark.conformance("Measuring", "`python -m bench` runs every benchmark by one command, each in a process of its own")
def test_every_benchmark_is_run_by_one_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    ran: list[str] = []

    def run(command: list[str], *, check: bool) -> subprocess.CompletedProcess[str]:
        ran.append(command[2])
        return subprocess.CompletedProcess(command, 1 if command[2].endswith("hl7") else 0)

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(bench, "fdatasyncs_per_second", lambda: 1000.0)
    assert bench.main([]) == 1, "one of them failed"
    assert ran == [f"bench.bench_{name}" for name in KNOWN]
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines() if line.startswith("## ")] == [f"## {name}" for name in KNOWN]
    assert bench.main(["coder"]) == 0


@pytest.mark.conformance("Measuring", "`python -m bench` refuses an unknown name with exit 2 and lists what there is")
def test_an_unknown_benchmark_is_refused_with_the_known_ones() -> None:
    result = subprocess.run([sys.executable, "-m", "bench", "coder", "nonsense"], capture_output=True, text=True, check=False, cwd=ROOT, timeout=60)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == f"no such benchmark: nonsense; there are {', '.join(KNOWN)}\n"
