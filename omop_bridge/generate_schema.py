"""Make cdm54.json.zst, the compact facts of CDM 5.4, from OHDSI's own CSV files and index statements.

Names, types, keys and domains are taken; OHDSI's guidance and its sentences are not. OHDSI/CommonDataModel is Apache-2.0.

Run: python -m omop_bridge.generate_schema ARCHIVE [--out FILE]

Spec: https://github.com/OHDSI/CommonDataModel/tree/main/inst/csv
"""

from __future__ import annotations

import csv
import io
import json
import re
import tarfile
from pathlib import Path
from typing import Any

import click
import zstandard

from omop_bridge.schema import FACTS

FIELDS = "cdm-ddl/csv/OMOP_CDMv5.4_Field_Level.csv"
TABLE_LEVEL = "cdm-ddl/csv/OMOP_CDMv5.4_Table_Level.csv"
INDICES = "cdm-ddl/5.4/sqlite/OMOPCDM_sqlite_5.4_indices.sql"
_INDEX = re.compile(r"^CREATE INDEX (\w+)\s+ON (\w+)\s+\(([^)]*)\)", re.MULTILINE | re.IGNORECASE)
_TEXT = "varchar(max)"


def read_archive(archive: Path) -> dict[str, str]:
    """Every CSV, SQL and FSH file of the archive by its path."""
    with tarfile.open(archive) as tar:
        return {
            member.name.removeprefix("./"): tar.extractfile(member).read().decode("utf-8-sig", "replace")  # type: ignore[union-attr]
            for member in tar
            if member.isfile()
        }


def _rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def _known(value: str) -> str | None:
    return None if value.strip() in {"", "NA"} else value.strip()


def _field(row: dict[str, str]) -> list[Any]:
    kind = row["cdmDatatype"].strip().lower()
    table, field = _known(row["fkTableName"]), _known(row["fkFieldName"])
    return [
        row["cdmFieldName"].strip().strip('"').lower(),
        "text" if kind == _TEXT else kind,
        row["isRequired"].strip() == "Yes",
        row["isPrimaryKey"].strip() == "Yes",
        table.lower() if table else None,
        field.lower() if field else None,
        _known(row["fkDomain"]),
    ]


def _indexes(sql: str, table: str, fields: list[list[Any]]) -> list[list[Any]]:
    """The official indexes of one table, without those that only repeat its primary key."""
    keys = [[field[0]] for field in fields if field[3]]
    found = []
    for name, on, columns in _INDEX.findall(sql):
        names = [column.split()[0].lower() for column in columns.split(",")]
        if on.lower() == table and names not in keys:
            found.append([name.lower(), names])
    return found


def make_facts(files: dict[str, str]) -> dict[str, Any]:
    """Convert OHDSI's CSV rows to rows of facts, table by table in OHDSI's order."""
    fields: dict[str, list[list[Any]]] = {}
    for row in _rows(files[FIELDS]):
        fields.setdefault(row["cdmTableName"].strip().lower(), []).append(_field(row))
    parts = {row["cdmTableName"].strip().lower(): row["schema"] for row in _rows(files[TABLE_LEVEL])}
    tables = [[name, parts[name], fields[name], _indexes(files[INDICES], name, fields[name])] for name in parts]
    return {"version": "5.4", "source": "OHDSI/CommonDataModel", "licence": "Apache-2.0", "tables": tables}


def pack(facts: dict[str, Any]) -> bytes:
    """The committed form of the facts."""
    return zstandard.ZstdCompressor(level=19).compress(json.dumps(facts, separators=(",", ":")).encode())


@click.command()
@click.argument("archive", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), default=FACTS, help="Facts file to write.")
def main(archive: Path, out: Path) -> None:
    """Write the compact facts of CDM 5.4."""
    facts = make_facts(read_archive(archive))
    out.write_bytes(pack(facts))
    click.echo(f"{out}: {out.stat().st_size:,} bytes, {len(facts['tables'])} tables")


if __name__ == "__main__":
    main()
