"""The whole loop by one command, as a new user runs it: from a clinical note to a paid claim."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "docs" / "reference" / "demo-summary.schema.json"


def ran(data: Path, *more: str, timeout: float = 900, **environment: str) -> tuple[str, dict]:
    """Run the demo to its end; give what it printed, and its summary."""
    summary = data.parent / f"{data.name}-summary.json"
    command = [sys.executable, "-m", "chartloop", "demo", "--once", "--data", str(data), "--summary", str(summary), *more]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, timeout=timeout, env={**os.environ, **environment})
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout, json.loads(summary.read_text())


def demo(data: Path, *more: str, timeout: float = 900) -> dict:
    return ran(data, *more, timeout=timeout)[1]


def chartloop(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "chartloop", *arguments], capture_output=True, text=True, check=False, cwd=ROOT, timeout=120)


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    data = tmp_path_factory.mktemp("a demo") / "data dir"
    return data, demo(data)


@pytest.mark.conformance("Command line", "demo --once exits 0 and its summary says that every step held, with the five identifiers of the trace")
@pytest.mark.conformance("What a new user does", "the product runs on embedded defaults from a data directory whose path has a space")
@pytest.mark.conformance("The loop", "`demo --once` drives note to payment, every step held, from a path with a space")
def test_every_step_of_the_demo_holds(first):
    _, summary = first
    assert summary["ok"] is True
    assert all(step["ok"] for step in summary["steps"])
    assert all(summary["trace"].values()), summary["trace"]
    assert set(summary["trace"]) == {"documentreference", "task", "claim", "isa13", "paymentreconciliation", "observation", "riskassessment", "card", "omop"}


@pytest.mark.conformance("The other half", "`demo --once` drives observation to prediction, card and OMOP; the summary has the steps and the trace ids")
def test_the_demo_follows_an_observation_to_a_card_and_to_rows(first):
    _, summary = first
    counts = {step["name"]: step["counts"] for step in summary["steps"]}
    assert counts["observations"]["messages"] == 30
    assert counts["telemetry"]["readings"] > 0
    assert counts["risk"]["published_equation"] <= counts["risk"]["predictions"]
    assert counts["cards"]["cards"] == counts["cards"]["charts_opened"] == counts["risk"]["published_equation"]
    assert counts["omop"]["person"] == counts["patients"]["added_patients"]
    assert [row["table"] for row in summary["trace"]["omop"]] == ["measurement", "measurement"]  # both halves of a blood pressure


@pytest.mark.conformance("Command line", "the summary of the demo validates against docs/reference/demo-summary.schema.json")
@pytest.mark.conformance("The loop", "1 Patients: the summary separates loaded from added patients and visits")
def test_the_summary_validates_against_its_schema_and_separates_loaded_from_added(first):
    _, summary = first
    jsonschema.validate(summary, json.loads(SCHEMA.read_text()))
    counts = {step["name"]: step["counts"] for step in summary["steps"]}
    assert counts["patients"]["added_patients"] >= 25
    assert counts["patients"]["loaded_patients"] == counts["messages"]["visits_of_loaded_patients"] == 0
    assert counts["messages"]["visits_of_added_patients"] == counts["patients"]["added_patients"]


@pytest.mark.conformance("What a new user does", "run twice, the demo gives the same ids and doubles no patient and no claim")
@pytest.mark.long
@pytest.mark.conformance("The loop", "a directory that holds a demo is continued: same ids, nothing doubled")
def test_a_second_run_continues_the_first(first):
    data, summary = first
    again = demo(data)
    assert again["trace"] == summary["trace"]
    before = {step["name"]: step["counts"] for step in summary["steps"]}
    after = {step["name"]: step["counts"] for step in again["steps"]}
    assert {name: after[name] for name in ("patients", "claims")} == {name: before[name] for name in ("patients", "claims")}


@pytest.mark.long
@pytest.mark.conformance("What a new user does", "without LightGBM the demo runs whole on the published equation, and one sentence says so")
def test_without_lightgbm_the_demo_closes_both_loops_on_the_equation_alone(tmp_path):
    without = tmp_path / "without"
    without.mkdir()
    (without / "sitecustomize.py").write_text("import sys\nsys.modules['lightgbm'] = sys.modules['sklearn'] = None\n")
    said, summary = ran(tmp_path / "data", PYTHONPATH=str(without))
    assert summary["ok"] is True
    assert said.count("LightGBM") == 1
    assert "Traceback" not in said
    counts = {step["name"]: step["counts"] for step in summary["steps"]}
    assert "model" not in counts
    assert counts["cards"]["cards"] == counts["risk"]["published_equation"] > 0
    assert summary["trace"]["card"]


@pytest.mark.conformance("The loop", "7 Audit: `audit verify` passes at the end of the demo")
@pytest.mark.conformance("Command line", "audit verify exits 0 on a whole log and 1 on an altered copy")
@pytest.mark.conformance("Audit", "`audit verify` passes after the demo, and names what was altered on a copy")
def test_the_audit_log_of_the_demo_verifies_and_an_altered_copy_does_not(first, tmp_path):
    import sqlite3

    data, _ = first
    assert chartloop("audit", "verify", "--data", str(data)).returncode == 0
    copy = tmp_path / "copy"
    shutil.copytree(data, copy)
    with sqlite3.connect(copy / "chartloop.sqlite3") as connection:
        seq, body = connection.execute("select seq, body from audit_change order by seq limit 1 offset 5").fetchone()
        connection.execute("update audit_change set body = ? where seq = ?", (bytes(body[:-1]) + bytes([body[-1] ^ 1]), seq))
    result = chartloop("audit", "verify", "--data", str(copy))
    assert result.returncode == 1
    assert "sequence" in (result.stdout + result.stderr).lower()


@pytest.mark.long
@pytest.mark.corpus
@pytest.mark.conformance("The loop", "`demo --once --bundles` with 20 Synthea bundles")
def test_the_demo_runs_with_twenty_synthea_bundles(corpus, tmp_path):
    bundles = tmp_path / "bundles"
    bundles.mkdir()
    found = sorted((corpus / "fhir" / "synthea-r4").glob("*.bz2"))
    for path in found[:22]:  # two of them are hospitals and practitioners
        os.symlink(path, bundles / path.name)
    summary = demo(tmp_path / "data", "--bundles", str(bundles), timeout=1800)
    assert summary["ok"] is True
    loaded = next(step for step in summary["steps"] if step["name"] == "bundles")
    assert loaded["counts"]["bundles"] == 22
    jsonschema.validate(summary, json.loads(SCHEMA.read_text()))
    counts = {step["name"]: step["counts"] for step in summary["steps"]}
    assert counts["patients"]["loaded_patients"] == 20
    assert counts["patients"]["added_patients"] >= 25
    assert 0 < counts["messages"]["visits_of_loaded_patients"] <= counts["patients"]["loaded_patients"]
    assert counts["messages"]["visits_of_added_patients"] == counts["patients"]["added_patients"]
