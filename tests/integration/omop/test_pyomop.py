"""pyomop, which others use, reads our database. It is GPL-3.0: it runs in a process of its own and is no part of this product.

Spec: https://pypi.org/project/pyomop/
"""

import bz2
import json
import os
import subprocess
import sys

import pytest

from chartloop.kernel.access.scope import Scope
from omop_bridge.database import insert_statement, open_cdm
from omop_bridge.schema import TABLES
from tests.integration.omop.world import OPERATOR, World

PYTHON = os.environ.get("PYOMOP_PYTHON", sys.executable)
"""An interpreter that has pyomop: this one after `pip install chartloop[pyomop]`, or another."""

READER = """
import json, sys, warnings
warnings.simplefilter("ignore")
from sqlalchemy import create_engine, inspect, select
from sqlalchemy.orm import Session
from pyomop.cdm54 import cdm54_tables as pyomop
engine = create_engine("sqlite:///" + sys.argv[1])
there = set(inspect(engine).get_table_names())
counts, first = {}, {}
with Session(engine) as session:
    for mapper in pyomop.Base.registry.mappers:
        name = mapper.local_table.name
        if name in there:
            rows = session.scalars(select(mapper.class_)).all()
            counts[name] = len(rows)
            if name == "measurement":
                first = {column.key: str(getattr(rows[0], column.key)) for column in mapper.column_attrs}
print(json.dumps({"counts": counts, "measurement": first}))
"""
_FILL = {"integer": 1, "float": 7.5, "date": "2026-11-20", "datetime": "2026-11-20 08:30:00"}


def _read(path):
    probe = subprocess.run([PYTHON, "-c", "import pyomop"], capture_output=True, check=False, timeout=120)
    if probe.returncode:
        pytest.skip("pyomop is not installed: pip install chartloop[pyomop], or name an interpreter that has it in PYOMOP_PYTHON")
    found = subprocess.run([PYTHON, "-c", READER, str(path)], capture_output=True, text=True, check=False, timeout=300)
    assert found.returncode == 0, found.stderr[-2000:]
    return json.loads(found.stdout.splitlines()[-1])


@pytest.mark.long
@pytest.mark.conformance("OMOP", "pyomop (optional extra, GPL) reads the database: its models find every row of every table")
def test_pyomop_reads_every_row_of_every_table(tmp_path):
    path = tmp_path / "cdm.sqlite3"
    cdm = open_cdm(f"sqlite:///{path}")
    for table in TABLES.values():
        if table.part != "VOCAB":
            row = [_FILL.get(field.type, "x") for field in table.fields]
            cdm.write(lambda tx, table=table, row=row: tx.run(insert_statement(table.name), row))
    with cdm.read() as session:
        ours = {name: session.one(f"SELECT count(*) FROM {name}")[0] for name in TABLES}
    cdm.close()
    theirs = _read(path)
    assert theirs["counts"] == ours
    assert all(ours[name] for name in TABLES if TABLES[name].part != "VOCAB")
    assert ours["concept"] > 700
    assert theirs["measurement"]["measurement_date"] == "2026-11-20"
    assert theirs["measurement"]["measurement_datetime"] == "2026-11-20 08:30:00"
    assert float(theirs["measurement"]["value_as_number"]) == 7.5


@pytest.mark.long
@pytest.mark.corpus
def test_pyomop_reads_what_the_bridge_made_of_synthea(tmp_path, corpus):
    urls = tuple(f"sqlite:///{tmp_path / name}.sqlite3" for name in ("store", "cdm", "lineage"))
    world = World(urls, tmp_path)
    files = sorted((corpus / "fhir" / "synthea-r4").glob("*.json.bz2"), key=lambda path: ("nformation" not in path.name, path.stat().st_size))
    for path in files[:5]:  # hospitals and practitioners, then three patients
        body = bz2.decompress(path.read_bytes())
        kind = json.loads(body)["type"]
        getattr(world.repository, kind)(Scope(OPERATOR.subject, kind), body)
    world.rebuild()
    with world.cdm.read() as session:
        ours = {name: session.one(f"SELECT count(*) FROM {name}")[0] for name in TABLES}
    world.close()
    assert ours["person"] == 3
    assert ours["measurement"] > 50
    assert _read(tmp_path / "cdm.sqlite3")["counts"] == ours
