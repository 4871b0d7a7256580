"""The facts of CDM 5.4 beside OHDSI's own files.

Spec: https://ohdsi.github.io/CommonDataModel/cdm54.html
"""

import csv
import io
import re

import pytest
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateTable

from omop_bridge.generate_schema import FIELDS, make_facts, read_archive
from omop_bridge.schema import TABLES, Field, metadata, read_facts

_TABLE = re.compile(r"CREATE TABLE (?:@cdmDatabaseSchema\.)?(\w+) \((.*?)\n?\)?;", re.DOTALL)
_COLUMN = re.compile(r'^\s*"?(\w+)"? (\w[\w ]*?(?:\(\d+\))?)( NOT NULL| NULL|)\s*,?\s*\)?$', re.MULTILINE)
_SAME = {"timestamp without time zone": "timestamp"}
_AFFINITIES = {"real": "number", "datetime": "number", "date": "number", "numeric": "number", "text": "text", "integer": "integer"}


@pytest.fixture(scope="module")
def files(corpus):
    return read_archive(corpus / "omop" / "cdm54-ddl-dqd-ig.tar.xz")


def _columns(sql):
    """Table -> column -> (type, required) of CREATE TABLE statements."""
    tables = {}
    for name, body in _TABLE.findall(sql):
        rows = _COLUMN.findall(body)
        tables[name.lower()] = {column.lower(): (_SAME.get(kind.strip().lower(), kind.strip().lower()), "NOT" in null) for column, kind, null in rows}
    return tables


def _ours(dialect):
    return _columns("\n".join(str(CreateTable(table).compile(dialect=dialect)).rstrip() + ";" for table in metadata().tables.values()))


def _affinity(kind):
    return "text" if kind.startswith("varchar") else _AFFINITIES[kind]


@pytest.mark.corpus
@pytest.mark.conformance("OMOP", "The PostgreSQL tables are those of OHDSI's official DDL of CDM 5.4, column by column (f2o-001)")
def test_the_postgresql_tables_equal_the_official_ddl(files):
    assert _ours(postgresql.dialect()) == _columns(files["cdm-ddl/5.4/postgresql/OMOPCDM_postgresql_5.4_ddl.sql"])


@pytest.mark.corpus
def test_the_sqlite_tables_equal_the_official_ddl_but_that_a_datetime_is_text_and_not_a_number_of_seconds(files):
    official = _columns(files["cdm-ddl/5.4/sqlite/OMOPCDM_sqlite_5.4_ddl.sql"])
    ours = _ours(sqlite.dialect())
    assert ours.keys() == official.keys()
    for table, columns in official.items():
        expected = {name: (_affinity(kind), required) for name, (kind, required) in columns.items()}
        assert {name: (_affinity(kind), required) for name, (kind, required) in ours[table].items()} == expected


@pytest.mark.corpus
def test_every_field_of_the_official_list_is_there_with_its_key_and_domain(files):
    official = list(csv.DictReader(io.StringIO(files[FIELDS])))
    assert sum(len(table.fields) for table in TABLES.values()) == len(official) == 432
    for row in official:
        field = TABLES[row["cdmTableName"].lower()].by_name[row["cdmFieldName"].strip('"').lower()]
        assert field.required == (row["isRequired"] == "Yes")
        assert field.primary_key == (row["isPrimaryKey"] == "Yes")
        assert field.domain == (None if row["fkDomain"] in {"NA", ""} else row["fkDomain"])
        assert (field.foreign_table is not None) == (row["isForeignKey"] == "Yes" and row["fkTableName"] not in {"NA", ""})


@pytest.mark.corpus
@pytest.mark.conformance("OMOP", "Schema facts are generated from the OHDSI CSVs by a command, and the committed file is what it makes")
def test_the_committed_facts_are_what_the_generator_makes(files):
    assert read_facts() == make_facts(files)


def test_every_reference_leads_to_a_field_that_exists():
    for table in TABLES.values():
        for field in table.fields:
            if field.foreign_table:
                assert field.foreign_field in TABLES[field.foreign_table].by_name


def test_a_field_tells_its_type_its_length_and_the_domain_of_its_concept():
    person = TABLES["person"]
    assert person.key == "person_id"
    assert person.by_name["gender_concept_id"] == Field("gender_concept_id", "integer", True, False, "concept", "concept_id", "Gender")
    assert person.by_name["person_source_value"].length == 50
    assert person.by_name["birth_datetime"].type == "datetime"
    assert TABLES["death"].key is None
    assert '"offset"' in TABLES["note_nlp"].columns
