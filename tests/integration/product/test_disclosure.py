"""What leaves the store besides answers: logs, events and summaries, after a whole demo; none of it tells of a patient."""

import json
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from chartloop.demo.population import generate
from chartloop.demo.processes import free_port

BUS = ("event", "delivery", "delivery_hold", "handled", "lease", "dead_letter", "event_cursor")


def told_of_patients() -> set[str]:
    """Words that only a patient's record holds: names, numbers, addresses, and the lines of every note."""
    population = generate()
    words: set[str] = set()
    for person in population.people:
        words |= {person.family, person.mrn, person.member_id, person.line, person.phone, f"{person.given[0]} "}
    for visit in population.visits:
        words |= {line.strip() for line in visit.note.text.splitlines() if len(line.strip()) > 12}
    return {word for word in words if len(word) > 4}


@pytest.mark.conformance("Attacks", "90: a whole demo tells nothing of its patients")
@pytest.mark.long
@pytest.mark.conformance("Privacy", "after a whole demo no log, event, dead letter or summary holds a patient's name, number, address or a line of a note, nor a token")
def test_a_whole_demo_tells_nothing_of_its_patients(tmp_path):
    summary = tmp_path / "summary.json"
    ports = [f"{option}={free_port(0)}" for option in ("--port", "--mllp-port")]
    arguments = ["demo", "--once", "--data", str(tmp_path / "a demo"), "--summary", str(summary), *ports]
    run = subprocess.run([sys.executable, "-m", "chartloop", *arguments], capture_output=True, text=True, timeout=280, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert json.loads(summary.read_text())["ok"] is True
    texts = {path.name: path.read_text(encoding="utf-8", errors="replace") for path in (tmp_path / "a demo" / "demo").glob("*.log")}
    texts |= {"summary": summary.read_text(), "output": run.stdout + run.stderr}
    with closing(sqlite3.connect(f"file:{tmp_path / 'a demo' / 'chartloop.sqlite3'}?mode=ro", uri=True)) as store:
        texts |= {table: repr(store.execute(f"SELECT * FROM {table}").fetchall()) for table in BUS}
    assert texts["server.log"]
    assert texts["event"]
    words = told_of_patients()
    assert len(words) > 200
    assert [(name, word) for name, text in texts.items() for word in words if word in text] == []
    for name, text in texts.items():
        assert "Traceback" not in text, name
        assert "Bearer " not in text, name
