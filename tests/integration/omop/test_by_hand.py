"""Rows that a person worked out by hand: literal FHIR in, literal rows out, on both kinds of database, followed and rebuilt."""

from datetime import date, datetime
from decimal import Decimal

import pytest

from omop_bridge.deriving import Deriver
from omop_bridge.mapping.coding import Coder
from omop_bridge.mapping.rows import Profile
from omop_bridge.schema import TABLES
from omop_bridge.shape import WRITTEN, id_column
from tests.integration.omop.mara import RESOURCES, ROWS, vocabulary


def plain(value):
    if isinstance(value, datetime | date):
        return str(value)
    return float(value) if isinstance(value, Decimal) else value


def rows(world):
    found = {}
    for table in WRITTEN:
        columns = [field.name for field in TABLES[table].fields]
        values = world.rows(table, ", ".join(TABLES[table].columns), order=id_column(table))
        if values:
            found[table] = [{name: plain(value) for name, value in zip(columns, row, strict=True) if value is not None} for row in values]
    return found


@pytest.mark.conformance("OMOP", "twenty rows computed by hand, covering every table")
def test_mara_gives_the_rows_that_a_person_computed(world):
    world.writer.deriver = Deriver(Coder(vocabulary()), Profile())
    for resource in RESOURCES:
        world.put(resource)
    world.rebuild()
    assert rows(world) == ROWS
    assert sum(len(each) for each in ROWS.values()) >= 20
    assert set(ROWS) == set(WRITTEN) - {"device_exposure"}
    assert world.excluded() == {}
    world.follow()
    assert rows(world) == ROWS
