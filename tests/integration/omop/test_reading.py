"""Rows by key, on SQLite and PostgreSQL."""

import base64
import json

import pytest

from chartloop.kernel.errors import Invalid, NotFound
from omop_bridge.database import open_cdm
from omop_bridge.reading import concept_names, read_page, read_row, withheld
from omop_bridge.schema import TABLES
from tests.integration.omop.rows import measurement, person, put


@pytest.fixture
def cdm(database_url):
    database = open_cdm(database_url)
    yield database
    database.close()


def _all(cdm, table, size):
    """Every row, a page at a time."""
    found, cursor = [], ""
    while True:
        with cdm.read() as session:
            page = read_page(session, TABLES[table], cursor, words=False, size=size)
        found += [dict(zip(page.columns, row, strict=True)) for row in page.rows]
        cursor = page.next
        if not cursor:
            return found


def test_rows_without_a_primary_key_come_once_each_in_the_order_of_what_is_required(cdm):
    for number in (3, 1, 2):
        put(cdm, "death", person_id=number, death_date=f"2026-11-0{number}")
        put(cdm, "fact_relationship", domain_concept_id_1=21, fact_id_1=number, domain_concept_id_2=21, fact_id_2=9, relationship_concept_id=0)
    for number in range(4):
        put(cdm, "cohort", cohort_definition_id=1, subject_id=number % 2, cohort_start_date=f"2026-11-0{number + 1}", cohort_end_date="2026-11-09")
    assert [(row["person_id"], row["death_date"]) for row in _all(cdm, "death", 1)] == [(1, "2026-11-01"), (2, "2026-11-02"), (3, "2026-11-03")]
    assert [row["fact_id_1"] for row in _all(cdm, "fact_relationship", 2)] == [1, 2, 3]
    assert [(row["subject_id"], row["cohort_start_date"]) for row in _all(cdm, "cohort", 1)] == [
        (0, "2026-11-01"),
        (0, "2026-11-03"),
        (1, "2026-11-02"),
        (1, "2026-11-04"),
    ]


def test_the_tables_of_the_vocabulary_are_paged_too(cdm):
    for table in ("concept", "concept_relationship", "vocabulary", "domain", "concept_class"):
        rows = _all(cdm, table, 97)
        with cdm.read() as session:
            assert len(rows) == session.one(f"SELECT count(*) FROM {table}")[0]
        assert len({json.dumps(row, sort_keys=True) for row in rows}) == len(rows)


def test_a_row_comes_without_its_words_and_with_the_names_of_its_concepts(cdm):
    person(cdm, 1)
    measurement(
        cdm, 7, "8480-6", 3004249, measurement_date="2026-11-20", measurement_datetime="2026-11-20 08:30:00", value_as_number=148.5, value_source_value="148.5"
    )
    put(cdm, "note", note_id=1, person_id=1, note_text="secret", note_title="secret", note_date="2026-11-20")
    with cdm.read() as session:
        row = read_row(session, TABLES["measurement"], 7, words=False)
        names = concept_names(session, tuple(row), [tuple(row.values())])
        note, whole = read_row(session, TABLES["note"], 1, words=False), read_row(session, TABLES["note"], 1, words=True)
        with pytest.raises(NotFound):
            read_row(session, TABLES["measurement"], 8, words=False)
        with pytest.raises(NotFound):
            read_row(session, TABLES["concept_ancestor"], 1, words=False)
    assert (row["measurement_date"], row["measurement_datetime"], row["value_as_number"]) == ("2026-11-20", "2026-11-20 08:30:00", 148.5)
    assert "value_source_value" not in row
    assert names == {3004249: "Systolic blood pressure", 32817: "EHR"}
    assert "note_text" not in note
    assert whole["note_text"] == "secret"
    assert withheld(TABLES["note"], words=False) == ("note_text", "note_title")


@pytest.mark.parametrize(
    ("table", "values"),
    [
        ("death", ["1", "2026-11-01", 0]),
        ("death", [1, "2026-02-30"]),
        ("death", [1, "yesterday"]),
        ("person", [True]),
        ("person", [2**40]),
        ("person", {"person_id": 1}),
        ("vocabulary", ["\ud800"]),
        ("vocabulary", ["a\x00"]),
    ],
)
def test_a_cursor_of_another_shape_is_refused(cdm, table, values):
    cursor = base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")
    with cdm.read() as session, pytest.raises(Invalid):
        read_page(session, TABLES[table], cursor, words=False)
