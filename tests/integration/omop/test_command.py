"""`chartloop omop` on the command line."""

import json

import pytest
from click.testing import CliRunner

from chartloop.cli.main import chartloop
from omop_bridge.database import open_cdm
from tests.integration.omop.rows import measurement, person


@pytest.fixture
def data(tmp_path):
    cdm = open_cdm(f"sqlite:///{tmp_path / 'omop' / 'cdm.sqlite3'}")
    person(cdm, 1)
    measurement(cdm, 1, "8480-6", 3004249)
    measurement(cdm, 2, "75328-5")
    cdm.close()
    return tmp_path


def test_coverage_is_told_in_words(data):
    result = CliRunner().invoke(chartloop, ["omop", "coverage", "--data", str(data)])
    assert result.exit_code == 0
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["measurement", "2", "rows"] in lines
    assert ["measurement_concept_id", "1", "of", "2", "mapped,", "50.0%"] in lines
    assert ["1", "LOINC", "75328-5", "measurement.measurement_concept_id"] in lines
    assert ["25", "tables", "are", "empty"] not in lines  # cdm_source has its row
    assert ["24", "tables", "are", "empty"] in lines


def test_coverage_is_told_in_json(data):
    result = CliRunner().invoke(chartloop, ["omop", "coverage", "--data", str(data), "--json"])
    report = json.loads(result.stdout)
    tables = {table["table"]: table for table in report["tables"]}
    assert tables["measurement"]["fields"][0] == {"field": "measurement_concept_id", "coded": 2, "mapped": 1, "share": 0.5}
    assert report["unmapped"] == [{"table": "measurement", "field": "measurement_concept_id", "code": "75328-5", "vocabulary": "LOINC", "rows": 1}]
    assert report["dangling"] == []
