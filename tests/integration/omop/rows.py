"""Rows for a CDM database: what a test does not say is 0 where it is required, else absent."""

from omop_bridge.database import insert_statement
from omop_bridge.schema import TABLES

_FILL = {"integer": 0, "float": 0, "date": "2026-11-01", "datetime": "2026-11-01 08:00:00"}


def put(database, table, **values):
    """Write one row."""
    fields = TABLES[table].fields
    assert values.keys() <= set(TABLES[table].by_name)
    row = [values.get(field.name, _FILL.get(field.type, "") if field.required else None) for field in fields]
    database.write(lambda tx: tx.run(insert_statement(table), row))


def person(database, number, **values):
    put(database, "person", person_id=number, gender_concept_id=8532, gender_source_value="female", year_of_birth=1967, **values)


def measurement(database, number, code, concept=0, *, of=1, **values):
    put(
        database,
        "measurement",
        measurement_id=number,
        person_id=of,
        measurement_concept_id=concept,
        measurement_source_value=code,
        measurement_type_concept_id=32817,
        **values,
    )
