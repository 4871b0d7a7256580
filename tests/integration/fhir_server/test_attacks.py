"""Hostile requests against a server in a process of its own, whose memory the system bounds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.fhir_server.attacks import attacks


@pytest.mark.conformance("Attacks", "94: every attack is refused in bounded memory")
@pytest.mark.conformance("Attacks", "92: every attack is refused in bounded memory")
@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.conformance("Attacks", "depth bombs, long numbers, NaN, double names, lone surrogates, gzip bombs, copies of copies, patterns: 4xx in bounded memory and processor time")
def test_every_attack_is_refused_in_bounded_memory(tmp_path: Path) -> None:
    program = [sys.executable, "-m", "tests.integration.fhir_server.attacked_process", str(tmp_path)]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    answered = [line.split() for line in done.stdout.splitlines()]
    listed = attacks()
    assert done.returncode == 0, f"ended by {listed[len(answered)].name if len(answered) < len(listed) else 'nothing'}: {done.returncode}"
    assert len(answered) == len(listed)
    wrong = [
        (attack.name, status) for attack, (_, status, *_) in zip(listed, answered, strict=True)
        if not 400 <= int(status) < 500 and not (attack.harmless and int(status) < 400)
    ]  # fmt: skip
    assert wrong == []
