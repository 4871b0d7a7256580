"""The recipe on real coded charts: trained on CodiEsp train, measured on CodiEsp dev.

Corpus: Miranda-Escalada et al., CLEF 2020, https://doi.org/10.5281/zenodo.3837305 (CC BY 4.0).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from predictions.coder import Coder
from predictions.coder_model import save_model
from predictions.coder_report import report
from predictions.coder_train import train
from predictions.codiesp import read_charts
from terminology.icd10cm import load


@pytest.mark.corpus
def test_coded_charts_are_read_with_their_codes_written_the_official_way(corpus: Path) -> None:
    charts = read_charts(corpus / "notes" / "codiesp-dev.tar.xz")
    assert (len(charts), sum(len(c.codes) for c in charts)) == (250, 2677)
    assert all(code == code.upper() and code[3:4] in ("", ".") for c in charts for code in c.codes)


def test_a_folder_without_coded_charts_is_refused_with_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="text_files_en"):
        read_charts(tmp_path)


@pytest.mark.conformance("The loop", "3 Codes: trained on CodiEsp train, measured on CodiEsp dev: MAP of at least .48, with F1, ECE and certified error")
@pytest.mark.conformance("Coding", "the recipe reaches MAP .48 and micro-F1 .53 on CodiEsp dev, ECE at most .01, certified error at most .10")
@pytest.mark.corpus
@pytest.mark.long
@pytest.mark.timeout(1500)
def test_the_recipe_reaches_its_floor_on_charts_it_has_not_seen(corpus: Path, tmp_path: Path) -> None:
    icd = load()
    save_model(train(read_charts(corpus / "notes" / "codiesp-train.tar.xz"), icd, trained_on="codiesp-train"), tmp_path / "coder_model.zst")
    found = report(Coder.open(tmp_path / "coder_model.zst"), read_charts(corpus / "notes" / "codiesp-dev.tar.xz"), icd)
    assert found.map >= 0.48
    assert found.micro_f1 >= 0.53
    assert found.ece <= 0.01
    assert found.certified["test_error"] <= 0.10
