"""The CDM database on SQLite and PostgreSQL.

Spec: https://ohdsi.github.io/CommonDataModel/cdm54.html
"""

import pytest

from omop_bridge.concepts import shipped
from omop_bridge.database import insert_statement, load_seed, open_cdm, vocabulary_release
from omop_bridge.schema import TABLES


@pytest.fixture
def cdm(database_url):
    database = open_cdm(database_url)
    yield database
    database.close()


def _count(database, table):
    return database.one(f"SELECT count(*) FROM {table}")[0]


@pytest.mark.conformance("OMOP", "An OMOP CDM 5.4 database on SQLite or PostgreSQL, apart from the store, that says which vocabulary it holds")
def test_a_new_database_has_every_table_the_seed_and_one_row_that_describes_it(cdm):
    for table in TABLES:
        assert _count(cdm, table) >= 0
    assert _count(cdm, "concept") == len(shipped().by_id)
    assert cdm.one("SELECT cdm_version, cdm_version_concept_id, vocabulary_version FROM cdm_source") == ("5.4", 756265, "chartloop seed 1")
    joined = "SELECT c.concept_name, d.domain_name, v.vocabulary_name FROM concept c JOIN domain d USING (domain_id) JOIN vocabulary v USING (vocabulary_id)"
    assert cdm.one(f"{joined} WHERE concept_id = 3004249") == ("Systolic blood pressure", "Measurement", "LOINC")
    assert cdm.one("SELECT concept_id_2 FROM concept_relationship WHERE concept_id_1 = 8507 AND relationship_id = 'Maps to'") == (8507,)


def test_opening_it_again_changes_nothing(database_url):
    first = open_cdm(database_url)
    before = {table: _count(first, table) for table in TABLES}
    first.close()
    again = open_cdm(database_url)
    assert {table: _count(again, table) for table in TABLES} == before
    again.close()


def test_a_vocabulary_that_a_person_loaded_is_left_alone(cdm):
    cdm.write(lambda tx: tx.run("UPDATE vocabulary SET vocabulary_version = 'v5.0 29-AUG-26' WHERE vocabulary_id = 'None'"))
    cdm.write(lambda tx: tx.run("DELETE FROM concept WHERE concept_id = 3004249"))
    cdm.write(lambda tx: load_seed(tx, shipped()))
    assert _count(cdm, "concept") == len(shipped().by_id) - 1
    assert cdm.write(vocabulary_release) == "v5.0 29-AUG-26"


def test_an_older_seed_gives_way_to_the_newer(cdm):
    cdm.write(lambda tx: tx.run("UPDATE vocabulary SET vocabulary_version = 'chartloop seed 0' WHERE vocabulary_id = 'None'"))
    cdm.write(lambda tx: tx.run("DELETE FROM concept WHERE concept_id > 8000"))
    cdm.write(lambda tx: load_seed(tx, shipped()))
    assert _count(cdm, "concept") == len(shipped().by_id)


def test_a_row_goes_in_with_its_dates_as_text(cdm):
    values = {"person_id": 1, "gender_concept_id": 8532, "year_of_birth": 1967, "birth_datetime": "1967-08-02 00:00:00"}
    row = [values.get(field.name, 0 if field.required else None) for field in TABLES["person"].fields]
    cdm.write(lambda tx: tx.run(insert_statement("person"), row))
    assert str(cdm.one("SELECT birth_datetime FROM person WHERE person_id = 1")[0]) == "1967-08-02 00:00:00"


def test_a_reader_opens_it_while_a_rebuild_holds_the_write_lock(tmp_path):
    import threading

    url, opened, done = f"sqlite:///{tmp_path / 'cdm.sqlite3'}", threading.Event(), []
    writer = open_cdm(url)

    def rebuild(tx):
        tx.run("DELETE FROM cdm_source")
        reader = threading.Thread(target=lambda: done.append(open_cdm(url)))
        reader.start()
        reader.join(30)
        if done:
            opened.set()

    writer.write(rebuild)
    assert opened.is_set()
    for database in (*done, writer):
        database.close()
