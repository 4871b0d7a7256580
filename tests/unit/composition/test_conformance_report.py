"""The conformance report's own logic: results in, page out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import conformance_report as report

Row = tuple[str, str, str, str]


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    (tmp_path / "results").mkdir()
    return tmp_path / "results"


def ran(results: Path, name: str, *rows: Row) -> None:
    (results / f"{name}.json").write_text(json.dumps(rows))


@pytest.mark.conformance("Conformance", "the report names each requirement with its tests, then every sentence by file")
def test_the_page_lists_requirements_and_every_sentence(results: Path) -> None:
    a, b = "tests/unit/x/test_a.py::test_water_is_wet", "tests/unit/x/test_b.py::Group::test_ice_is_cold"
    ran(results, "1", ("Water", "it is wet", a, "held"), ("", "", a, "held"))
    ran(results, "2", ("Water", "it is wet", b, "corpus"), ("", "", b, "corpus"))
    page = report.render()
    assert page.startswith(report.HEADER)
    assert page.endswith(
        "\n\n## Water\n\n| requirement | shown by |\n| --- | --- |\n"
        "| it is wet | `unit/x/test_a.py::test_water_is_wet`, `unit/x/test_b.py::Group::test_ice_is_cold` (corpus) |\n"
        "\n## Every sentence\n\n### unit/x/test_a.py\n\n- water is wet\n\n### unit/x/test_b.py\n\n- ice is cold (corpus)\n"
    )


@pytest.mark.conformance("Conformance", "a failure in one run is not hidden by a success in another")
@pytest.mark.parametrize("names", [("1", "2"), ("2", "1")])
def test_a_failure_wins_over_a_success_whichever_came_first(results: Path, names: tuple[str, str]) -> None:
    for name, verdict in zip(names, ("failed", "held"), strict=True):
        ran(results, name, ("Water", "it is wet", "tests/test_a.py::test_x", verdict))
    assert "`test_a.py::test_x` **failed**" in report.render()


@pytest.mark.conformance("Conformance", "the check fails when the page differs from what the tests showed, and says where")
def test_the_check_fails_when_the_page_differs(results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "conformance.md"
    ran(results, "1", ("Water", "it is wet", "tests/test_a.py::test_x", "held"))
    assert report.main([str(page)]) == 0
    assert report.main(["--check", str(page)]) == 0
    page.write_text(page.read_text().replace("wet", "dry"))
    assert report.main(["--check", str(page)]) == 1
    assert "-| it is dry |" in capsys.readouterr().err
