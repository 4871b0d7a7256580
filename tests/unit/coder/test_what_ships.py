"""What the shipped record and the shipped pages say of the coder."""

from __future__ import annotations

import datetime as dt
import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from predictions.calibration import DEMO_RECORD, read_record
from predictions.cli_coding import CERTIFY_CHARTS, CERTIFY_SEED, coding
from predictions.coder import Coder
from predictions.synthetic_notes import synthetic_charts
from terminology.icd10cm import load

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.conformance("The loop", "3 Codes: the demo's record names population, alpha .10, delta .05, charts resampled, model hash and date")
def test_the_demo_record_names_what_it_was_certified_on() -> None:
    said = json.loads(DEMO_RECORD.read_text())
    assert (said["population"], said["alpha"], said["delta"]) == ("synthetic-demo", 0.10, 0.05)
    assert (said["charts"], said["seed"]) == (CERTIFY_CHARTS, CERTIFY_SEED)
    assert said["resamples"] >= 1000
    assert said["upper_bound"] <= said["alpha"]
    assert said["model_hash"] == Coder.open().model_hash
    assert dt.date.fromisoformat(said["date"]) >= dt.date(2026, 11, 1)
    record = read_record(DEMO_RECORD)
    assert record is not None
    assert record.sealed().hash == said["hash"]


@pytest.mark.conformance("The loop", "3 Codes: the product says that accuracy on US-style notes is unknown until a site has audited it")
def test_the_page_on_the_model_says_what_is_not_known() -> None:
    page = re.sub(r"\s+", " ", (ROOT / "docs" / "explanation" / "coding-model.md").read_text())
    assert "Its accuracy on US-style notes is unknown until a site has audited it." in page


@pytest.mark.conformance("The loop", "3 Codes: the product says that accuracy on US-style notes is unknown until a site has audited it")
def test_the_report_says_what_is_not_known(tmp_path: Path) -> None:
    folder = tmp_path / "charts" / "text_files_en"
    folder.mkdir(parents=True)
    charts = synthetic_charts(load(), "B", charts=12, seed=5)
    for chart in charts:
        (folder / f"{chart.id}.txt").write_text(chart.text, encoding="utf-8")
    rows = [f"{chart.id}\t{code}" for chart in charts for code in chart.codes]
    (tmp_path / "charts" / "testD.tsv").write_text("\n".join(rows), encoding="utf-8")
    said = CliRunner().invoke(coding, ["report", "--corpus", str(tmp_path / "charts")])
    assert said.exit_code == 0, said.output
    assert said.output.splitlines()[-1] == "These figures hold for these charts. Accuracy on US-style notes is unknown until a site has audited it."
