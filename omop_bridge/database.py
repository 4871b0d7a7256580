"""The CDM database and the lineage database: apart from the store, and from each other.

Dates are written as text `YYYY-MM-DD` and datetimes as `YYYY-MM-DD HH:MM:SS`, which both SQLite and PostgreSQL take.

Spec: https://ohdsi.github.io/CommonDataModel/cdm54.html
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import MetaData

from chartloop.kernel.clock import iso, now_us
from chartloop.kernel.db import Database, Session, Tx, create_tables, open_database
from omop_bridge.concepts import VOCABULARIES, Concept, Concepts, shipped
from omop_bridge.schema import CDM_CONCEPT_ID, TABLES, VERSION, metadata
from omop_bridge.systems import BASE

LINEAGE = MetaData()
"""The tables of the lineage database are declared on this."""

_VALID = ("1970-01-01", "2099-12-31")
_SEED = "chartloop seed"
_MAPS_TO = "Maps to"


def insert_statement(table: str) -> str:
    """INSERT of a whole row, values in the order of the table's fields."""
    columns = TABLES[table].columns
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"


def open_cdm(url: str) -> Database:
    """Open sqlite:///… or postgresql://…, make the tables of CDM 5.4 that are missing, and put the shipped concepts in.

    Nothing is written when all of it is there: a reader opens it while a rebuild holds the write lock.
    """
    database = open_database(url)
    if _lacks(database, TABLES):
        create_tables(database, metadata())
    with database.read() as session:
        ready = _has_vocabulary(session, shipped()) and session.one("SELECT 1 FROM cdm_source") is not None
    if not ready:
        database.write(lambda tx: load_seed(tx, shipped()))
        database.write(_describe)
    return database


def open_lineage(url: str) -> Database:
    """Open the database that knows which resource each row came from: with its own file or credentials, never the researchers'."""
    database = open_database(url)
    if _lacks(database, LINEAGE.tables):
        create_tables(database, LINEAGE)
    return database


_NAMES = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'table'",
    "postgresql": "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()",
}


def _lacks(database: Database, tables: Iterable[str]) -> bool:
    with database.read() as session:
        there = {str(row[0]) for row in session.all(_NAMES[database.dialect])}
    return not there.issuperset(tables)


def vocabulary_release(session: Session) -> str | None:
    """The release of the concepts in this database, as OHDSI keeps it: the version of the vocabulary named None."""
    row = session.one("SELECT vocabulary_version FROM vocabulary WHERE vocabulary_id = 'None'")
    return str(row[0]) if row else None


def load_seed(tx: Tx, concepts: Concepts) -> None:
    """Fill the vocabulary tables, unless they hold this seed already or something that a person has loaded."""
    if _has_vocabulary(tx, concepts):
        return
    for table in ("concept", "concept_relationship", "concept_class", "domain", "relationship", "vocabulary"):
        tx.run(f"DELETE FROM {table}")
    rows = sorted(concepts.by_id.values())
    tx.many(insert_statement("concept"), (_concept_row(concept) for concept in rows))
    standard = (concept.concept_id for concept in rows if concept.standard == "S")
    tx.many(insert_statement("concept_relationship"), ((key, key, _MAPS_TO, *_VALID, None) for key in standard))
    tx.run(insert_statement("relationship"), (_MAPS_TO, "Non-standard to Standard map", "0", "0", "Mapped from", 0))
    tx.many(insert_statement("domain"), _named(concept.domain_id for concept in rows))
    tx.many(insert_statement("concept_class"), _named(concept.concept_class_id for concept in rows))
    systems = {vocabulary: system for system, vocabulary in VOCABULARIES.items()}
    names = sorted({concept.vocabulary_id for concept in rows} | {"None"})
    tx.many(
        insert_statement("vocabulary"),
        ((name, name, systems.get(name, "OHDSI"), concepts.release if name == "None" else None, 0) for name in names),
    )


def _has_vocabulary(session: Session, concepts: Concepts) -> bool:
    """Whether the database holds this seed, or something that a person has loaded."""
    release = vocabulary_release(session)
    return release == concepts.release or (release is not None and not release.startswith(_SEED))


def _concept_row(concept: Concept) -> tuple[object, ...]:
    """A code is required: one that no public file gives is shown as the concept's id."""
    code = concept.concept_code or str(concept.concept_id)
    return (*concept[:5], concept.standard or None, code, *_VALID, None)


def _named(names: Iterable[str]) -> list[tuple[str, str, int]]:
    return [(name, name, 0) for name in sorted(set(names))]


def _describe(tx: Tx) -> None:
    """Write the row of cdm_source when there is none; a run brings its dates up to date."""
    if tx.one("SELECT 1 FROM cdm_source") is not None:
        return
    today = iso(now_us())[:10]
    values: dict[str, object] = {
        "cdm_source_name": "Chartloop",
        "cdm_source_abbreviation": "Chartloop",
        "cdm_holder": "The holder of this store",
        "source_description": "A FHIR R4 store, followed through its events",
        "source_documentation_reference": "https://hl7.org/fhir/R4/",
        "cdm_etl_reference": f"{BASE}/omop",
        "source_release_date": today,
        "cdm_release_date": today,
        "cdm_version": VERSION,
        "cdm_version_concept_id": CDM_CONCEPT_ID,
        "vocabulary_version": vocabulary_release(tx) or "none",
    }
    tx.run(insert_statement("cdm_source"), [values.get(field.name) for field in TABLES["cdm_source"].fields])
