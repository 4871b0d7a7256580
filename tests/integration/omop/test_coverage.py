"""What the coverage report counts, on SQLite and PostgreSQL."""

import pytest

from omop_bridge.coverage import Dangling, Filled, Unmapped, coverage, dangling, row_counts, unmapped
from omop_bridge.database import open_cdm
from tests.integration.omop.rows import measurement, person


@pytest.fixture
def cdm(database_url):
    database = open_cdm(database_url)
    person(database, 1)
    person(database, 2, race_source_value="2131-1")
    measurement(database, 1, "8480-6", 3004249, unit_concept_id=8876, unit_source_value="mm[Hg]")
    measurement(database, 2, "8867-4", 3027018, unit_concept_id=0, unit_source_value="{beats}/min")
    measurement(database, 3, "75328-5", of=2)
    measurement(database, 4, "75328-5", of=2)
    yield database
    database.close()


@pytest.mark.conformance("OMOP", "coverage: rows of every table, the share that has a concept, and the codes that lack one")
def test_coverage_counts_the_rows_that_have_a_concept(cdm):
    with cdm.read() as session:
        found = {each.table: each for each in coverage(session)}
        assert row_counts(session)["measurement"] == 4
    assert found["measurement"].rows == 4
    assert found["measurement"].fields == (Filled("measurement_concept_id", 4, 2), Filled("unit_concept_id", 2, 1))
    assert found["measurement"].fields[0].share == 0.5
    assert Filled("gender_concept_id", 2, 2) in found["person"].fields
    assert Filled("race_concept_id", 1, 0) in found["person"].fields
    assert found["note"].rows == 0
    assert found["condition_occurrence"].fields[0].share is None


def test_the_codes_without_a_concept_are_listed_the_most_frequent_first(cdm):
    with cdm.read() as session:
        assert unmapped(session) == [
            Unmapped("measurement", "measurement_concept_id", "75328-5", "LOINC", 2),
            Unmapped("measurement", "unit_concept_id", "{beats}/min", "UCUM", 1),
            Unmapped("person", "race_concept_id", "2131-1", "CDCREC", 1),
        ]
        assert len(unmapped(session, limit=1)) == 1


def test_a_reference_that_leads_nowhere_is_counted(cdm):
    with cdm.read() as session:
        assert dangling(session) == []
    measurement(cdm, 5, "8867-4", 3027018, of=99, visit_occurrence_id=7)
    with cdm.read() as session:
        assert dangling(session) == [
            Dangling("measurement", "person_id", "person.person_id", 1),
            Dangling("measurement", "visit_occurrence_id", "visit_occurrence.visit_occurrence_id", 1),
        ]
